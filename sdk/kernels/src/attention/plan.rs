//! The division of an attention into items: the rows that are processed together.

use std::ops::Range;

use super::{AttentionShape, ITEM_QUERIES, SequenceRows};

/// The items of a call; the buffers are reused by the next one.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Rows of one sequence that are written to one page, for one head.
    pub(super) writes: Vec<Item>,
    /// Rows whose attention is computed together, for one head.
    pub(super) reads: Vec<Item>,
    /// Pages written to.
    written: Vec<u32>,
}

/// Some rows of a sequence, or of several, for one head of keys and values.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The sequences, by their places in the call; several only in `reads`, and only where each has one row.
    pub(super) runs: Range<usize>,
    pub(super) head: usize,
    /// Counted from the sequence's first row.
    pub(super) rows: Range<usize>,
    /// Number of first pages that several sequences share, all of them before the row's own.
    pub(super) shared: usize,
}

impl Plan {
    /// Makes the items of these sequences. Sequences share items only as far as that leaves an item for each of the `threads`.
    ///
    /// # Panics
    /// Where two sequences write to one page.
    pub(super) fn fill(
        &mut self,
        kv_heads: usize,
        positions: usize,
        shape: &AttentionShape<'_>,
        runs: &[SequenceRows<'_>],
        threads: usize,
    ) {
        self.writes.clear();
        self.reads.clear();
        self.written.clear();
        let together = (ITEM_QUERIES * kv_heads / shape.q_heads).max(1);
        for (index, run) in runs.iter().enumerate() {
            let mut row = 0;
            while row < run.rows {
                let end = (row + positions - (run.past + row) % positions).min(run.rows);
                self.written.push(run.pages[(run.past + row) / positions]);
                let item = Item { runs: index..index + 1, head: 0, rows: row..end, shared: 0 };
                self.writes.extend((0..kv_heads).map(|head| Item { head, ..item.clone() }));
                row = end;
            }
        }
        let most = together.min(runs.len() * kv_heads / threads).max(1);
        let mut first = 0;
        while first < runs.len() {
            let (count, shared) = alike(&runs[first..], positions, most);
            let rows = runs[first].rows;
            // The last rows see the most positions and go first, so that the work ends evenly.
            for row in (0..rows).step_by(together).rev() {
                let item = Item { runs: first..first + count, head: 0, rows: row..(row + together).min(rows), shared };
                self.reads.extend((0..kv_heads).map(|head| Item { head, ..item.clone() }));
            }
            first += count;
        }
        self.written.sort_unstable();
        assert!(self.written.windows(2).all(|pair| pair[0] != pair[1]), "two runs write to one page: {:?}", self.written);
    }
}

/// How many of the sequences, from the first and at most `most`, have one row and begin with common full pages, and the number of
/// these pages; a sequence by itself shares none.
fn alike(runs: &[SequenceRows<'_>], positions: usize, most: usize) -> (usize, usize) {
    let full = |run: &SequenceRows<'_>| run.past / positions;
    let (mut count, mut shared) = (1, full(&runs[0]));
    while count < most.min(runs.len()) && runs[0].rows == 1 && runs[count].rows == 1 {
        let (a, b) = (&runs[0].pages[..shared], &runs[count].pages[..full(&runs[count])]);
        let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        // Sharing fewer pages would take common pages from the sequences before.
        if common == 0 || (count > 1 && common < shared) {
            break;
        }
        (count, shared) = (count + 1, common);
    }
    if count == 1 { (1, 0) } else { (count, shared) }
}
