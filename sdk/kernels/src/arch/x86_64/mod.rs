//! The vector extensions of x86-64.

/// An instruction of the set that `self` proves to be present. For operations on values; what takes a pointer is unsafe anyway.
macro_rules! present {
    ($instruction:expr) => {{
        // SAFETY: the instruction only needs the processor to have it. `self` is the proof: it is made in `run` alone, which is
        // called where detection found the features.
        unsafe { $instruction }
    }};
}

pub(crate) mod avx2;
pub(crate) mod avx512;
