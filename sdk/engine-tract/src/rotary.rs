//! Rotary position embedding: where the angles come from, and the rows of cosines and sines that a step needs.

use crate::weight::Vector;
use kinglet_engine::EngineError;

/// The angles of one rotary embedding; `half = rotary_dim / 2` pairs of elements of a head are turned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rotary {
    pub(crate) angles: Angles,
    /// Pairs are neighbours (2i, 2i + 1) instead of halves (i, i + half).
    pub(crate) interleaved: bool,
}

/// Where cosines and sines come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Angles {
    /// Tables in the file, each `[positions, half]`; `stride` is the length of a row (twice `half` where both halves are stored).
    Tables { cos: Vector, sin: Vector, half: usize, stride: usize },
    /// `angle = position * inverse_frequencies[i]`, in float32 as transformers computes it; cosine and sine times `scale`.
    Frequencies { inverse: Vec<f32>, scale: f32 },
    /// Tables for contexts of up to `original` positions and tables for longer ones (LongRoPE, arXiv 2402.13753). Exporters ask
    /// at each step how long a sequence is, and leave the keys that were turned before it became long as they are; here the
    /// context that a runner is opened with decides for all of its sequences.
    ByContext { original: usize, short: Box<Angles>, long: Box<Angles> },
}

impl Angles {
    /// Pairs of elements that are turned.
    pub(crate) fn half(&self) -> usize {
        match self {
            Angles::Tables { half, .. } => *half,
            Angles::Frequencies { inverse, .. } => inverse.len(),
            Angles::ByContext { short, .. } => short.half(),
        }
    }

    /// Positions that the tables cover; frequencies cover all.
    pub(crate) fn positions(&self) -> Option<usize> {
        match self {
            Angles::Tables { cos, stride, .. } => Some(cos.len() / stride),
            Angles::Frequencies { .. } => None,
            Angles::ByContext { long, .. } => long.positions(),
        }
    }

    /// Those of sequences that may have `context` positions: tables or frequencies.
    pub(crate) fn within(&self, context: usize) -> &Angles {
        match self {
            Angles::ByContext { original, short, long } => (if context > *original { long } else { short }).within(context),
            other => other,
        }
    }

    /// Whether a context of `context` positions is longer than some of the tables were made for.
    pub(crate) fn is_long(&self, context: usize) -> bool {
        matches!(self, Angles::ByContext { original, .. } if context > *original)
    }

    /// Appends the rows of `positions`, each `[half]`, to `rows`.
    ///
    /// # Errors
    /// [`EngineError::ContextFull`] for a position beyond the tables.
    pub(crate) fn append(
        &self,
        positions: impl Iterator<Item = usize>,
        context: usize,
        rows: &mut RotaryBuffer,
    ) -> Result<(), EngineError> {
        match self.within(context) {
            Angles::Tables { cos, sin, half, stride } => {
                for position in positions {
                    let row = position * stride..position * stride + half;
                    let (Some(cos), Some(sin)) = (cos.floats().get(row.clone()), sin.floats().get(row)) else {
                        return Err(EngineError::ContextFull { needed: position + 1, context: cos.len() / stride });
                    };
                    rows.cos.extend_from_slice(cos);
                    rows.sin.extend_from_slice(sin);
                }
            }
            Angles::Frequencies { inverse, scale } => {
                for position in positions {
                    let angles = inverse.iter().map(|f| position as f32 * f);
                    rows.cos.extend(angles.clone().map(|a| a.cos() * scale));
                    rows.sin.extend(angles.map(|a| a.sin() * scale));
                }
            }
            Angles::ByContext { .. } => {}
        }
        Ok(())
    }
}

/// The cosines and sines of a step, `[rows, half]` each.
#[derive(Debug, Default)]
pub(crate) struct RotaryBuffer {
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
}

impl RotaryBuffer {
    pub(crate) fn clear(&mut self) {
        self.cos.clear();
        self.sin.clear();
    }
}
