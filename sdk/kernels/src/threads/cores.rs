//! The cores of this machine as Linux and Android describe them: which threads of execution share a core, and how fast each is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A processor, as the system counts them: a core, or one of the threads of execution of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Processor {
    /// The first processor of its core.
    core: usize,
    /// Its speed beside the others', in any unit.
    capacity: u64,
}

/// The processors that this process may use; none where the system does not describe them.
#[derive(Debug, Default)]
pub(super) struct Cores(Vec<Processor>);

impl Cores {
    pub(super) fn here() -> Cores {
        Cores::of(Path::new("/sys/devices/system/cpu"), Path::new("/proc/thread-self/status")).unwrap_or_default()
    }

    /// Reads the system's description of each processor that `status` allows; `None` where one is missing.
    fn of(processors: &Path, status: &Path) -> Option<Cores> {
        let status = fs::read_to_string(status).ok()?;
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        let processor = |number: usize| {
            let folder = processors.join(format!("cpu{number}"));
            let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
            let siblings = read("topology/thread_siblings_list")?;
            // Without either they count as equally fast.
            let capacity = read("cpu_capacity").or_else(|| read("cpufreq/cpuinfo_max_freq"));
            Some(Processor {
                core: list(&siblings)?.into_iter().min()?,
                capacity: capacity.and_then(|number| number.trim().parse().ok()).unwrap_or(1),
            })
        };
        Some(Cores(list(allowed)?.into_iter().map(processor).collect::<Option<_>>()?))
    }

    /// Numbers of threads worth trying, ascending and at most `limit`: the big cores, all cores, all processors.
    pub(super) fn candidates(&self, limit: usize) -> Vec<usize> {
        let limit = limit.max(1);
        let Some(fastest) = self.0.iter().map(|processor| processor.capacity).max() else {
            // Some processors may be of a slower kind: as a rule half of them, or two thirds.
            let few = if limit < 4 { limit } else { limit.div_ceil(3) };
            let half = if limit < 4 { limit } else { limit.div_ceil(2) };
            return BTreeSet::from([few, half, limit]).into_iter().collect();
        };
        let cores = |slowest: u64| {
            let fast = self.0.iter().filter(|processor| processor.capacity >= slowest);
            fast.map(|processor| processor.core).collect::<BTreeSet<_>>().len()
        };
        let counts = [cores(fastest.div_ceil(2)), cores(0), self.0.len()];
        counts.into_iter().map(|count| count.min(limit)).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The numbers of a list such as `0-3,6`; `None` if it is none, or longer than any machine's.
fn list(text: &str) -> Option<Vec<usize>> {
    let mut numbers = vec![];
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= 1 << 16 {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(processors: &[(usize, u64)]) -> Cores {
        Cores(processors.iter().map(|&(core, capacity)| Processor { core, capacity }).collect())
    }

    #[test]
    fn equal_cores_leave_no_choice() {
        assert_eq!(cores(&[(0, 1), (1, 1), (2, 1), (3, 1)]).candidates(4), [4]);
        assert_eq!(cores(&[(0, 1), (1, 1)]).candidates(1), [1], "a quota of one");
    }

    #[test]
    fn a_phone_may_leave_its_little_cores_alone() {
        let phone = [(0, 250), (1, 250), (2, 250), (3, 250), (4, 800), (5, 800), (6, 800), (7, 1024)];
        assert_eq!(cores(&phone).candidates(8), [4, 8]);
    }

    #[test]
    fn a_desktop_may_leave_second_threads_and_slow_cores_alone() {
        let two_threads = [(0, 5), (0, 5), (2, 5), (2, 5)];
        assert_eq!(cores(&two_threads).candidates(4), [2, 4]);
        let hybrid = [(0, 5000), (0, 5000), (2, 5000), (2, 5000), (4, 2400), (5, 2400)];
        assert_eq!(cores(&hybrid).candidates(6), [2, 4, 6]);
    }

    #[test]
    fn unknown_machines_are_tried_at_a_third_and_a_half() {
        assert_eq!(Cores::default().candidates(2), [2]);
        assert_eq!(Cores::default().candidates(6), [2, 3, 6]);
        assert_eq!(Cores::default().candidates(8), [3, 4, 8]);
        assert_eq!(Cores::default().candidates(0), [1]);
    }

    #[test]
    fn lists_of_processors() {
        assert_eq!(list("0-3,6\n"), Some(vec![0, 1, 2, 3, 6]));
        assert_eq!(list("5"), Some(vec![5]));
        assert_eq!(list(""), None);
        assert_eq!(list("0-x"), None);
        assert_eq!(list("0-99999999999"), None);
    }

    #[test]
    fn the_systems_description_is_read_for_the_processors_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (processor, siblings, capacity) in
            [(0, "0-1\n", "1024\n"), (1, "0-1\n", "1024\n"), (2, "2\n", "300\n"), (3, "3\n", "300\n")]
        {
            write(&format!("cpu{processor}/topology/thread_siblings_list"), siblings);
            write(&format!("cpu{processor}/cpu_capacity"), capacity);
        }
        write("status", "Name:\ta\nCpus_allowed:\t7\nCpus_allowed_list:\t0-2\nMems_allowed:\t1\n");
        let read = Cores::of(folder.path(), &folder.path().join("status")).unwrap();
        assert_eq!(read.0, [(0, 1024), (0, 1024), (2, 300)].map(|(core, capacity)| Processor { core, capacity }));
        assert_eq!(read.candidates(8), [1, 2, 3]);
        write("status", "Cpus_allowed_list:\t0-9\n");
        assert!(Cores::of(folder.path(), &folder.path().join("status")).is_none(), "a processor that is not described");
    }
}
