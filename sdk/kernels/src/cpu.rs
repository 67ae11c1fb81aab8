//! Detection of the processor's instruction sets. An [`Isa`] can only be obtained from here and only where the processor has it, so
//! that holding one is the proof on which every call into its kernels rests.

#[cfg(target_arch = "aarch64")]
use std::arch::is_aarch64_feature_detected;
use std::fmt;

/// An instruction set with kernels, present on this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(pub(crate) Level);

/// The instruction sets, slowest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    NeonDotProd,
    #[cfg(target_arch = "aarch64")]
    NeonI8mm,
}

impl Isa {
    /// Plain Rust: on every machine, and the reference that the other instruction sets are tested against.
    pub const SCALAR: Isa = Isa(Level::Scalar);

    /// The instruction sets that have kernels on this architecture, slowest first, whether or not this machine has them.
    pub const NAMES: &'static [&'static str] = if cfg!(target_arch = "x86_64") {
        &["scalar", "avx2", "avx-vnni", "avx512-vnni"]
    } else if cfg!(target_arch = "aarch64") {
        &["scalar", "neon", "neon-dotprod", "neon-i8mm"]
    } else {
        &["scalar"]
    };

    /// Those that this machine has, slowest first; never empty.
    pub fn available() -> Vec<Isa> {
        Level::ALL.iter().filter(|level| level.detected()).map(|&level| Isa(level)).collect()
    }

    /// The fastest that this machine has.
    pub fn best() -> Isa {
        Level::ALL.iter().rev().find(|level| level.detected()).map_or(Isa::SCALAR, |&level| Isa(level))
    }

    /// 32-bit lanes of its vectors.
    pub(crate) fn lanes(self) -> usize {
        self.0.lanes()
    }

    /// Its name, one of [`Isa::NAMES`].
    pub fn name(self) -> &'static str {
        Isa::NAMES[self.0 as usize]
    }
}

impl Level {
    #[cfg(target_arch = "x86_64")]
    const ALL: &'static [Level] = &[Level::Scalar, Level::Avx2, Level::AvxVnni, Level::Avx512];
    #[cfg(target_arch = "aarch64")]
    const ALL: &'static [Level] = &[Level::Scalar, Level::Neon, Level::NeonDotProd, Level::NeonI8mm];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    const ALL: &'static [Level] = &[Level::Scalar];

    /// Whether this machine has it. The features named here are those that the files under `arch` enable.
    fn detected(self) -> bool {
        match self {
            Level::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Level::AvxVnni => Level::Avx2.detected() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                Level::Avx2.detected()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            // Vectors lie in memory as bytes do only where the first byte is the lowest.
            #[cfg(target_arch = "aarch64")]
            Level::Neon => cfg!(target_endian = "little") && is_aarch64_feature_detected!("neon"),
            #[cfg(target_arch = "aarch64")]
            Level::NeonDotProd => Level::Neon.detected() && is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Level::NeonI8mm => Level::NeonDotProd.detected() && is_aarch64_feature_detected!("i8mm"),
        }
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Isa({})", self.name())
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_the_scalar_kernels_and_the_best_is_the_last() {
        let available = Isa::available();
        assert_eq!(available[0], Isa::SCALAR);
        assert_eq!(available.last(), Some(&Isa::best()));
        assert!(available.iter().all(|isa| Isa::NAMES.contains(&isa.name())));
    }
}
