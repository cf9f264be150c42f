//! One file per mode, each the same three questions.
use crate::{Branch, Decision, Op, Outcome, Phase, ReasonCode, Timestamp, Transaction};
use serde::{Deserialize, Serialize};

mod two_phase;

/// The protocols; stored, variants are only ever added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Every branch votes, then every branch is told.
    TwoPhase,
}

/// What comes next; the answer of a mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// On to this phase.
    Enter(Phase),
    /// The decision, with the reason of an abort.
    Decide(Outcome, Option<ReasonCode>),
    /// All have acknowledged.
    Finish,
    /// Nothing until something happens.
    Wait,
}

impl Mode {
    /// What comes next, given what the client has just asked for.
    pub(crate) fn next(self, txn: &Transaction, wish: Option<Decision>, now: Timestamp) -> Next {
        match self {
            Mode::TwoPhase => two_phase::next(txn, wish, now),
        }
    }

    /// What the branches are asked in the transaction's phase.
    pub(crate) fn operation(self, txn: &Transaction) -> Option<Op> {
        match self {
            Mode::TwoPhase => two_phase::operation(txn),
        }
    }

    /// Whether an operation is still to be done by a branch.
    pub(crate) fn needs(self, txn: &Transaction, op: Op, branch: &Branch) -> bool {
        // What a person has ended, nobody is asked about.
        branch.resolution.is_none()
            && match self {
                Mode::TwoPhase => two_phase::needs(txn, op, branch),
            }
    }
}
