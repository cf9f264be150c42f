//! What is durable about a transaction after its body: the events that changed it, in order.
use crate::{BranchIndex, BranchSpec, Heuristic, Outcome, Phase, Reason, Resolution, Timestamp, Vote};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One event of a transaction's history. Its number (`seq`) is its place: the begin is 1, the first of these 2.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Recorded,
}

/// The kinds, by the names that `wire/v1` gives them. Stored: variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Recorded {
    /// A branch joined after the begin.
    BranchAdded(Arc<BranchSpec>),
    /// A phase was entered that is no decision; the client's request may have set a new deadline with it.
    Phase(Phase, Option<Timestamp>),
    /// A branch voted.
    Voted(BranchIndex, Vote),
    /// The decision, with the reason of an abort. Which branches it concerns follows from the phase it was made in.
    Decided(Outcome, Option<Reason>),
    /// A branch has done what was decided.
    Acknowledged(BranchIndex),
    /// Open in one phase for too long.
    Stuck,
    /// A branch finished on its own.
    Heuristic(BranchIndex, Heuristic),
    /// Every branch has acknowledged.
    Finished,
    /// A person has said how a branch ended; nobody asks its participant any more.
    Resolved(BranchIndex, Resolution),
    /// A person has forgotten it: of all that was known, gid and outcome are left.
    Forgotten,
}
