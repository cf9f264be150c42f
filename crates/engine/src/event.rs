//! What can happen to a transaction.
use crate::{BranchId, BranchIndex, BranchSpec, Decision, Op, Outcome, Phase, Resolution, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Branches joined: all of them, or, where one is rejected, none.
    Joined(Vec<Arc<BranchSpec>>),
    /// The client asked for an end; with a commit it may set a new deadline for the votes.
    Requested(Decision, Option<Timestamp>),
    /// The call that [`crate::Effect::Call`] ordered has ended.
    Replied {
        /// Whose.
        branch: BranchIndex,
        /// What was asked.
        op: Op,
        /// The call's number.
        attempt: u32,
        /// How it ended.
        reply: Reply,
    },
    /// Time has passed; a spurious one is harmless.
    Woke,
    /// A person says how this branch ended.
    Resolved(BranchId, Resolution),
    /// A person knows better than the backoff: whatever waits for its next call is due now.
    Retried,
}

/// What a participant said, or that it said nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// Yes to a vote; done to everything else.
    Ok,
    /// Yes to a vote, and there is nothing to commit or to roll back.
    ReadOnly,
    /// No, with the participant's words where it gave any.
    Refused(Option<Box<str>>),
    /// The participant has finished on its own.
    Heuristic(Heuristic),
    /// Still working: ask again, no failure.
    Ongoing {
        /// Not before so many milliseconds; 0 where it did not say.
        retry_after_ms: u64,
    },
    /// Nothing is known of what the participant did.
    Unknown {
        /// What happened instead of a reply.
        failure: Failure,
        /// Not again before so many milliseconds; 0 where it did not say.
        retry_after_ms: u64,
    },
}

impl Reply {
    /// An unknown reply without a `Retry-After`.
    pub fn unknown(failure: Failure) -> Reply {
        Reply::Unknown { failure, retry_after_ms: 0 }
    }
}

/// Why a reply is unknown: a code for people and lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No answer in time.
    Timeout,
    /// No connection.
    Connect,
    /// The endpoint's address is not on the allow-list.
    NotAllowed,
    /// The connection ended in the middle.
    Reset,
    /// A status that means nothing here.
    Status(u16),
    /// A body that means nothing here.
    Content,
    /// A body larger than is read.
    TooLarge,
    /// Released too late to be of use; never sent.
    Unsent,
}

/// How a participant that finished on its own finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Heuristic {
    /// It committed.
    Commit,
    /// It rolled back.
    Rollback,
    /// Some of each.
    Mixed,
}

/// Why an event changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Past the phase in which this is possible.
    #[error("the transaction is {0:?}")]
    Closed(Phase),
    /// The one call of a one-phase transaction may have committed already: only its answer tells.
    #[error("a one-phase commit is under way")]
    OnePhase,
    /// The other outcome is decided.
    #[error("already {0:?}")]
    AlreadyDecided(Outcome),
    /// Another branch has this id.
    #[error("another branch is called {0}")]
    BranchConflict(BranchId),
    /// More branches than [`crate::Limits::branches_max`].
    #[error("more than {0} branches")]
    TooManyBranches(usize),
    /// A payload larger than [`crate::Limits::payload_bytes_max`].
    #[error("the payload of {0} is larger than {1} bytes")]
    PayloadTooLarge(BranchId, usize),
    /// Nothing is decided yet that a branch could be resolved against.
    #[error("the transaction is {0:?}, and not decided")]
    NotDecided(Phase),
    /// No branch has this id.
    #[error("no branch is called {0}")]
    NoSuchBranch(BranchId),
    /// The branch has ended the other way already: it has acknowledged, or a person has resolved it.
    #[error("{0} has ended, {1:?}")]
    BranchEnded(BranchId, Outcome),
    /// Nothing to commit.
    #[error("a commit needs at least one branch")]
    NoBranches,
}
