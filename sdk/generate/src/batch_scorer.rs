//! Batched scoring of sequences with a common prefix: the prefix is cached once, each sequence goes on from a fork of it,
//! and as many as fit share a step.

use crate::GenerateError;
use crate::generator::{Cache, chunks};
use kinglet_engine::{CancelToken, EngineError, LogitsWanted, SequenceStep, TokenId};
use std::ops::Range;

/// The positions whose logits the caller wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The last of each sequence.
    Last,
    /// All.
    All,
}

/// Sees row `position` of sequence `sequence`: `(sequence, position, logits [vocab])`. A group of sequences that found no
/// room is evaluated anew, so a row may come twice.
pub(crate) type Visit<'a> = dyn FnMut(usize, usize, &[f32]) -> Result<(), GenerateError> + 'a;

/// Evaluates sequences in batches after the prefix that `base` holds.
pub(crate) struct BatchScorer<'a> {
    base: &'a Cache,
    base_len: usize,
    cancel: &'a CancelToken,
    wanted: Wanted,
    /// Sequences a step takes at most: halved whenever the arena had no room for them.
    group: usize,
}

impl<'a> BatchScorer<'a> {
    /// `base` holds `base_len` positions, before and after.
    pub(crate) fn new(base: &'a Cache, base_len: usize, wanted: Wanted, cancel: &'a CancelToken) -> Self {
        Self { base, base_len, cancel, wanted, group: usize::MAX }
    }

    /// Evaluates each of `sequences`, none of them empty, after the base.
    ///
    /// # Errors
    /// Those of the engine and of `visit`; [`EngineError::CacheFull`] only if one sequence alone found no room.
    pub(crate) fn run(&mut self, sequences: &[&[TokenId]], visit: &mut Visit<'_>) -> Result<(), GenerateError> {
        let mut start = 0;
        while start < sequences.len() {
            let group = start..self.group_end(sequences, start);
            let (first, len) = (group.start, group.len());
            let fed = if len == 1 { self.alone(first, sequences[first], visit) } else { self.together(sequences, group, visit) };
            match fed {
                Ok(()) => start += len,
                Err(GenerateError::Engine(EngineError::CacheFull { .. })) if len > 1 => self.group = len / 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The end of the group that begins at `start`: at least one sequence, and no more than a step may take.
    fn group_end(&self, sequences: &[&[TokenId]], start: usize) -> usize {
        let most = sequences.len().min(start.saturating_add(self.group));
        let (mut rows, mut wanted) = (0, 0);
        let fits = sequences[start..most].iter().take_while(|tokens| {
            rows += tokens.len();
            wanted += if self.wanted == Wanted::All { tokens.len() } else { 1 };
            rows <= self.rows() && wanted <= self.wanted_rows()
        });
        start + fits.count().max(1)
    }

    fn rows(&self) -> usize {
        self.base.generator().options().batch_rows
    }

    fn wanted_rows(&self) -> usize {
        self.base.generator().scheduler().logits_rows()
    }

    /// One step over forks of the base.
    fn together(&self, sequences: &[&[TokenId]], group: Range<usize>, visit: &mut Visit<'_>) -> Result<(), GenerateError> {
        let forks = group.clone().map(|_| self.base.fork()).collect::<Result<Vec<_>, _>>()?;
        let logits = if self.wanted == Wanted::All { LogitsWanted::All } else { LogitsWanted::Last };
        let steps: Vec<_> = forks
            .iter()
            .zip(&sequences[group.clone()])
            .map(|(fork, tokens)| SequenceStep { cache: fork.id, tokens, logits: logits.clone() })
            .collect();
        self.base.generator().scheduler().step(&steps, self.cancel, |rows| {
            let mut row = 0;
            for (sequence, step) in group.zip(&steps) {
                for position in step.logits.indices(step.tokens.len()) {
                    visit(sequence, position, rows.row(row))?;
                    row += 1;
                }
            }
            Ok(())
        })?
    }

    /// A sequence by itself needs no fork: it extends the base, which is then truncated. Read in chunks if it is long.
    fn alone(&self, sequence: usize, tokens: &[TokenId], visit: &mut Visit<'_>) -> Result<(), GenerateError> {
        let fed = self.alone_on_base(sequence, tokens, visit);
        let cut = self.base.truncate(self.base_len);
        fed.and(cut.map_err(GenerateError::from))
    }

    fn alone_on_base(&self, sequence: usize, tokens: &[TokenId], visit: &mut Visit<'_>) -> Result<(), GenerateError> {
        let size = if self.wanted == Wanted::All { self.rows().min(self.wanted_rows()) } else { self.rows() };
        let mut before = 0;
        for (piece, is_last) in chunks(tokens, size) {
            let logits = match self.wanted {
                Wanted::All => LogitsWanted::All,
                Wanted::Last if is_last => LogitsWanted::Last,
                Wanted::Last => LogitsWanted::None,
            };
            let positions = logits.indices(piece.len());
            let step = SequenceStep { cache: self.base.id, tokens: piece, logits };
            self.base.generator().scheduler().step(&[step], self.cancel, |rows| {
                let mut seen = positions.into_iter().enumerate();
                seen.try_for_each(|(row, position)| visit(sequence, before + position, rows.row(row)))
            })??;
            before += piece.len();
        }
        Ok(())
    }
}
