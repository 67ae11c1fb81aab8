//! Memory of this process, as the system tells it.

use crate::Bytes;

/// Memory of this process: its own, and what it maps of files, as far as it is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessMemory {
    /// Resident now.
    pub resident: Bytes,
    /// Resident at most since the process began.
    pub peak: Bytes,
}

impl ProcessMemory {
    /// Asks the system, which Linux and Android answer; `None` elsewhere.
    pub fn look() -> Option<ProcessMemory> {
        ProcessMemory::parse(&std::fs::read_to_string("/proc/self/status").ok()?)
    }

    /// Reads `/proc/self/status`.
    fn parse(status: &str) -> Option<ProcessMemory> {
        Some(ProcessMemory { resident: field(status, "VmRSS:")?, peak: field(status, "VmHWM:")? })
    }
}

/// A field such as `VmRSS:     5120 kB`.
fn field(status: &str, name: &str) -> Option<Bytes> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(kilobytes * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_status_file() {
        let status = "Name:\tkinglet\nVmHWM:\t    2048 kB\nVmRSS:\t    1536 kB\nThreads:\t1\n";
        let expected = ProcessMemory { resident: Bytes(1536 << 10), peak: Bytes::mib(2) };
        assert_eq!(ProcessMemory::parse(status), Some(expected));
        assert_eq!(ProcessMemory::parse("VmHWM: 2048 kB\nVmRSS: many kB\n"), None);
        assert_eq!(ProcessMemory::parse(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_takes_memory() {
        let memory = ProcessMemory::look().unwrap();
        assert!(memory.resident > Bytes::mib(1) && memory.peak >= memory.resident, "{memory:?}");
    }
}
