//! Instructions for which stable Rust has no intrinsics. As with intrinsics, they are inlined where their features are enabled.

use std::arch::aarch64::{int8x16_t, int32x4_t, uint8x16_t};
use std::arch::asm;

/// Adds to each lane of `sum` the four products of its bytes of `a` and `b`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn sdot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: reads and writes registers only.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// As [`sdot`], with lane `LANE` of `b` in place of every one.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn sdot_lane<const LANE: i32>(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: reads and writes registers only.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.4b[{lane}]",
            sum = inout(vreg) sum, a = in(vreg) a, b = in(vreg) b, lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// Adds to each lane of `sum` the four products of its bytes of `a`, which are unsigned, and `b`.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub(super) fn usdot(mut sum: int32x4_t, a: uint8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: reads and writes registers only.
    unsafe {
        asm!(
            "usdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// As [`usdot`], with lane `LANE` of `b` in place of every one.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub(super) fn usdot_lane<const LANE: i32>(mut sum: int32x4_t, a: uint8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: reads and writes registers only.
    unsafe {
        asm!(
            "usdot {sum:v}.4s, {a:v}.16b, {b:v}.4b[{lane}]",
            sum = inout(vreg) sum, a = in(vreg) a, b = in(vreg) b, lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// Asks for the cache line at `address`, which need not be valid, into the first-level cache.
#[inline(always)]
pub(super) fn prefetch(address: *const u8) {
    // SAFETY: a hint; it neither reads nor faults.
    unsafe { asm!("prfm pldl1keep, [{address}]", address = in(reg) address, options(readonly, nostack, preserves_flags)) }
}

/// As [`prefetch`], into the second-level cache.
#[inline(always)]
pub(super) fn prefetch_second_level(address: *const u8) {
    // SAFETY: a hint; it neither reads nor faults.
    unsafe { asm!("prfm pldl2keep, [{address}]", address = in(reg) address, options(readonly, nostack, preserves_flags)) }
}
