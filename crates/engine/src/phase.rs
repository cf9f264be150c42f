//! Where a transaction stands, what it asks of its branches there, and how and why it ends.
use crate::BranchIndex;
use serde::{Deserialize, Serialize};

/// Which end a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// All.
    Commit,
    /// None.
    Rollback,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// Every branch commits.
    Committed,
    /// No branch commits.
    Aborted,
}

/// Where a transaction stands. Open phases end in -ing (and Active); stored, variants are only ever added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Branches may join.
    Active,
    /// Branches are asked for their votes.
    Preparing,
    /// Decided; branches are told to commit.
    Committing,
    /// Decided; branches are told to roll back.
    Aborting,
    /// Ended: all.
    Committed,
    /// Ended: none.
    Aborted,
}

impl Phase {
    /// Whether a history may go on so: nothing leads back, and nothing from one decision to the other.
    pub(crate) fn may_become(self, next: Phase) -> bool {
        match self {
            Phase::Active => matches!(next, Phase::Preparing | Phase::Aborting),
            Phase::Preparing => matches!(next, Phase::Committing | Phase::Aborting),
            Phase::Committing => next == Phase::Committed,
            Phase::Aborting => next == Phase::Aborted,
            Phase::Committed | Phase::Aborted => false,
        }
    }
}

/// What a participant is asked to do; stored, variants are only ever added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Op {
    /// Do the work, hold it, vote.
    Prepare,
    /// Make it visible.
    Commit,
    /// Undo and release.
    Rollback,
    /// Vote and commit in one.
    CommitOnePhase,
}

impl Op {
    /// Whether it undoes: such a call waits for the end of every earlier one.
    pub fn is_backward(self) -> bool {
        match self {
            Op::Rollback => true,
            Op::Prepare | Op::Commit | Op::CommitOnePhase => false,
        }
    }
}

/// Why a transaction aborted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// What kind.
    pub code: ReasonCode,
    /// Whose refusal, or the first one that had not voted in time.
    pub branch: Option<BranchIndex>,
    /// In the participant's words; how its last call ended; or in the words of the person who resolved it.
    pub detail: Option<Box<str>>,
}

/// What kind of reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReasonCode {
    /// A participant said no.
    Refused,
    /// Not all had voted in time.
    Deadline,
    /// The client asked for it.
    Client,
}
