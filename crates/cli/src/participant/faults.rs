//! The faults that a demo participant shows when it is told to.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use unanim::participant::Op;
use unanim_api::names::op_of;

/// `prepare`, `commit:3`: which calls fail, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fail {
    op: Op,
    times: u64,
}

impl FromStr for Fail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, times) = text.split_once(':').unwrap_or((text, ""));
        let op = match op_of(word) {
            Some(op @ (Op::Prepare | Op::Commit | Op::Rollback)) => op,
            Some(Op::CommitOnePhase) | None => {
                return Err("one of prepare, commit, rollback, with or without :N".into());
            }
        };
        let times = match times {
            "" if !text.contains(':') => u64::MAX,
            number => number.parse().map_err(|_| format!("{number:?} is no count"))?,
        };
        Ok(Self { op, times })
    }
}

/// When the process is to die, as by kill -9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CrashAfter {
    /// A change of this kind is durable, and its answer has not left.
    Durable(Op),
    /// The answer to a prepare has left, and it was a yes.
    Vote,
}

impl FromStr for CrashAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match op_of(text) {
            Some(op @ (Op::Prepare | Op::Commit | Op::Rollback)) => Ok(Self::Durable(op)),
            None if text == "vote" => Ok(Self::Vote),
            Some(Op::CommitOnePhase) | None => Err("one of prepare, vote, commit, rollback".into()),
        }
    }
}

/// Dies on the spot: nothing is flushed, closed or answered.
pub(super) fn crash(name: &str) {
    crate::output::complain(format_args!("{name}: told to crash now"));
    let _ = kill_process(getpid(), Signal::KILL);
}

/// What a call gets instead of being worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A vote against.
    Refuse,
    /// A 500, which says nothing about what was done.
    Break,
}

/// The faults that are left, and the delay of every call.
pub(super) struct Faults {
    left: Vec<(Op, AtomicU64)>,
    pub(super) delay: Duration,
    crash_after: Option<CrashAfter>,
}

impl Faults {
    pub(super) fn new(fails: Vec<Fail>, delay: Duration, crash_after: Option<CrashAfter>) -> Self {
        let left = fails.into_iter().map(|fail| (fail.op, AtomicU64::new(fail.times))).collect();
        Self { left, delay, crash_after }
    }

    /// Whether a yes to this call is to be the last that anyone hears.
    pub(super) fn crashes_after_yes(&self, op: Op) -> bool {
        op == Op::Prepare && self.crash_after == Some(CrashAfter::Vote)
    }

    /// The fault of this call, if it is to have one; counts it.
    pub(super) fn next(&self, op: Op) -> Option<Fault> {
        match op {
            Op::Prepare => self.take(Op::Prepare).then_some(Fault::Refuse),
            Op::Commit => self.take(Op::Commit).then_some(Fault::Break),
            Op::Rollback => self.take(Op::Rollback).then_some(Fault::Break),
            // It is both phases in one.
            Op::CommitOnePhase if self.take(Op::Prepare) => Some(Fault::Refuse),
            Op::CommitOnePhase => self.take(Op::Commit).then_some(Fault::Break),
        }
    }

    fn take(&self, op: Op) -> bool {
        self.left.iter().any(|(failing, left)| {
            *failing == op
                && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_used_up_and_no_count_never_is() {
        let faults = Faults::new(vec!["prepare:2".parse().unwrap(), "rollback".parse().unwrap()], Duration::ZERO, None);
        let prepares: Vec<_> = (0..3).map(|_| faults.next(Op::Prepare)).collect();
        assert_eq!(prepares, [Some(Fault::Refuse), Some(Fault::Refuse), None]);
        assert_eq!(faults.next(Op::Commit), None);
        assert!((0..50).all(|_| faults.next(Op::Rollback) == Some(Fault::Break)));
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        for text in ["", "vote", "prepare:", "prepare:x", "commit_one_phase"] {
            assert!(text.parse::<Fail>().is_err(), "{text}");
        }
    }
}
