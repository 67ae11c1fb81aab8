//! The positions that the masks of an attention let its rows see.

use super::attention::Cut;
use super::contract::Length;
use super::graph_piece::Piece;
use super::{AttentionClaim, Prover, differs};
use crate::recognise::Recogniser;
use kinglet_engine::EngineError;
use kinglet_reference::{Data, Tensor};

/// A number that is added to the score of a position that a row does not see is at most this; of what is seen, it is 0.
const HIDDEN: f32 = -1e4;
/// Positions of the longest context that masks are evaluated for.
const LONGEST: usize = 1 << 17;

impl<'s, 'g> Prover<'s, 'g> {
    /// The window of an attention, as its masks have it: none where each row sees all positions up to its own.
    ///
    /// Masks are evaluated for all rows of a short context, for some of longer ones up to that of the model, around each number
    /// that occurs in them and the products of two of these, and around the edges of the window that was found. So are the values
    /// that stand for hidden scores, and the conditions that guard the heads.
    pub(super) fn window(&mut self, recogniser: &Recogniser<'s, 'g>, cut: &Cut<'_, 'g>) -> Result<Option<usize>, EngineError> {
        let claim = cut.claim;
        let around: Vec<&'g str> = claim.hidden.iter().copied().chain(claim.guards.iter().map(|(value, _)| *value)).collect();
        let values: Vec<&'g str> = claim.masks.iter().copied().chain(around).collect();
        if values.is_empty() {
            return Ok(None);
        }
        let causal = claim.node.int("is_causal") == Some(1);
        let wanted = claim.guards.iter().map(|(_, wanted)| *wanted);
        let key = (values.clone(), std::iter::once(causal).chain(wanted).collect());
        if let Some(known) = self.windows.get(&key) {
            return Ok(*known);
        }
        let piece = self.piece(recogniser, &values, &[], claim.node)?;
        let mut seen = vec![];
        for length in self.lengths(&piece) {
            seen.extend(self.seen(&piece, &values, length, claim, causal)?);
        }
        let window_of = |seen: &[Row]| seen.iter().filter(|row| row.first > 0).map(|row| row.position + 1 - row.first).min();
        let edges = window_of(&seen).map(|window| [window - 1, window, 2 * window, 3 * window - 1]);
        let longest = self.longest_context(LONGEST);
        for past in edges.into_iter().flatten().filter(|past| past + 3 <= longest) {
            seen.extend(self.seen(&piece, &values, Length { rows: 3, past }, claim, causal)?);
        }
        let window = window_of(&seen);
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

    /// The positions that each row of one length sees. Refused where a value for hidden scores does not hide them, a guard takes
    /// heads away, or a row does not see one contiguous range that ends at its own position.
    fn seen(
        &mut self,
        piece: &Piece<'g>,
        values: &[&'g str],
        length: Length,
        claim: &AttentionClaim<'g>,
        causal: bool,
    ) -> Result<Vec<Row>, EngineError> {
        let made = self.evaluate(piece, length, &Default::default(), values);
        let made = made.map_err(|e| differs(claim.node, format!("its mask cannot be evaluated for {length}: {e}")))?;
        let (masks, around) = made.split_at(claim.masks.len());
        let (hidden, guards) = around.split_at(claim.hidden.len());
        for tensor in hidden {
            let hides = matches!(&tensor.data, Data::Float(values) if values.iter().all(|v| *v <= HIDDEN));
            if !hides {
                return Err(differs(claim.node, format!("for {length}, what its mask hides is no number of {HIDDEN} or less")));
            }
        }
        for (tensor, (name, wanted)) in guards.iter().zip(&claim.guards) {
            let holds = matches!(&tensor.data, Data::Bool(values) if values.iter().all(|v| v == wanted));
            if !holds {
                return Err(differs(
                    claim.node,
                    format!("for {length}, `{name}` takes heads away from a row that sees positions"),
                ));
            }
        }
        first_seen(masks, length, causal).map_err(|why| differs(claim.node, why))
    }

    fn lengths(&self, piece: &Piece<'g>) -> Vec<Length> {
        let longest = self.longest_context(LONGEST);
        let mut lengths = vec![
            Length { rows: 5, past: 0 },
            Length { rows: 3, past: 4 },
            Length { rows: 1, past: 9 },
            Length { rows: longest.min(ALL_ROWS), past: 0 },
            Length { rows: 1, past: longest - 1 },
        ];
        let configured = self.facts.sliding_window.as_ref().map(|w| w.positions);
        let numbers = piece.numbers.iter().filter_map(|n| usize::try_from(n.checked_abs()?).ok());
        let mut numbers: Vec<usize> = numbers.filter(|n| (2..LONGEST).contains(n)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.truncate(MOST_NUMBERS);
        let products = numbers.iter().flat_map(|a| numbers.iter().filter(move |b| *b >= a).map(move |b| a * b));
        let mut edges: Vec<usize> = numbers.iter().copied().chain(products).filter(|edge| *edge < LONGEST).collect();
        edges.extend(configured);
        // Some lengths between, for what is computed otherwise.
        edges.extend(std::iter::successors(Some(ALL_ROWS), |at| Some(at * 7 / 4)).take_while(|at| *at < longest));
        edges.retain(|edge| (PLAIN..=longest.max(configured.unwrap_or_default())).contains(edge));
        edges.sort_unstable();
        edges.dedup();
        lengths.extend(edges.into_iter().map(|edge| Length { rows: 3, past: edge - 1 }));
        lengths
    }
}

/// Windows of fewer positions show in the short contexts.
const PLAIN: usize = 9;
/// Numbers in a mask around which it is evaluated, and around the products of two of them.
const MOST_NUMBERS: usize = 12;
/// Rows of the context that is evaluated as a whole.
const ALL_ROWS: usize = 192;

/// The positions that a row sees: from `first` to its own.
struct Row {
    position: usize,
    first: usize,
}

/// The positions that each row sees through all of the masks.
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
