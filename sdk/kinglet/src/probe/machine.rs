//! Identification of the machine of a record.

use kinglet_kernels::Isa;

/// The machine in words: architecture, system, processor, how many of them this process may use, and the kernels' instruction
/// set.
pub(super) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let named = std::fs::read_to_string("/proc/cpuinfo").map(|text| name(&text)).unwrap_or_default();
    let parts = [
        format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
        named,
        format!("{processors} processors"),
        Isa::best().name().to_owned(),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Processor name from `/proc/cpuinfo`; kinds of cores each once.
fn name(cpuinfo: &str) -> String {
    let mut found: Vec<&str> = vec![];
    for line in cpuinfo.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        if ["model name", "Hardware", "CPU implementer", "CPU part"].contains(&key) && !found.contains(&value) {
            found.push(value);
        }
    }
    found.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_cores_are_named_once() {
        let x86 = "processor : 0\nmodel name\t: Wren 9\nflags : a b\n\nprocessor : 1\nmodel name\t: Wren 9\n";
        assert_eq!(name(x86), "Wren 9");
        let arm = "CPU implementer\t: 0x41\nCPU part\t: 0xd05\n\nCPU implementer\t: 0x41\nCPU part\t: 0xd41\nHardware : Robin";
        assert_eq!(name(arm), "0x41 0xd05 0xd41 Robin");
        assert_eq!(name("no colon\n"), "");
        assert_eq!(machine(), machine());
        assert!(machine().starts_with(std::env::consts::ARCH), "{}", machine());
    }
}
