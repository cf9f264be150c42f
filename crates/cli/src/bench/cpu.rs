//! How much CPU time another process has used.

use std::fs;
use std::time::Duration;

use anyhow::{Context, bail};

/// User and system time of a process, over all threads it has now: in nanoseconds where the kernel keeps scheduler
/// statistics, else in clock ticks.
pub(super) fn spent(pid: u32) -> anyhow::Result<Duration> {
    match from_schedstat(pid) {
        Some(spent) if !spent.is_zero() => Ok(spent),
        _ => from_stat(pid).with_context(|| format!("cannot read the CPU time of process {pid}")),
    }
}

fn from_schedstat(pid: u32) -> Option<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread may end while this looks at the others.
        let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else { continue };
        nanos += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos))
}

fn from_stat(pid: u32) -> anyhow::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; utime and stime are the 14th and 15th field, and state the 3rd.
    let after_name = text.rsplit_once(')').context("no name in it")?.1;
    let mut fields = after_name.split_whitespace().skip(11).map(str::parse::<u64>);
    let (Some(Ok(user)), Some(Ok(system))) = (fields.next(), fields.next()) else { bail!("no times in it") };
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64((user + system) as f64 / per_second as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sources_tell_about_the_same() {
        let pid = std::process::id();
        let began = spent(pid).unwrap();
        let mut spin = 0_u64;
        while spent(pid).unwrap().saturating_sub(began) < Duration::from_millis(60) {
            spin = std::hint::black_box(spin + 1);
        }
        // Only this thread is sure to be alive still; ended ones count in `stat` alone.
        assert!(from_stat(pid).unwrap() >= Duration::from_millis(40));
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        let error = spent(u32::MAX / 2).unwrap_err();
        assert!(format!("{error:#}").contains("cannot read the CPU time"));
    }
}
