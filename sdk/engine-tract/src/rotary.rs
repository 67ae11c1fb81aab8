//! Rotary position embedding: where the angles come from, and the rows of cosines and sines that a step needs.

use crate::weight::Vector;
use kinglet_engine::EngineError;

/// The angles of one rotary embedding; `half = rotary_dim / 2` pairs of elements of a head are turned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rotary {
    pub(crate) angles: Angles,
    /// Other angles for longer contexts.
    pub(crate) longer: Option<Longer>,
    /// Pairs are neighbours (2i, 2i + 1) instead of halves (i, i + half).
    pub(crate) interleaved: bool,
}

/// Angles for contexts of more than `after` positions (LongRoPE, arXiv 2402.13753). Exporters ask at each step how long a sequence
/// is, and leave the keys that were turned before it became long as they are; here the context that a runner is opened with decides
/// for all of its sequences.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Longer {
    pub(crate) after: usize,
    pub(crate) angles: Angles,
}

/// Where cosines and sines come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Angles {
    /// Tables in the file, each `[positions, half]`; `stride` is the length of a row (twice `half` where both halves are stored).
    Tables { cos: Vector, sin: Vector, half: usize, stride: usize },
    /// `angle = position * inverse_frequencies[i]`, in float32 as transformers computes it; cosine and sine times `scale`.
    Frequencies { inverse: Vec<f32>, scale: f32 },
}

impl Angles {
    /// Pairs of elements that are turned.
    pub(crate) fn half(&self) -> usize {
        match self {
            Angles::Tables { half, .. } => *half,
            Angles::Frequencies { inverse, .. } => inverse.len(),
        }
    }

    /// Positions that the tables cover; frequencies cover all.
    fn positions(&self) -> Option<usize> {
        match self {
            Angles::Tables { cos, stride, .. } => Some(cos.len() / stride),
            Angles::Frequencies { .. } => None,
        }
    }
}

impl Rotary {
    /// Pairs of elements that are turned.
    pub(crate) fn half(&self) -> usize {
        self.angles.half()
    }

    /// Positions that the tables cover; frequencies cover all.
    pub(crate) fn positions(&self) -> Option<usize> {
        self.longer.as_ref().map_or(&self.angles, |longer| &longer.angles).positions()
    }

    /// Whether sequences of `context` positions are turned by the angles of longer ones.
    pub(crate) fn is_long(&self, context: usize) -> bool {
        self.longer.as_ref().is_some_and(|longer| context > longer.after)
    }

    /// The angles of sequences that may have `context` positions.
    pub(crate) fn within(&self, context: usize) -> &Angles {
        self.longer.as_ref().filter(|longer| context > longer.after).map_or(&self.angles, |longer| &longer.angles)
    }

    /// Appends the rows of `positions`, each `[half]`, to `rows`; `context`: positions that a sequence may have.
    ///
    /// # Errors
    /// [`EngineError::ContextFull`] for a position beyond the tables.
    pub(crate) fn append(
        &self,
        positions: impl Iterator<Item = usize>,
        context: usize,
        rows: &mut RotaryBuffer,
    ) -> Result<(), EngineError> {
        let angles = self.within(context);
        for position in positions {
            match angles {
                Angles::Tables { cos, sin, half, stride } => {
                    let row = position * stride..position * stride + half;
                    let (Some(cos), Some(sin)) = (cos.floats().get(row.clone()), sin.floats().get(row)) else {
                        return Err(EngineError::ContextFull { needed: position + 1, context: angles.positions().unwrap_or(0) });
                    };
                    rows.cos.extend_from_slice(cos);
                    rows.sin.extend_from_slice(sin);
                }
                Angles::Frequencies { inverse, scale } => {
                    let angles = inverse.iter().map(|f| position as f32 * f);
                    rows.cos.extend(angles.clone().map(|a| a.cos() * scale));
                    rows.sin.extend(angles.map(|a| a.sin() * scale));
                }
            }
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
