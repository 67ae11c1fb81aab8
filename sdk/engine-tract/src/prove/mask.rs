//! What the masks of an attention let its rows see.

use super::attention::Cut;
use super::contract::Length;
use super::graph_piece::Piece;
use super::{Prover, differs};
use crate::recognise::Recogniser;
use kinglet_engine::EngineError;
use kinglet_reference::{Data, Tensor};

/// A number that is added to the score of a position that a row does not see is at most this; of what is seen, it is 0.
const HIDDEN: f32 = -1e4;
/// Positions of the longest context that masks are evaluated for, where no number in them asks for longer ones.
const LONG: usize = 4096;
/// Positions of the longest context that they are evaluated for at all.
const LONGEST: usize = 1 << 17;

impl<'s, 'g> Prover<'s, 'g> {
    /// The window of an attention, as its masks have it: none where each row sees all positions up to its own.
    ///
    /// Masks are evaluated without a past, with one, for a long context, and around each number that occurs in them, since a
    /// window must be such a number, or one beside it.
    pub(super) fn window(&mut self, recogniser: &Recogniser<'s, 'g>, cut: &Cut<'_, 'g>) -> Result<Option<usize>, EngineError> {
        let claim = cut.claim;
        if claim.masks.is_empty() {
            return Ok(None);
        }
        let causal = claim.node.int("is_causal") == Some(1);
        let key = (claim.masks.clone(), causal);
        if let Some(known) = self.windows.get(&key) {
            return Ok(*known);
        }
        let piece = self.piece(recogniser, &claim.masks, &[], claim.node)?;
        let mut seen = vec![];
        for length in self.lengths(&piece) {
            let made = self.evaluate(&piece, length, &Default::default(), &claim.masks);
            let made = made.map_err(|e| differs(claim.node, format!("its mask cannot be evaluated for {length}: {e}")))?;
            seen.extend(first_seen(&made, length, causal).map_err(|why| differs(claim.node, why))?);
        }
        let window = seen.iter().filter(|row| row.first > 0).map(|row| row.position + 1 - row.first).min();
        let expected = |position: usize| window.map_or(0, |window: usize| (position + 1).saturating_sub(window));
        match seen.iter().find(|row| row.first != expected(row.position)) {
            Some(odd) => Err(differs(
                claim.node,
                format!(
                    "by its mask, the row at position {} sees positions from {} on, which is no window",
                    odd.position, odd.first
                ),
            )),
            None => {
                self.windows.insert(key, window);
                Ok(window)
            }
        }
    }

    fn lengths(&self, piece: &Piece<'g>) -> Vec<Length> {
        let longest = self.facts.max_context.unwrap_or(LONG).clamp(1, LONG);
        let mut lengths = vec![
            Length { rows: 5, past: 0 },
            Length { rows: 3, past: 4 },
            Length { rows: 1, past: 9 },
            Length { rows: 1, past: longest.saturating_sub(1) },
        ];
        let configured = self.facts.sliding_window.as_ref().map(|w| w.positions);
        let numbers = piece.numbers.iter().filter_map(|n| usize::try_from(n.checked_abs()?).ok());
        let mut edges: Vec<usize> = numbers.chain(configured).filter(|n| (PLAIN..LONGEST).contains(n)).collect();
        edges.sort_unstable();
        edges.dedup();
        edges.truncate(MOST_EDGES);
        lengths.extend(edges.into_iter().map(|edge| Length { rows: 3, past: edge - 1 }));
        lengths
    }
}

/// Windows of fewer positions show in the short contexts.
const PLAIN: usize = 9;
/// Numbers in a mask around which it is evaluated.
const MOST_EDGES: usize = 16;

/// Where a row's sight begins: it sees all from there to its own position.
struct Row {
    position: usize,
    first: usize,
}

/// The rows' sight through all of the masks.
fn first_seen(masks: &[Tensor], length: Length, causal: bool) -> Result<Vec<Row>, String> {
    let (rows, total) = (length.rows, length.total());
    let mut seen: Vec<bool> = (0..rows).flat_map(|row| (0..total).map(move |p| !causal || p <= length.past + row)).collect();
    for mask in masks {
        restrict(&mut seen, mask, length)?;
    }
    let begins = |(row, seen): (usize, &[bool])| {
        let position = length.past + row;
        if let Some(later) = (position + 1..total).find(|p| seen[*p]) {
            return Err(format!("it is not causal: the row at position {position} sees position {later}"));
        }
        let first = seen.iter().position(|s| *s).filter(|first| seen[*first..=position].iter().all(|s| *s));
        let first = first.ok_or_else(|| format!("by its mask, the row at position {position} does not see all that is near"))?;
        Ok(Row { position, first })
    };
    seen.chunks_exact(total).enumerate().map(begins).collect()
}

/// Takes away what one mask hides, `[.., rows, total]` or what stretches to it.
fn restrict(seen: &mut [bool], mask: &Tensor, length: Length) -> Result<(), String> {
    let (rows, total) = (length.rows, length.total());
    let along = |back: usize| mask.dims.len().checked_sub(back).map_or(1, |axis| mask.dims[axis]);
    let (wide, high) = (along(1), along(2));
    if ![1, total].contains(&wide) || ![1, rows].contains(&high) {
        return Err(format!("its mask has the shape {:?} for {length}", mask.dims));
    }
    let plane = wide * high;
    if mask.data.is_empty() {
        return Err(format!("its mask is empty for {length}"));
    }
    let shows = shown(mask, wide, |row| if high == 1 { length.past } else { length.past + row })?;
    for (heads, here) in shows.chunks_exact(plane).enumerate() {
        if here != &shows[..plane] {
            return Err(format!("its mask is another one for head {heads} than for the first"));
        }
    }
    for (i, seen) in seen.iter_mut().enumerate() {
        let (row, position) = (i / total, i % total);
        *seen &= shows[if high == 1 { 0 } else { row } * wide + if wide == 1 { 0 } else { position }];
    }
    Ok(())
}

/// Which elements of a mask show a position: those that are 0 where it is added; where it chooses, those like a row's own.
fn shown(mask: &Tensor, wide: usize, own: impl Fn(usize) -> usize) -> Result<Vec<bool>, String> {
    let chosen = |values: Vec<bool>| {
        let like = values.get(if wide == 1 { 0 } else { own(0) }).copied().unwrap_or(true);
        Ok(values.into_iter().map(|v| v == like).collect())
    };
    match &mask.data {
        Data::Bool(values) => chosen(values.clone()),
        Data::Int(values) => chosen(values.iter().map(|v| *v != 0).collect()),
        Data::Float(values) => match values.iter().find(|v| **v != 0.0 && (**v > HIDDEN || v.is_nan())) {
            Some(odd) => Err(format!("its mask also adds {odd} to a score: linear biases are not known")),
            None => Ok(values.iter().map(|v| *v == 0.0).collect()),
        },
    }
}
