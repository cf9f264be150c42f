//! The faults that a demo participant shows when it is told to.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::books::Verb;

/// `prepare`, `commit:3`: which calls fail, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fail {
    verb: Verb,
    times: u64,
}

impl FromStr for Fail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, times) = text.split_once(':').unwrap_or((text, ""));
        let verb = match Verb::from_wire(word) {
            Some(verb @ (Verb::Prepare | Verb::Commit | Verb::Rollback)) => verb,
            Some(Verb::CommitOnePhase) | None => {
                return Err("one of prepare, commit, rollback, with or without :N".into());
            }
        };
        let times = match times {
            "" if !text.contains(':') => u64::MAX,
            number => number.parse().map_err(|_| format!("{number:?} is no count"))?,
        };
        Ok(Self { verb, times })
    }
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
    left: Vec<(Verb, AtomicU64)>,
    pub(super) delay: Duration,
}

impl Faults {
    pub(super) fn new(fails: Vec<Fail>, delay: Duration) -> Self {
        Self { left: fails.into_iter().map(|fail| (fail.verb, AtomicU64::new(fail.times))).collect(), delay }
    }

    /// The fault of this call, if it is to have one; counts it.
    pub(super) fn next(&self, verb: Verb) -> Option<Fault> {
        match verb {
            Verb::Prepare => self.take(Verb::Prepare).then_some(Fault::Refuse),
            Verb::Commit => self.take(Verb::Commit).then_some(Fault::Break),
            Verb::Rollback => self.take(Verb::Rollback).then_some(Fault::Break),
            // It is both phases in one.
            Verb::CommitOnePhase if self.take(Verb::Prepare) => Some(Fault::Refuse),
            Verb::CommitOnePhase => self.take(Verb::Commit).then_some(Fault::Break),
        }
    }

    fn take(&self, verb: Verb) -> bool {
        self.left.iter().any(|(failing, left)| {
            *failing == verb
                && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_used_up_and_no_count_never_is() {
        let faults = Faults::new(vec!["prepare:2".parse().unwrap(), "rollback".parse().unwrap()], Duration::ZERO);
        let prepares: Vec<_> = (0..3).map(|_| faults.next(Verb::Prepare)).collect();
        assert_eq!(prepares, [Some(Fault::Refuse), Some(Fault::Refuse), None]);
        assert_eq!(faults.next(Verb::Commit), None);
        assert!((0..50).all(|_| faults.next(Verb::Rollback) == Some(Fault::Break)));
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        for text in ["", "vote", "prepare:", "prepare:x", "commit_one_phase"] {
            assert!(text.parse::<Fail>().is_err(), "{text}");
        }
    }
}
