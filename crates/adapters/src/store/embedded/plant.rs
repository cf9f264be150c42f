//! Bugs for `tests/store_faults` to find. Without the feature `plant` every question here is answered "no" at compile time.
use super::OpenOptions;

/// A rule of durability that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Commits are not flushed.
    SynchronousOff,
    /// A start takes what it reads for durable: it writes no log anew, and makes no checkpoint and no flush.
    StartTrustsLog,
    /// A start makes its checkpoint from a log that it has not written anew.
    RewritesNoLog,
    /// A start flushes no folder.
    StartForgetsNames,
    /// After a failed flush the batch is sent again.
    FlushTriedAgain,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Plant {
    #[cfg(feature = "plant")]
    bug: Option<Bug>,
}

impl Plant {
    #[cfg(feature = "plant")]
    pub(super) fn of(options: &OpenOptions) -> Plant {
        Plant { bug: options.bug }
    }

    #[cfg(not(feature = "plant"))]
    pub(super) fn of(_: &OpenOptions) -> Plant {
        Plant {}
    }

    #[cfg(feature = "plant")]
    pub(super) fn has(self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    #[cfg(not(feature = "plant"))]
    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    pub(super) const fn has(self, _: Bug) -> bool {
        false
    }
}
