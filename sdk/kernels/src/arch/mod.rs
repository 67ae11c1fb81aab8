//! The instruction sets: one thin file each. `scalar` is plain Rust and serves every machine and as the reference.

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
            Level::Avx2 => x86_64::avx2::Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => x86_64::avx512::Avx512::LANES,
        }
    }
}

impl Isa {
    /// Runs a kernel's body as compiled for this instruction set.
    #[inline]
    pub(crate) fn run(self, kernel: impl Kernel) {
        match self.0 {
            Level::Scalar => kernel.run(scalar::Scalar),
            // SAFETY: an `Isa` of this level exists only where `Level::detected` found the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86_64::avx2::run(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86_64::avx512::run(kernel) },
        }
    }
}
