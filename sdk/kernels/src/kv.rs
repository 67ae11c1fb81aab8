//! The paged key and value cache: where a position of a layer's head lies.
//!
//! A page holds the keys and values of `page_positions` consecutive positions of one sequence, for all layers; an arena is one
//! allocation of pages. Which pages belong to which sequence, and who shares them, is the caller's book-keeping: here a page is a
//! number.
//!
//! ```text
//! page:  [layer][kv head] { keys [head_dim][positions], values [positions][value_dim] }
//! ```
//!
//! Keys are transposed so that a row's scores against a page and the weighted sum over its values are the same small product,
//! `[rows, inner] * [inner, columns]` with the columns together, and nothing is summed across vector lanes.

use std::borrow::Cow;
use std::ops::Range;

use crate::shape::{ShapeError, elements};

/// The heads of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerKv {
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Values a key (and query) head has.
    pub head_dim: usize,
    /// Values a value head has; the same as `head_dim` in nearly all models.
    pub value_dim: usize,
}

impl LayerKv {
    /// A layer whose keys and values have the same size.
    pub fn new(kv_heads: usize, head_dim: usize) -> LayerKv {
        LayerKv { kv_heads, head_dim, value_dim: head_dim }
    }

    /// Floats of one head in a page of `positions`.
    fn head_floats(&self, positions: usize) -> usize {
        (self.head_dim + self.value_dim) * positions
    }
}

/// The layout of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvLayout {
    layers: Vec<LayerKv>,
    /// Where each layer starts in a page, in floats.
    starts: Vec<usize>,
    page_floats: usize,
    page_positions: usize,
}

impl KvLayout {
    /// The layout for these layers, which may differ, with pages of 32 or 64 positions.
    ///
    /// # Errors
    /// [`ShapeError`] where there is no layer or no head, a head size is not a multiple of 4 up to 1024, or the page length is
    /// neither 32 nor 64.
    pub fn new(layers: &[LayerKv], page_positions: usize) -> Result<KvLayout, ShapeError> {
        if page_positions != 32 && page_positions != 64 {
            return Err(ShapeError::PagePositions { positions: page_positions });
        }
        let mut starts = Vec::with_capacity(layers.len());
        let mut page_floats = 0usize;
        for layer in layers {
            if layer.kv_heads == 0 {
                return Err(ShapeError::Empty { what: "key and value cache" });
            }
            for dim in [layer.head_dim, layer.value_dim] {
                if dim == 0 || dim % 4 != 0 || dim > 1024 {
                    return Err(ShapeError::HeadDim { dim });
                }
            }
            starts.push(page_floats);
            let floats = elements("cache page", &[layer.kv_heads, layer.head_floats(page_positions)])?;
            page_floats = page_floats.checked_add(floats).ok_or(ShapeError::TooLarge { what: "cache page" })?;
        }
        if layers.is_empty() {
            return Err(ShapeError::Empty { what: "key and value cache" });
        }
        Ok(KvLayout { layers: layers.to_vec(), starts, page_floats, page_positions })
    }

    /// The layers.
    pub fn layers(&self) -> &[LayerKv] {
        &self.layers
    }

    /// Positions a page.
    pub fn page_positions(&self) -> usize {
        self.page_positions
    }

    /// Bytes a page.
    pub fn page_bytes(&self) -> usize {
        self.page_floats * size_of::<f32>()
    }

    /// Counts the orders in which numbers have ever lain in a page: pages that were saved under another one mean something else.
    pub const ORDER: u32 = 1;

    /// Zeroes what a page holds behind its first `positions` positions.
    fn clear_behind(&self, positions: usize, page: &mut [f32]) {
        let stride = self.page_positions;
        for (layer, &LayerKv { kv_heads, head_dim, value_dim }) in self.layers.iter().enumerate() {
            for head in 0..kv_heads {
                let (keys, values) = self.head(layer, head);
                (0..head_dim).map(|dim| keys.start + dim * stride).for_each(|at| page[at + positions..at + stride].fill(0.));
                page[values.start + positions * value_dim..values.end].fill(0.);
            }
        }
    }

    /// Where the keys and the values of a head lie in a page, in floats.
    pub(crate) fn head(&self, layer: usize, head: usize) -> (Range<usize>, Range<usize>) {
        let heads = &self.layers[layer];
        assert!(head < heads.kv_heads, "head {head} of a layer with {}", heads.kv_heads);
        let keys = self.starts[layer] + head * heads.head_floats(self.page_positions);
        let values = keys + heads.head_dim * self.page_positions;
        (keys..values, values..values + heads.value_dim * self.page_positions)
    }
}

/// Floats of a cache line.
const LINE_FLOATS: usize = 16;

/// A fixed number of pages in one allocation. The system commits the memory of a page when it is first written.
pub struct KvArena {
    layout: KvLayout,
    pages: usize,
    /// `[pages, page_floats]` from `start` on. Every page starts on a cache line: `start` does, and a page holds a multiple of
    /// 4 * 32 floats. An allocator that is asked for such an alignment would clear the memory by hand and so commit all of it;
    /// that is why it is made here.
    floats: Vec<f32>,
    start: usize,
}

impl KvArena {
    /// An arena of `pages` zeroed pages.
    ///
    /// # Errors
    /// [`ShapeError::TooLarge`] where the system refuses the memory.
    pub fn new(layout: KvLayout, pages: usize) -> Result<KvArena, ShapeError> {
        let len = elements("cache arena", &[pages, layout.page_floats])?;
        let floats = bytemuck::allocation::try_zeroed_vec::<f32>(len.saturating_add(LINE_FLOATS))
            .map_err(|()| ShapeError::TooLarge { what: "cache arena" })?;
        let start = floats.as_ptr().align_offset(LINE_FLOATS * size_of::<f32>()).min(LINE_FLOATS);
        Ok(KvArena { layout, pages, floats, start })
    }

    /// The layout of its pages.
    pub fn layout(&self) -> &KvLayout {
        &self.layout
    }

    /// How many pages there are.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Bytes of the whole arena, committed or not.
    pub fn bytes(&self) -> usize {
        self.pages * self.page_bytes()
    }

    /// Bytes a page.
    pub fn page_bytes(&self) -> usize {
        self.layout.page_bytes()
    }

    /// The bytes of a page of which `positions` positions are held, `[page_bytes]`, in [`KvLayout::ORDER`]: to save it. Zeros
    /// stand for the positions behind them, whatever a sequence before may have left there.
    ///
    /// # Panics
    /// Where there is no such page or a page has fewer positions.
    pub fn saved_page(&self, page: u32, positions: usize) -> Cow<'_, [u8]> {
        assert!(positions <= self.layout.page_positions, "{positions} positions of a page of {}", self.layout.page_positions);
        if positions == self.layout.page_positions {
            return Cow::Borrowed(bytemuck::cast_slice(self.page(page)));
        }
        let mut floats = self.page(page).to_vec();
        self.layout.clear_behind(positions, &mut floats);
        Cow::Owned(bytemuck::cast_slice(&floats).to_vec())
    }

    /// The bytes of a page, `[page_bytes]`: to restore what [`saved_page`](Self::saved_page) gave.
    ///
    /// # Panics
    /// Where there is no such page.
    pub fn page_bytes_mut(&mut self, page: u32) -> &mut [u8] {
        let range = self.page_range(page);
        bytemuck::cast_slice_mut(&mut self.floats_mut()[range])
    }

    /// A page as floats, in the order that this module's text shows.
    fn page(&self, page: u32) -> &[f32] {
        &self.floats()[self.page_range(page)]
    }

    /// Copies the first `positions` positions of page `from` to page `to`: the half-filled page of a sequence that is forked.
    ///
    /// # Panics
    /// Where there is no such page or a page has fewer positions.
    pub fn copy_page(&mut self, from: u32, to: u32, positions: usize) {
        assert!(positions <= self.layout.page_positions, "{positions} positions of a page of {}", self.layout.page_positions);
        let (from, to) = (self.page_range(from).start, self.page_range(to).start);
        for layer in 0..self.layout.layers.len() {
            let LayerKv { kv_heads, head_dim, value_dim } = self.layout.layers[layer];
            for head in 0..kv_heads {
                let stride = self.layout.page_positions;
                let (keys, values) = self.layout.head(layer, head);
                let floats = self.floats_mut();
                for start in (0..head_dim).map(|dim| keys.start + dim * stride) {
                    floats.copy_within(from + start..from + start + positions, to + start);
                }
                floats.copy_within(from + values.start..from + values.start + positions * value_dim, to + values.start);
            }
        }
    }

    fn page_range(&self, page: u32) -> Range<usize> {
        let page = page as usize;
        assert!(page < self.pages, "page {page} of an arena of {}", self.pages);
        page * self.layout.page_floats..(page + 1) * self.layout.page_floats
    }

    fn floats(&self) -> &[f32] {
        &self.floats[self.start..]
    }

    /// The layout, and all pages `[pages, page floats]`.
    pub(crate) fn split(&mut self) -> (&KvLayout, &mut [f32]) {
        (&self.layout, &mut self.floats[self.start..])
    }

    fn floats_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..]
    }
}

impl std::fmt::Debug for KvArena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KvArena").field("pages", &self.pages).field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> KvLayout {
        KvLayout::new(&[LayerKv::new(2, 8), LayerKv { kv_heads: 1, head_dim: 4, value_dim: 12 }], 32).unwrap()
    }

    #[test]
    fn heads_fill_a_page_without_gaps() {
        let layout = layout();
        let mut next = 0;
        for (layer, heads) in layout.layers().iter().enumerate() {
            for head in 0..heads.kv_heads {
                let (keys, values) = layout.head(layer, head);
                assert_eq!((keys.start, keys.end), (next, values.start));
                assert_eq!((keys.len(), values.len()), (32 * heads.head_dim, 32 * heads.value_dim));
                next = values.end;
            }
        }
        assert_eq!(layout.page_bytes(), next * 4);
    }

    #[test]
    fn copying_part_of_a_page_copies_those_positions_and_no_other() {
        let mut arena = KvArena::new(layout(), 3).unwrap();
        assert_eq!(arena.bytes(), 3 * arena.page_bytes());
        fill(&mut arena, 2);
        arena.copy_page(2, 0, 5);
        for layer in 0..2 {
            let LayerKv { kv_heads, head_dim, value_dim } = arena.layout().layers()[layer];
            for head in 0..kv_heads {
                let (keys, values) = arena.layout().head(layer, head);
                for position in 0..32 {
                    let key = (0..head_dim).map(|dim| keys.start + dim * 32 + position);
                    let value = (0..value_dim).map(|dim| values.start + position * value_dim + dim);
                    for index in key.chain(value) {
                        assert_eq!(arena.page(0)[index], if position < 5 { index as f32 + 1. } else { 0. });
                    }
                }
            }
        }
        assert!(arena.page(1).iter().all(|&value| value == 0.));
    }

    /// Counts up from 1 through a page.
    fn fill(arena: &mut KvArena, page: u32) {
        for (index, bytes) in arena.page_bytes_mut(page).chunks_exact_mut(4).enumerate() {
            bytes.copy_from_slice(&(index as f32 + 1.).to_ne_bytes());
        }
    }

    #[test]
    fn a_saved_page_is_that_page_up_to_the_positions_held() {
        let mut arena = KvArena::new(layout(), 3).unwrap();
        fill(&mut arena, 1);
        for positions in [0, 1, 31, 32] {
            let saved = arena.saved_page(1, positions).into_owned();
            arena.page_bytes_mut(2).copy_from_slice(&saved);
            arena.page_bytes_mut(0).fill(0);
            arena.copy_page(1, 0, positions);
            assert_eq!(arena.page(2), arena.page(0), "{positions} positions");
        }
        let zeros = |positions| arena.saved_page(1, positions).chunks_exact(4).filter(|value| **value == [0; 4]).count();
        assert_eq!((zeros(32), zeros(31), zeros(0)), (0, 2 * 16 + 16, arena.page_bytes() / 4));
    }

    #[test]
    fn shapes_without_a_kernel_are_refused() {
        let one = [LayerKv::new(1, 64)];
        assert_eq!(KvLayout::new(&one, 48), Err(ShapeError::PagePositions { positions: 48 }));
        assert!(matches!(KvLayout::new(&[], 64), Err(ShapeError::Empty { .. })));
        assert!(matches!(KvLayout::new(&[LayerKv::new(0, 64)], 64), Err(ShapeError::Empty { .. })));
        for dim in [0, 6, 2048] {
            assert_eq!(KvLayout::new(&[LayerKv::new(1, dim)], 64), Err(ShapeError::HeadDim { dim }));
        }
        let too_many = KvArena::new(KvLayout::new(&one, 64).unwrap(), usize::MAX / 1024);
        assert!(matches!(too_many, Err(ShapeError::TooLarge { .. })));
    }

    #[test]
    #[should_panic(expected = "page 3 of an arena of 3")]
    fn a_page_that_is_not_there_is_a_mistake() {
        KvArena::new(layout(), 3).unwrap().copy_page(3, 0, 1);
    }
}
