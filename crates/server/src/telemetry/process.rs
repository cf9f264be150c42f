//! What the kernel knows of this process.
use std::fs;

/// Of this process, where the kernel says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_files: Option<usize>,
}

impl Process {
    pub(super) fn read() -> Process {
        let ticks = rustix::param::clock_ticks_per_second();
        Process {
            cpu_seconds: fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_seconds(&stat, ticks)),
            resident_bytes: fs::read_to_string("/proc/self/statm")
                .ok()
                .and_then(|statm| resident_bytes(&statm, rustix::param::page_size() as u64)),
            open_files: fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
        }
    }
}

/// User and system time, behind the name in brackets, which may hold anything.
fn cpu_seconds(stat: &str, ticks: u64) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) as f64 / ticks as f64)
}

fn resident_bytes(statm: &str, page: u64) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse::<u64>().ok().map(|pages| pages * page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(cpu_seconds("7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20", 100), Some(2.0));
        assert_eq!(cpu_seconds("7", 100), None);
        assert_eq!(resident_bytes("900 25 3 1 0 1 0", 4096), Some(102_400));
        assert!(Process::read().resident_bytes.is_some_and(|bytes| bytes > 1 << 16));
    }
}
