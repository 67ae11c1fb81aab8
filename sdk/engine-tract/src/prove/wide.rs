//! Proofs of values that depend on positions alone, for long contexts too: positions, lengths, angles, and the choice of tables.

use super::contract::Length;
use super::{Prover, differs};
use crate::recognise::{Recogniser, Turned};
use crate::rotary::{Angles, RotaryBuffer};
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_reference::{Data, Tensor};
use std::collections::HashMap;

/// Property that a value is proved to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// The positions of the step's rows.
    Positions,
    /// The numbers of the step's rows, from 0.
    Order,
    /// The number of positions plus so many.
    Length(i64),
    /// Cosines or sines.
    Angles,
    /// Whether there are more than so many positions.
    Longer(usize),
}

/// Lengths for which values are evaluated, as far as the context of the model goes.
const LENGTHS: &[Length] = &[
    Length { rows: 4, past: 0 },
    Length { rows: 3, past: 5 },
    Length { rows: 1, past: 63 },
    Length { rows: 1024, past: 0 },
    Length { rows: 2, past: 1000 },
    Length { rows: 1024, past: 1024 },
    Length { rows: 2048, past: 2048 },
    Length { rows: 2, past: 4095 },
    Length { rows: 64, past: 6000 },
    Length { rows: 64, past: 9000 },
    Length { rows: 64, past: 16_350 },
    Length { rows: 64, past: 24_500 },
    Length { rows: 1, past: 32_767 },
    Length { rows: 64, past: 65_500 },
    Length { rows: 1, past: 131_071 },
];

/// The longest context for which values are evaluated.
const LONGEST: usize = 1 << 20;

impl<'s, 'g> Prover<'s, 'g> {
    fn long_lengths(&self) -> impl Iterator<Item = Length> + use<> {
        let context = self.longest_context(LONGEST);
        let last = Length { rows: 1, past: context.saturating_sub(1) };
        // Of what the context cuts, as many rows as fit.
        let fits = move |length: &Length| {
            let rows = length.rows.min(context.saturating_sub(length.past));
            (rows > 0).then_some(Length { rows, past: length.past })
        };
        LENGTHS.iter().filter_map(fits).chain([last])
    }

    /// One row after so many positions that each number of them occurs up to a few hundred, and one in thirty-two beyond.
    fn all_totals(&self) -> impl Iterator<Item = Length> + use<> {
        let context = self.longest_context(LONGEST);
        let totals = std::iter::successors(Some(1), |total: &usize| Some(total + (total / 32).max(1)));
        totals.take_while(move |total| *total <= context).map(|total| Length { rows: 1, past: total - 1 })
    }

    /// Holds a value that must be one integer a row against the rows' positions.
    pub(super) fn positions(&mut self, recogniser: &Recogniser<'s, 'g>, value: &'g str, node: &Node) -> Result<(), EngineError> {
        self.integers(recogniser, value, node, Kind::Positions, |length| {
            (length.past..length.total()).map(|p| p as i64).collect()
        })
    }

    /// Holds a value that must be one integer against the number of positions plus `offset`.
    pub(super) fn length(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        (value, offset): (&'g str, i64),
        node: &Node,
    ) -> Result<(), EngineError> {
        self.integers(recogniser, value, node, Kind::Length(offset), move |length| vec![length.total() as i64 + offset])
    }

    fn integers(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        value: &'g str,
        node: &Node,
        kind: Kind,
        expected: impl Fn(Length) -> Vec<i64>,
    ) -> Result<(), EngineError> {
        if self.held.contains(&(value, kind)) {
            return Ok(());
        }
        let piece = self.piece(recogniser, &[value], &[], node)?;
        let totals = self.all_totals().filter(|_| matches!(kind, Kind::Length(_)));
        for length in self.long_lengths().chain(totals) {
            let made = self.evaluate(&piece, length, &HashMap::new(), &[value]);
            let made = made.map_err(|e| differs(node, format!("`{value}` cannot be evaluated for {length}: {e}")))?;
            let got = match &made[0].data {
                Data::Int(v) => v.clone(),
                Data::Float(v) => v.iter().map(|v| *v as i64).collect(),
                Data::Bool(_) => vec![],
            };
            let want = expected(length);
            if got != want {
                let shown = |numbers: &[i64]| numbers.iter().take(8).map(i64::to_string).collect::<Vec<_>>().join(", ");
                let (got, want) = (shown(&got), shown(&want));
                let what = match kind {
                    Kind::Positions => "positions",
                    Kind::Order => "numbers of the rows",
                    _ => "number of positions",
                };
                return Err(differs(node, format!("`{value}` is {got}, and not the {what} {want} of {length}")));
            }
        }
        self.held.insert((value, kind));
        Ok(())
    }

    /// Holds what a rotation reads against the rows' positions: the rows of tables, or angles that are computed.
    pub(super) fn rotation(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        turned: &Turned<'g>,
        node: &Node,
    ) -> Result<(), EngineError> {
        if let Some(rows) = turned.rows {
            self.positions(recogniser, rows, node)?;
        }
        if let Some(order) = turned.order {
            self.integers(recogniser, order, node, Kind::Order, |length| (0..length.rows as i64).collect())?;
        }
        if let (Some(condition), Some(longer)) = (turned.longer, &turned.rotary.longer) {
            self.longer(recogniser, condition, longer.after, node)?;
        }
        if matches!(turned.rotary.angles, Angles::Frequencies { .. }) {
            self.angles(recogniser, turned, node)?;
        }
        Ok(())
    }

    /// Holds the condition by which a graph chooses between tables against the length that was read from it.
    fn longer(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        condition: &'g str,
        after: usize,
        node: &Node,
    ) -> Result<(), EngineError> {
        if self.held.contains(&(condition, Kind::Longer(after))) {
            return Ok(());
        }
        if after > LONGEST {
            return Err(differs(node, format!("it chooses between tables of angles at {after} positions")));
        }
        let piece = self.piece(recogniser, &[condition], &[], node)?;
        let at = |rows: usize, past: usize| Length { rows, past };
        for length in [at(1, 0), at(1, after.saturating_sub(1)), at(1, after), at(3, after.saturating_sub(1)), at(2, 2 * after)] {
            let made = self.evaluate(&piece, length, &HashMap::new(), &[condition]);
            let made = made.map_err(|e| differs(node, format!("`{condition}` cannot be evaluated for {length}: {e}")))?;
            if made[0].data != Data::Bool(vec![length.total() > after]) {
                return Err(differs(node, format!("`{condition}` does not ask for more than {after} positions, with {length}")));
            }
        }
        self.held.insert((condition, Kind::Longer(after)));
        Ok(())
    }

    /// Cosines and sines that are computed, `[.., rows, half]` or twice as wide.
    fn angles(&mut self, recogniser: &Recogniser<'s, 'g>, turned: &Turned<'g>, node: &Node) -> Result<(), EngineError> {
        let wanted = [turned.cos, turned.sin].map(|value| self.source.unsqueezed(value));
        if wanted.iter().all(|value| self.held.contains(&(*value, Kind::Angles))) {
            return Ok(());
        }
        let piece = self.piece(recogniser, &wanted, &[], node)?;
        for length in self.long_lengths() {
            let made = self.evaluate(&piece, length, &HashMap::new(), &wanted);
            let made = made.map_err(|e| differs(node, format!("its angles cannot be evaluated for {length}: {e}")))?;
            let mut expected = RotaryBuffer::default();
            turned.rotary.append(length.past..length.total(), 0, &mut expected)?;
            let half = turned.rotary.half();
            // An angle is a product of float32, whose error grows with the position.
            let tolerance = 1e-3 + length.total() as f32 * 1e-6;
            for (made, expected) in made.iter().zip([&expected.cos, &expected.sin]) {
                if !holds_angles(made, expected, half, length.rows, turned.rotary.interleaved, tolerance) {
                    return Err(differs(node, format!("it does not rotate by the positions and frequencies with {length}")));
                }
            }
        }
        self.held.extend(wanted.map(|value| (value, Kind::Angles)));
        Ok(())
    }
}

/// Whether a tensor holds `[rows, half]` cosines or sines: each once, each row twice, or each number twice.
fn holds_angles(made: &Tensor, expected: &[f32], half: usize, rows: usize, interleaved: bool, tolerance: f32) -> bool {
    let Data::Float(values) = &made.data else { return false };
    let width = if values.len() == rows * half { half } else { 2 * half };
    let pair = |column: usize| if interleaved && width > half { column / 2 } else { column % half };
    values.len() == rows * width
        && values.iter().enumerate().all(|(i, v)| (v - expected[i / width * half + pair(i % width)]).abs() <= tolerance)
}
