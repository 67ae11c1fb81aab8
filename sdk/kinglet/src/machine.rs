//! Hardware of this machine.

use kinglet_kernels::Isa;
use serde::Serialize;

/// Hardware of this machine, as far as models depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Processor architecture, such as `x86_64`.
    pub architecture: &'static str,
    /// Operating system, such as `linux`.
    pub system: &'static str,
    /// The instruction set that the kernels use here.
    pub kernels: &'static str,
    /// Instruction sets that there are kernels for and that this processor has, slowest first.
    pub available: Vec<&'static str>,
    /// Instruction sets that there are kernels for on this architecture, slowest first.
    pub known: &'static [&'static str],
    /// Processors that this process may use.
    pub processors: usize,
    /// Threads that models compute on unless told otherwise.
    pub threads: usize,
}

impl Machine {
    /// Looks at the machine that this runs on, which takes some ten milliseconds where its cores differ.
    pub fn look() -> Machine {
        Machine {
            architecture: std::env::consts::ARCH,
            system: std::env::consts::OS,
            kernels: Isa::best().name(),
            available: Isa::available().into_iter().map(Isa::name).collect(),
            known: Isa::NAMES,
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            threads: kinglet_kernels::suitable_threads(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_in_use_are_the_last_of_those_available() {
        let machine = Machine::look();
        assert_eq!(machine.available.last(), Some(&machine.kernels));
        assert!(machine.available.iter().all(|name| machine.known.contains(name)), "{machine:?}");
        assert!((1..=machine.processors).contains(&machine.threads), "{machine:?}");
    }
}
