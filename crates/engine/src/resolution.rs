//! What a person says of a branch whose participant does not answer any more.
use crate::mode::Mode;
use crate::{
    BranchId, BranchIndex, Durability, Heuristic, Outcome, Phase, Recorded, Rejection, Timestamp, Transaction,
};
use serde::{Deserialize, Serialize};

/// How a branch ended, as a person found it or saw to it; nobody asks its participant any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resolution {
    /// What the participant did.
    pub outcome: Outcome,
    reason: Option<Box<str>>,
    by: Option<Box<str>>,
}

/// A text that is longer than is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at most {bytes_max} bytes")]
pub struct TooLong {
    /// The bound that it is over.
    pub bytes_max: usize,
}

impl Resolution {
    /// The longest reason, in bytes.
    pub const REASON_BYTES_MAX: usize = 1024;
    /// The longest name of who resolved, in bytes.
    pub const BY_BYTES_MAX: usize = 256;

    /// Takes what a person says, in their words.
    ///
    /// # Errors
    /// A text that is too long.
    pub fn new(outcome: Outcome, reason: Option<&str>, by: Option<&str>) -> Result<Resolution, TooLong> {
        let bounded = |text: Option<&str>, bytes_max| match text {
            Some(text) if text.len() > bytes_max => Err(TooLong { bytes_max }),
            text => Ok(text.map(Into::into)),
        };
        let (reason, by) = (bounded(reason, Self::REASON_BYTES_MAX)?, bounded(by, Self::BY_BYTES_MAX)?);
        Ok(Resolution { outcome, reason, by })
    }

    /// Why, in the person's words.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Who.
    pub fn by(&self) -> Option<&str> {
        self.by.as_deref()
    }
}

/// After the decision it counts as an acknowledgement. Of a one-phase transaction that is stuck it is the decision: only
/// its one answer could tell, and it does not come.
pub(crate) fn resolved(
    txn: &mut Transaction,
    id: &BranchId,
    resolution: Resolution,
    now: Timestamp,
) -> Result<Durability, Rejection> {
    let decides = txn.phase == Phase::Preparing && txn.one_phase() && txn.stuck;
    if txn.outcome().is_none() && !decides {
        return Err(Rejection::NotDecided(txn.phase));
    }
    let index = txn.find(id).ok_or_else(|| Rejection::NoSuchBranch(id.clone()))?;
    match ended_as(txn, index) {
        Some(outcome) if outcome == resolution.outcome => return Ok(Durability::Nothing),
        Some(outcome) => return Err(Rejection::BranchEnded(id.clone(), outcome)),
        None => {}
    }
    let outcome = resolution.outcome;
    txn.record(now, Recorded::Resolved(index, resolution));
    let heuristic = match outcome {
        Outcome::Committed => Heuristic::Commit,
        Outcome::Aborted => Heuristic::Rollback,
    };
    let contradicts = txn.outcome().is_some_and(|decided| decided != outcome);
    if contradicts && txn.branches[index as usize].heuristic != Some(heuristic) {
        txn.record(now, Recorded::Heuristic(index, heuristic));
    }
    Ok(Durability::Forced)
}

/// How a branch's part has ended; none while something is still to be asked of it.
fn ended_as(txn: &Transaction, index: BranchIndex) -> Option<Outcome> {
    let branch = &txn.branches[index as usize];
    let mode: Mode = txn.mode;
    match (&branch.resolution, branch.heuristic) {
        (Some(resolution), _) => Some(resolution.outcome),
        (None, _) if txn.op().is_some_and(|op| mode.needs(txn, op, branch)) => None,
        (None, Some(Heuristic::Commit)) => Some(Outcome::Committed),
        (None, Some(Heuristic::Rollback)) => Some(Outcome::Aborted),
        (None, Some(Heuristic::Mixed) | None) => txn.outcome(),
    }
}
