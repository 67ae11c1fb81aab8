//! The instruction sets: one thin file each. `scalar` is plain Rust and serves every machine and as the reference.

/// An instruction of the set that `self` proves to be present. For operations on values; what takes a pointer is unsafe anyway.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! present {
    ($instruction:expr) => {{
        // SAFETY: the instruction only needs the processor to have it. `self` is the proof: it is made in `run` alone, which is
        // called where detection found the features.
        unsafe { $instruction }
    }};
}

#[cfg(target_arch = "aarch64")]
pub(crate) mod aarch64;
pub(crate) mod scalar;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;

use crate::cpu::{Isa, Level};
use crate::simd::{Kernel, Simd};

impl Level {
    /// 32-bit lanes of a vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Level::Scalar => scalar::Scalar::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 | Level::AvxVnni => x86_64::LANES_256,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => x86_64::avx512::Avx512::LANES,
            #[cfg(target_arch = "aarch64")]
            Level::Neon | Level::NeonDotProd | Level::NeonI8mm => aarch64::LANES,
        }
    }
}

impl Isa {
    /// Runs a kernel's body as compiled for this instruction set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        match self.0 {
            Level::Scalar => kernel.run(scalar::Scalar),
            // SAFETY: an `Isa` of this level exists only where `Level::detected` found the features.
            #[cfg(target_arch = "x86_64")]
            Level::AvxVnni if K::MULTIPLIES_BYTES => unsafe { x86_64::avx_vnni::run(kernel) },
            // SAFETY: as above; AVX-VNNI contains this level.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 | Level::AvxVnni => unsafe { x86_64::pairs::run(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86_64::avx512::run(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Level::NeonI8mm if K::MULTIPLIES_BYTES => unsafe { aarch64::i8mm::run(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Level::NeonDotProd if K::MULTIPLIES_BYTES => unsafe { aarch64::dotprod::run(kernel) },
            // SAFETY: as above; the other levels contain this one.
            #[cfg(target_arch = "aarch64")]
            Level::Neon | Level::NeonDotProd | Level::NeonI8mm => unsafe { aarch64::base::run(kernel) },
        }
    }
}
