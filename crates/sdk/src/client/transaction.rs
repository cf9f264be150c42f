//! A transaction as a coordinator shows it. Answers may grow: what is not here is passed over.

use serde::Deserialize;

use crate::words::words;

words! {
    /// How a transaction ends. Once it is decided it never changes.
    Outcome {
        /// Not decided yet.
        Undecided = "undecided",
        /// Every participant commits.
        Committed = "committed",
        /// No participant commits.
        Aborted = "aborted",
    }
}

words! {
    /// Where a transaction is on its way.
    Phase {
        /// It waits for branches, and for its client's word.
        Active = "active",
        /// Votes are collected.
        Preparing = "preparing",
        /// Decided: participants are told to commit.
        Committing = "committing",
        /// Decided: participants are told to roll back.
        Aborting = "aborting",
        /// The end: all have committed.
        Committed = "committed",
        /// The end: all have rolled back.
        Aborted = "aborted",
    }
}

words! {
    /// Where a branch is on its way.
    BranchState {
        /// Not asked yet.
        Waiting = "waiting",
        /// Asked for its vote.
        Asked = "asked",
        /// Voted yes, and holds what it needs.
        Yes = "yes",
        /// Voted yes with nothing to commit.
        ReadOnly = "read_only",
        /// Voted no.
        Refused = "refused",
        /// Has acknowledged the decision.
        Done = "done",
        /// A person has said how it ended.
        Resolved = "resolved",
    }
}

/// A transaction. Instants are RFC 3339 in UTC, as they came.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Transaction {
    /// Its name.
    pub gid: String,
    /// Its protocol.
    pub mode: String,
    /// Where it is on its way.
    pub phase: Phase,
    /// How it ends, if that is decided.
    pub outcome: Outcome,
    /// Why it aborted.
    pub reason: Option<Reason>,
    /// It has been in its phase for longer than is normal.
    #[serde(default)]
    pub stuck: bool,
    /// How participants finished on their own.
    pub heuristic: Option<String>,
    /// When it was accepted.
    pub created_at: Option<String>,
    /// Until when it may stay undecided.
    pub deadline_at: Option<String>,
    /// When it was decided.
    pub decided_at: Option<String>,
    /// When the last participant had acknowledged.
    pub finished_at: Option<String>,
    /// The number of its last durable event.
    #[serde(default)]
    pub seq: u64,
    /// Its branches; none in a list.
    #[serde(default)]
    pub branches: Vec<BranchView>,
}

/// Why a transaction aborted.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Reason {
    /// `refused`, `deadline` or `client`.
    pub code: String,
    /// Who refused.
    pub branch: Option<String>,
    /// In the participant's words.
    pub detail: Option<String>,
}

/// A branch.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct BranchView {
    /// Its name.
    pub id: String,
    /// `scheme://host:port`.
    pub participant: Option<String>,
    /// Where it is on its way.
    pub state: BranchState,
    /// What it is being asked.
    pub op: Option<String>,
    /// Calls since the coordinator has it in memory. A hint, no promise.
    #[serde(default)]
    pub attempts: u64,
    /// How the last call ended. A hint.
    pub last: Option<Last>,
    /// When the next call is due. A hint.
    pub next_at: Option<String>,
    /// How it finished on its own.
    pub heuristic: Option<String>,
}

/// How the last call to a branch ended.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Last {
    /// When.
    pub at: Option<String>,
    /// `ok`, `refused`, `timeout`, `status_500`, …
    pub code: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use unanim_api::names::{branch_state_name, outcome_name, phase_name};
    use unanim_engine as engine;

    #[test]
    fn every_word_that_a_server_says_is_known() {
        use engine::{BranchState as B, Outcome as O, Phase as P};
        let phases = [P::Active, P::Preparing, P::Committing, P::Aborting, P::Committed, P::Aborted];
        for phase in phases.map(phase_name) {
            assert!(!matches!(Phase::from(phase.to_owned()), Phase::Other(_)), "{phase}");
        }
        for outcome in [None, Some(O::Committed), Some(O::Aborted)].map(outcome_name) {
            assert!(!matches!(Outcome::from(outcome.to_owned()), Outcome::Other(_)), "{outcome}");
        }
        let states = [B::Waiting, B::Asked, B::Yes, B::ReadOnly, B::Refused, B::Done, B::Resolved];
        for state in states.map(branch_state_name) {
            assert!(!matches!(BranchState::from(state.to_owned()), BranchState::Other(_)), "{state}");
        }
    }

    #[test]
    fn what_a_later_server_says_can_be_read() {
        let text = r#"{"gid":"g","mode":"saga","phase":"running","outcome":"undecided","new":{"x":1}}"#;
        let transaction: Transaction = serde_json::from_str(text).unwrap();
        assert_eq!(transaction.phase.to_string(), "running");
        assert_eq!((transaction.outcome, transaction.seq), (Outcome::Undecided, 0));
    }
}
