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

use crate::memory::LargePages;
use crate::shape::{ShapeError, elements};

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvElement {
    /// Single precision.
    #[default]
    Float32,
    /// Half precision: half the memory, and 11 bits of each number.
    Float16,
}

impl KvElement {
    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            KvElement::Float32 => 4,
            KvElement::Float16 => 2,
        }
    }
}

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

    /// Numbers of one head in a page of `positions`.
    fn head_numbers(&self, positions: usize) -> usize {
        (self.head_dim + self.value_dim) * positions
    }
}

/// The layout of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvLayout {
    layers: Vec<LayerKv>,
    element: KvElement,
    /// Where each layer starts in a page, in bytes.
    starts: Vec<usize>,
    page_bytes: usize,
    page_positions: usize,
}

impl KvLayout {
    /// The layout for these layers, which may differ, with pages of 32 or 64 positions of such elements.
    ///
    /// # Errors
    /// [`ShapeError`] where there is no layer or no head, a head size is not a multiple of 4 up to 1024, or the page length is
    /// neither 32 nor 64.
    pub fn new(layers: &[LayerKv], page_positions: usize, element: KvElement) -> Result<KvLayout, ShapeError> {
        if page_positions != 32 && page_positions != 64 {
            return Err(ShapeError::PagePositions { positions: page_positions });
        }
        let mut starts = Vec::with_capacity(layers.len());
        let mut page_bytes = 0usize;
        for layer in layers {
            if layer.kv_heads == 0 {
                return Err(ShapeError::Empty { what: "key and value cache" });
            }
            for dim in [layer.head_dim, layer.value_dim] {
                if dim == 0 || dim % 4 != 0 || dim > 1024 {
                    return Err(ShapeError::HeadDim { dim });
                }
            }
            starts.push(page_bytes);
            let bytes = elements("cache page", &[layer.kv_heads, layer.head_numbers(page_positions), element.bytes()])?;
            page_bytes = page_bytes.checked_add(bytes).ok_or(ShapeError::TooLarge { what: "cache page" })?;
        }
        if layers.is_empty() {
            return Err(ShapeError::Empty { what: "key and value cache" });
        }
        Ok(KvLayout { layers: layers.to_vec(), element, starts, page_bytes, page_positions })
    }

    /// The layers.
    pub fn layers(&self) -> &[LayerKv] {
        &self.layers
    }

    /// How keys and values are stored.
    pub fn element(&self) -> KvElement {
        self.element
    }

    /// Positions a page.
    pub fn page_positions(&self) -> usize {
        self.page_positions
    }

    /// Bytes a page.
    pub fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Counts the orders in which numbers have ever lain in a page: pages that were saved under another one mean something else.
    pub const ORDER: u32 = 1;

    /// Zeroes what a page holds behind its first `positions` positions.
    fn clear_behind(&self, positions: usize, page: &mut [u8]) {
        let (stride, size) = (self.page_positions * self.element.bytes(), self.element.bytes());
        for (layer, &LayerKv { kv_heads, head_dim, value_dim }) in self.layers.iter().enumerate() {
            for head in 0..kv_heads {
                let (keys, values) = self.head(layer, head);
                (0..head_dim)
                    .map(|dim| keys.start + dim * stride)
                    .for_each(|at| page[at + positions * size..at + stride].fill(0));
                page[values.start + positions * value_dim * size..values.end].fill(0);
            }
        }
    }

    /// Where the keys and the values of a head lie in a page, in bytes.
    pub(crate) fn head(&self, layer: usize, head: usize) -> (Range<usize>, Range<usize>) {
        let heads = &self.layers[layer];
        assert!(head < heads.kv_heads, "head {head} of a layer with {}", heads.kv_heads);
        let position = self.page_positions * self.element.bytes();
        let keys = self.starts[layer] + head * heads.head_numbers(position);
        let values = keys + heads.head_dim * position;
        (keys..values, values..values + heads.value_dim * position)
    }
}

/// A fixed number of pages in one allocation. The system commits the memory of a page when it is first written.
pub struct KvArena {
    layout: KvLayout,
    pages: usize,
    /// `[pages, page_bytes]`. Every page starts on a cache line: the memory does, and a page holds a multiple of 8 * 32 numbers.
    memory: LargePages,
}

impl KvArena {
    /// An arena of `pages` zeroed pages.
    ///
    /// # Errors
    /// [`ShapeError::TooLarge`] where the system refuses the memory.
    pub fn new(layout: KvLayout, pages: usize) -> Result<KvArena, ShapeError> {
        let len = elements("cache arena", &[pages, layout.page_bytes])?;
        let memory = LargePages::new(len).map_err(|_| ShapeError::TooLarge { what: "cache arena" })?;
        Ok(KvArena { layout, pages, memory })
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
            return Cow::Borrowed(self.page(page));
        }
        let mut bytes = self.page(page).to_vec();
        self.layout.clear_behind(positions, &mut bytes);
        Cow::Owned(bytes)
    }

    /// The bytes of a page, `[page_bytes]`: to restore what [`saved_page`](Self::saved_page) gave.
    ///
    /// # Panics
    /// Where there is no such page.
    pub fn page_bytes_mut(&mut self, page: u32) -> &mut [u8] {
        let range = self.page_range(page);
        &mut self.memory.bytes_mut()[range]
    }

    /// A page's bytes, in the order that this module's text shows.
    fn page(&self, page: u32) -> &[u8] {
        &self.memory.bytes()[self.page_range(page)]
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
                let size = self.layout.element.bytes();
                let (stride, held) = (self.layout.page_positions * size, positions * size);
                let (keys, values) = self.layout.head(layer, head);
                let bytes = self.memory.bytes_mut();
                for start in (0..head_dim).map(|dim| keys.start + dim * stride) {
                    bytes.copy_within(from + start..from + start + held, to + start);
                }
                bytes.copy_within(from + values.start..from + values.start + held * value_dim, to + values.start);
            }
        }
    }

    /// Gives the memory of pages that nobody holds back to the system, as far as whole pages of the system lie in them. They hold
    /// anything then, and take memory again when they are written.
    ///
    /// # Panics
    /// Where there is no such page.
    pub fn give_back(&mut self, pages: &[u32]) {
        let mut sorted = pages.to_vec();
        sorted.sort_unstable();
        for run in sorted.chunk_by(|a, b| a + 1 == *b) {
            let (first, last) = (self.page_range(run[0]), self.page_range(run[run.len() - 1]));
            self.memory.give_back(first.start..last.end);
        }
    }

    fn page_range(&self, page: u32) -> Range<usize> {
        let page = page as usize;
        assert!(page < self.pages, "page {page} of an arena of {}", self.pages);
        page * self.layout.page_bytes..(page + 1) * self.layout.page_bytes
    }

    /// The layout, and all pages `[pages, page bytes]`.
    pub(crate) fn split(&mut self) -> (&KvLayout, &mut [u8]) {
        (&self.layout, self.memory.bytes_mut())
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

    const ELEMENTS: [KvElement; 2] = [KvElement::Float32, KvElement::Float16];

    fn layout(element: KvElement) -> KvLayout {
        KvLayout::new(&[LayerKv::new(2, 8), LayerKv { kv_heads: 1, head_dim: 4, value_dim: 12 }], 32, element).unwrap()
    }

    /// No byte of a page zero, and different ones in neighbouring numbers.
    fn fill(arena: &mut KvArena, page: u32) {
        arena.page_bytes_mut(page).iter_mut().enumerate().for_each(|(index, byte)| *byte = (index % 251) as u8 + 1);
    }

    #[test]
    fn heads_fill_a_page_without_gaps() {
        for element in ELEMENTS {
            let layout = layout(element);
            let mut next = 0;
            for (layer, heads) in layout.layers().iter().enumerate() {
                for head in 0..heads.kv_heads {
                    let (keys, values) = layout.head(layer, head);
                    assert_eq!((keys.start, keys.end), (next, values.start));
                    let bytes = 32 * element.bytes();
                    assert_eq!((keys.len(), values.len()), (bytes * heads.head_dim, bytes * heads.value_dim));
                    next = values.end;
                }
            }
            assert_eq!(layout.page_bytes(), next);
        }
    }

    #[test]
    fn copying_part_of_a_page_copies_those_positions_and_no_other() {
        for element in ELEMENTS {
            let mut arena = KvArena::new(layout(element), 3).unwrap();
            assert_eq!(arena.bytes(), 3 * arena.page_bytes());
            fill(&mut arena, 2);
            arena.copy_page(2, 0, 5);
            for layer in 0..2 {
                let LayerKv { kv_heads, head_dim, value_dim } = arena.layout().layers()[layer];
                for head in 0..kv_heads {
                    let (keys, values) = arena.layout().head(layer, head);
                    let (keys, values) = (keys.start / element.bytes(), values.start / element.bytes());
                    for position in 0..32 {
                        let key = (0..head_dim).map(|dim| keys + dim * 32 + position);
                        let value = (0..value_dim).map(|dim| values + position * value_dim + dim);
                        for index in key.chain(value).flat_map(|number| number * element.bytes()..(number + 1) * element.bytes())
                        {
                            let want = if position < 5 { arena.page(2)[index] } else { 0 };
                            assert_eq!(arena.page(0)[index], want, "{element:?} byte {index}");
                        }
                    }
                }
            }
            assert!(arena.page(1).iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn a_saved_page_is_that_page_up_to_the_positions_held() {
        for element in ELEMENTS {
            let mut arena = KvArena::new(layout(element), 3).unwrap();
            fill(&mut arena, 1);
            for positions in [0, 1, 31, 32] {
                let saved = arena.saved_page(1, positions).into_owned();
                arena.page_bytes_mut(2).copy_from_slice(&saved);
                arena.page_bytes_mut(0).fill(0);
                arena.copy_page(1, 0, positions);
                assert_eq!(arena.page(2), arena.page(0), "{positions} positions");
            }
            let zeros = |positions| arena.saved_page(1, positions).iter().filter(|byte| **byte == 0).count();
            assert_eq!((zeros(32), zeros(31), zeros(0)), (0, (2 * 16 + 16) * element.bytes(), arena.page_bytes()));
        }
    }

    #[test]
    fn shapes_without_a_kernel_are_refused() {
        let one = [LayerKv::new(1, 64)];
        let new = |layers: &[LayerKv], positions| KvLayout::new(layers, positions, KvElement::Float32);
        assert_eq!(new(&one, 48), Err(ShapeError::PagePositions { positions: 48 }));
        assert!(matches!(new(&[], 64), Err(ShapeError::Empty { .. })));
        assert!(matches!(new(&[LayerKv::new(0, 64)], 64), Err(ShapeError::Empty { .. })));
        for dim in [0, 6, 2048] {
            assert_eq!(new(&[LayerKv::new(1, dim)], 64), Err(ShapeError::HeadDim { dim }));
        }
        let too_many = KvArena::new(new(&one, 64).unwrap(), usize::MAX / 1024);
        assert!(matches!(too_many, Err(ShapeError::TooLarge { .. })));
    }

    #[test]
    #[should_panic(expected = "page 3 of an arena of 3")]
    fn a_page_that_is_not_there_is_a_mistake() {
        KvArena::new(layout(KvElement::Float32), 3).unwrap().copy_page(3, 0, 1);
    }
}
