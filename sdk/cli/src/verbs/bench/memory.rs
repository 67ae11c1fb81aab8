//! Memory of this process, as Linux tells it; other systems tell none.

/// Megabytes (of 1,048,576 bytes) that are resident now.
pub(super) fn resident_mb() -> Option<f64> {
    field("VmRSS:")
}

/// Megabytes that were resident at most.
pub(super) fn peak_mb() -> Option<f64> {
    field("VmHWM:")
}

fn field(name: &str) -> Option<f64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?, name)
}

/// A field of `/proc/self/status`, such as `VmRSS:     5120 kB`.
fn parse(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_status_file() {
        let status = "Name:\tkinglet\nVmHWM:\t    2048 kB\nVmRSS:\t    1536 kB\nThreads:\t1\n";
        assert_eq!(parse(status, "VmRSS:"), Some(1.5));
        assert_eq!(parse(status, "VmHWM:"), Some(2.0));
        assert_eq!(parse(status, "VmSwap:"), None);
        assert_eq!(parse(status, "Threads:"), None);
    }
}
