//! Two-phase commit: every branch votes, then every branch is told. One branch alone may do both in one call.
use super::Next;
use crate::{Branch, Decision, Op, Outcome, Phase, ReasonCode, Timestamp, Transaction, Vote};

pub(super) fn next(txn: &Transaction, wish: Option<Decision>, now: Timestamp) -> Next {
    let aborted = |reason| Next::Decide(Outcome::Aborted, Some(reason));
    let round = txn.round.as_ref();
    let all_closed = round.is_some_and(|r| r.open == 0);
    match txn.phase {
        Phase::Active if txn.expired(now) => aborted(ReasonCode::Deadline),
        Phase::Active => match wish {
            Some(Decision::Commit) => Next::Enter(Phase::Preparing),
            Some(Decision::Rollback) => aborted(ReasonCode::Client),
            None => Next::Wait,
        },
        Phase::Preparing if resolved(txn) == Some(Outcome::Aborted) => aborted(ReasonCode::Client),
        Phase::Preparing if round.is_some_and(|r| r.refused.is_some()) => aborted(ReasonCode::Refused),
        Phase::Preparing if wish == Some(Decision::Rollback) => aborted(ReasonCode::Client),
        Phase::Preparing if txn.expired(now) => aborted(ReasonCode::Deadline),
        Phase::Preparing if all_closed => Next::Decide(Outcome::Committed, None),
        Phase::Committing | Phase::Aborting if all_closed => Next::Finish,
        Phase::Preparing | Phase::Committing | Phase::Aborting | Phase::Committed | Phase::Aborted => Next::Wait,
    }
}

/// What a person said of the only branch, which decides where it has not been decided.
fn resolved(txn: &Transaction) -> Option<Outcome> {
    match &*txn.branches {
        [only] => only.resolution.as_ref().map(|resolution| resolution.outcome),
        _ => None,
    }
}

pub(super) fn operation(txn: &Transaction) -> Option<Op> {
    match txn.phase {
        Phase::Preparing if txn.one_phase() => Some(Op::CommitOnePhase),
        Phase::Preparing => Some(Op::Prepare),
        Phase::Committing => Some(Op::Commit),
        Phase::Aborting => Some(Op::Rollback),
        Phase::Active | Phase::Committed | Phase::Aborted => None,
    }
}

pub(super) fn needs(txn: &Transaction, op: Op, branch: &Branch) -> bool {
    match op {
        Op::Prepare => branch.vote.is_none(),
        Op::CommitOnePhase => branch.vote.is_none() && !branch.done,
        Op::Commit => branch.vote != Some(Vote::ReadOnly) && !branch.done,
        // One that refused is told as well: it may have kept something. One-phase: its answer was the end.
        Op::Rollback => txn.asked && !txn.one_phase() && branch.vote != Some(Vote::ReadOnly) && !branch.done,
    }
}
