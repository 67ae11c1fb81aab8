//! The machine and the checkout that a measurement was taken on.

use crate::process::{program, read};
use serde_json::{Value, json};

/// CPU model, cores and memory.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_mb: Option<u64>,
}

impl Machine {
    pub(crate) fn here() -> Machine {
        Machine {
            cpu: cpu().unwrap_or_else(|| format!("unknown {}", std::env::consts::ARCH)),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mb: memory_mb(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "cpu": self.cpu, "cores": self.cores, "memory_mb": self.memory_mb, "system": std::env::consts::OS })
    }

    /// A file name for what was measured here: `amd-epyc-9r14-2-cores`.
    pub(crate) fn slug(&self) -> String {
        let spaced =
            format!("{} {} cores", self.cpu, self.cores).to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), " ");
        spaced.split_whitespace().collect::<Vec<_>>().join("-")
    }
}

/// The checkout's commit, followed by `-changed` if files differ from it; `unknown` outside of git.
pub(crate) fn commit() -> String {
    let Ok(commit) = read(program("git").args(["rev-parse", "--short=12", "HEAD"])) else { return "unknown".to_owned() };
    let clean =
        read(program("git").args(["status", "--porcelain", "--untracked-files=no"])).is_ok_and(|changes| changes.is_empty());
    if clean { commit } else { format!("{commit}-changed") }
}

/// The compiler, as `rustc 1.95.0 (..)`.
pub(crate) fn rustc() -> String {
    read(program("rustc").arg("--version")).unwrap_or_else(|_| "unknown".to_owned())
}

fn cpu() -> Option<String> {
    let linux = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| field(&text, "model name"));
    linux.or_else(|| sysctl("machdep.cpu.brand_string"))
}

fn memory_mb() -> Option<u64> {
    let linux = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| field(&text, "MemTotal"));
    let kibibytes = linux.and_then(|value| value.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()));
    let bytes = kibibytes.map(|n| n * 1024).or_else(|| sysctl("hw.memsize")?.parse().ok())?;
    Some(bytes / 1_000_000)
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let of_line =
        |line: &str| line.split_once(':').filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
    text.lines().find_map(of_line).filter(|value| !value.is_empty())
}

/// A value of the kernel's settings, on systems that have them there.
fn sysctl(name: &str) -> Option<String> {
    if !cfg!(target_vendor = "apple") {
        return None;
    }
    read(program("sysctl").args(["-n", name])).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_files() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC 9R14\nmodel name\t: other\nflags\t\t:\nMemTotal:       25165824 kB\n";
        for (name, expected) in
            [("model name", Some("AMD EPYC 9R14")), ("MemTotal", Some("25165824 kB")), ("flags", None), ("model", None)]
        {
            assert_eq!(field(text, name).as_deref(), expected);
        }
    }

    #[test]
    fn a_file_name_for_a_machine() {
        let machine = Machine { cpu: "Intel(R) Xeon(R) CPU @ 2.20GHz".to_owned(), cores: 4, memory_mb: None };
        assert_eq!(machine.slug(), "intel-r-xeon-r-cpu-2-20ghz-4-cores");
    }
}
