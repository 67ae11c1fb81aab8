//! Weights unpacked for many rows of x: from where a file has them, or from tiles.

use std::mem::MaybeUninit;

use half::f16;

use super::gemm::{Strip, VECTORS};
use super::parameters::{AnyBlock, FourRows, StepParameters};
use super::quantise::phase_major;
use crate::lines::Line;
use crate::matrix::{BlockWeights, Points, TiledWeights};
use crate::simd::{MAX_LANES, Simd};

/// Fills vector `t` of the strip with the `held` weight rows from `first`, blocks by their place within a vector; where the rows are
/// fewer than lanes, the last stands in.
///
/// # Safety
/// The rows exist, and the strip has room for a row's blocks, padded.
#[inline(always)]
pub(super) unsafe fn unpack<S: Simd, const BITS: usize>(
    s: S,
    weights: &BlockWeights<'_>,
    first: usize,
    held: usize,
    strip: Strip,
    t: usize,
) {
    let step_bytes = S::LANES * BITS;
    let row_bytes = weights.row_bytes();
    let row = |i: usize| weights.packed.as_ptr().wrapping_add((first + i.min(held - 1)) * row_bytes);
    for step in 0..strip.blocks * 4 / S::LANES {
        let used = step * step_bytes;
        // SAFETY: the caller's promise; a step that the row does not fill is copied to a padded buffer first.
        unsafe {
            if used + step_bytes <= row_bytes {
                unpack_values::<S, BITS>(s, &std::array::from_fn(|i| row(i).add(used)), strip, t, step);
            } else {
                let mut padded = [[0u8; MAX_LANES * 8]; MAX_LANES];
                for (i, padded) in padded.iter_mut().enumerate() {
                    let left = row_bytes.saturating_sub(used);
                    std::ptr::copy_nonoverlapping(row(i).add(row_bytes - left), padded.as_mut_ptr(), left);
                }
                unpack_values::<S, BITS>(s, &std::array::from_fn(|i| padded[i].as_ptr()), strip, t, step);
            }
            unpack_parameters::<S, BITS>(s, weights, first, held, strip, t, step);
        }
    }
}

/// The bytes of one step.
///
/// # Safety
/// The first `LANES` pointers are valid for reads of a step, `LANES * BITS` bytes; the strip has the step.
#[inline(always)]
unsafe fn unpack_values<S: Simd, const BITS: usize>(s: S, rows: &[*const u8; MAX_LANES], strip: Strip, t: usize, step: usize) {
    let vector = 4 * S::LANES;
    let mut staging = MaybeUninit::<[Line; MAX_LANES]>::uninit();
    let staging = staging.as_mut_ptr().cast::<u8>();
    // SAFETY: `staging` holds a square of the widest vector, of which `transpose` writes all that is read; vector j of a block of
    // the step lies within the strip.
    unsafe {
        let to = |block: usize, j: usize| strip.value::<S>(t, phase_major::<S>(step * (S::LANES / 4) + block, strip.blocks), j);
        if BITS == 4 {
            s.transpose(rows, staging);
            for column in 0..S::LANES {
                let (even, odd) = s.split_nibbles(s.load_bytes(staging.add(column * vector)));
                s.store_bytes(to(column / 4, column % 4), even);
                s.store_bytes(to(column / 4, 4 + column % 4), odd);
            }
        } else {
            for half in 0..2 {
                s.transpose(&rows.map(|row| row.wrapping_add(half * vector)), staging);
                for column in 0..S::LANES {
                    let at = half * S::LANES + column;
                    s.store_bytes(to(at / VECTORS, at % VECTORS), s.load_bytes(staging.add(column * vector)));
                }
            }
        }
    }
}

/// The scales and zero points of one step.
///
/// # Safety
/// As for [`unpack`].
#[inline(always)]
unsafe fn unpack_parameters<S: Simd, const BITS: usize>(
    s: S,
    weights: &BlockWeights<'_>,
    first: usize,
    held: usize,
    strip: Strip,
    t: usize,
    step: usize,
) {
    let phases = S::LANES / 4;
    let parameters = AnyBlock::new(weights);
    let mut quads = Line([0.; 16]);
    let mut lane = 0;
    while lane < S::LANES {
        // Four rows at once while there are; then one by one, the last for all lanes without a row.
        let count = if lane + 4 <= held { 4 } else { 1 };
        let rows = FourRows { first: first + lane.min(held - 1), stride: count / 4 };
        let at = |block: usize| phase_major::<S>(step * phases + block, strip.blocks);
        // SAFETY: `quads` has room for any vector; `count` lanes of each block lie within the strip.
        unsafe {
            s.store(quads.0.as_mut_ptr(), parameters.scales(s, rows, step));
            for block in 0..phases {
                strip.scale::<S>(t, at(block)).add(lane).copy_from_nonoverlapping(quads.0.as_ptr().add(block * 4), count);
            }
            if let Some(zero_points) = parameters.zero_points::<S, BITS>(s, rows, step) {
                s.store_bytes(quads.0.as_mut_ptr().cast(), zero_points);
                for block in 0..phases {
                    strip
                        .zero_point::<S>(t, at(block))
                        .add(lane)
                        .copy_from_nonoverlapping(quads.0.as_ptr().add(block * 4).cast(), count);
                }
            }
        }
        lane += count;
    }
}

/// Fills vector `t` of the strip with tile `index`: its blocks in order.
///
/// # Safety
/// The tile exists and was made for this instruction set; the strip has room for its blocks.
#[inline(always)]
pub(super) unsafe fn unpack_tile<S: Simd, const BITS: usize>(
    s: S,
    weights: &TiledWeights<'_>,
    index: usize,
    strip: Strip,
    t: usize,
) {
    let (shape, vector) = (weights.shape, 4 * S::LANES);
    let from = weights.bytes[index * shape.tile_bytes()..].as_ptr();
    // SAFETY: the caller's promise: a tile has `BITS` vectors a block, and a float16 a lane for its parameters.
    unsafe {
        for block in 0..strip.blocks {
            let values = from.add(shape.block_at(block));
            for j in 0..BITS {
                let bytes = s.load_bytes(values.add(j * vector));
                if BITS == 4 {
                    let (even, odd) = s.split_nibbles(bytes);
                    s.store_bytes(strip.value::<S>(t, block, j), even);
                    s.store_bytes(strip.value::<S>(t, block, 4 + j), odd);
                } else {
                    s.store_bytes(strip.value::<S>(t, block, j), bytes);
                }
            }
            let (scales, zero_points) = shape.parameters_at(block);
            s.store(strip.scale::<S>(t, block), s.load_f16(from.add(scales).cast()));
            let stored = from.add(zero_points).cast::<f16>();
            match shape.zero_points {
                Points::Middle => {}
                Points::Whole => {
                    let whole = s.add_int(s.to_int(s.load_f16(stored)), s.splat_int(-taken_off::<S, BITS>()));
                    s.store_bytes(strip.zero_point::<S>(t, block).cast(), whole);
                }
                Points::Offset => s.store(strip.zero_point::<S>(t, block).cast(), s.load_f16(stored)),
            }
        }
    }
}

/// The middle of the range of `BITS`, less the bias that products subtract.
#[inline(always)]
pub(super) fn middle<S: Simd, const BITS: usize>() -> i32 {
    (1 << (BITS - 1)) - taken_off::<S, BITS>()
}

/// The bias that products subtract from each weight of `BITS`.
#[inline(always)]
pub(super) fn taken_off<S: Simd, const BITS: usize>() -> i32 {
    if BITS == 4 { 0 } else { S::BYTE_BIAS }
}
