//! One event, one transaction, in place.
use crate::mode::Next;
use crate::resolution::resolved;
use crate::{
    Branch, BranchIndex, BranchSpec, CallState, Decision, Dialect, Durability, Effect, Event, Heuristic, LastReply,
};
use crate::{
    Limits, Op, Outcome, Phase, Reason, ReasonCode, Recorded, Rejection, Reply, ReplyCode, Timestamp, Transaction, Vote,
};
use std::sync::Arc;

/// Enough for every phase of every mode; more would be a loop.
const TRANSITIONS_MAX: usize = 8;

/// Bytes of a participant's words that are kept.
const DETAIL_BYTES_MAX: usize = 1024;

/// Hands an event to a transaction. `effects` gets what is to be done, in order; it is not cleared.
///
/// # Errors
/// A rejected event has changed nothing.
///
/// # Panics
/// When the transaction's own bookkeeping is broken: better no coordinator than one that decides on it.
pub fn step(
    txn: &mut Transaction,
    event: Event,
    limits: &Limits,
    now: Timestamp,
    effects: &mut Vec<Effect>,
) -> Result<Durability, Rejection> {
    let (mut wish, mut deadline_at, mut detail) = (None, None, None);
    let recorded = match event {
        Event::Joined(specs) => joined(txn, specs, limits, now)?,
        Event::Requested(decision, deadline) => {
            requested(txn, decision)?;
            (wish, deadline_at) = (Some(decision), deadline);
            Durability::Nothing
        }
        Event::Replied { branch, op, attempt, reply } => {
            if let Reply::Refused(words) = &reply {
                detail = words.as_deref().map(shortened);
            }
            replied(txn, branch, op, attempt, &reply, now, effects)
        }
        Event::Resolved(id, resolution) => resolved(txn, &id, resolution, now)?,
        Event::Woke => woke(txn, limits, now, effects),
        Event::Retried => {
            retried(txn, now, effects);
            Durability::Nothing
        }
    };
    let settled = settle(txn, wish, deadline_at, detail, now);
    call_round(txn, now, effects);
    Ok(recorded.max(settled))
}

/// Goes as far as the transaction can go by itself.
fn settle(
    txn: &mut Transaction,
    wish: Option<Decision>,
    deadline_at: Option<Timestamp>,
    mut detail: Option<Box<str>>,
    now: Timestamp,
) -> Durability {
    let mut durability = Durability::Nothing;
    for _ in 0..TRANSITIONS_MAX {
        match txn.mode.next(txn, wish, now) {
            Next::Enter(phase) => {
                txn.record(now, Recorded::Phase(phase, deadline_at));
                durability = Durability::Forced;
            }
            Next::Decide(outcome, code) => {
                let reason = code.map(|code| reason(txn, code, detail.take()));
                txn.record(now, Recorded::Decided(outcome, reason));
                durability = Durability::Forced;
            }
            // After a durable decision asking again is harmless; where the decision is in this very step, it is Forced.
            Next::Finish => {
                txn.record(now, Recorded::Finished);
                durability = durability.max(Durability::Lazy);
            }
            Next::Wait => return durability,
        }
    }
    unreachable!("{:?}: {:?} does not settle", txn.gid, txn.mode)
}

/// Why it aborts, and because of whom.
fn reason(txn: &Transaction, code: ReasonCode, detail: Option<Box<str>>) -> Reason {
    match code {
        ReasonCode::Refused => Reason { code, branch: txn.round.as_ref().and_then(|r| r.refused), detail },
        ReasonCode::Deadline => {
            let asked = txn.branches.iter().zip(0..).filter(|_| txn.phase == Phase::Preparing);
            let silent = asked.into_iter().find(|(branch, _)| branch.vote.is_none());
            let last = silent.and_then(|(branch, _)| branch.last);
            let detail = last.map(|last| last.code.to_string().into());
            Reason { code, branch: silent.map(|(_, index)| index), detail }
        }
        ReasonCode::Client => {
            let resolved = txn.branches.iter().zip(0..).find_map(|(b, index)| Some((index, b.resolution.as_ref()?)));
            let detail = resolved.and_then(|(_, resolution)| resolution.reason().map(Into::into));
            Reason { code, branch: resolved.map(|(index, _)| index), detail }
        }
    }
}

fn joined(
    txn: &mut Transaction,
    specs: Vec<Arc<BranchSpec>>,
    limits: &Limits,
    now: Timestamp,
) -> Result<Durability, Rejection> {
    let new = txn.admit(specs, limits)?;
    let durability = if new.is_empty() { Durability::Nothing } else { Durability::Forced };
    txn.make_room(new.len());
    new.into_iter().for_each(|spec| txn.record(now, Recorded::BranchAdded(spec)));
    Ok(durability)
}

fn requested(txn: &Transaction, decision: Decision) -> Result<(), Rejection> {
    match (decision, txn.phase) {
        (Decision::Commit, Phase::Active) if txn.branches.is_empty() => Err(Rejection::NoBranches),
        // The one call may have committed already; only its answer tells.
        (Decision::Rollback, Phase::Preparing) if txn.one_phase() => Err(Rejection::OnePhase),
        (Decision::Rollback, Phase::Committing | Phase::Committed) => {
            Err(Rejection::AlreadyDecided(Outcome::Committed))
        }
        (Decision::Rollback, Phase::Active | Phase::Preparing | Phase::Aborting | Phase::Aborted) => Ok(()),
        // Asking again is no error; the answer says how it ended.
        (Decision::Commit, _) => Ok(()),
    }
}

fn woke(txn: &mut Transaction, limits: &Limits, now: Timestamp, effects: &mut Vec<Effect>) -> Durability {
    // A vote that came too late to count is not asked for again.
    if !txn.expired(now) {
        for index in txn.take_again(now) {
            let op = txn.round.as_ref().expect("entering a phase ends its retry timers").op;
            call(txn, op, index, effects);
        }
    }
    if txn.stuck_at(limits).is_some_and(|at| at <= now) {
        txn.record(now, Recorded::Stuck);
        return Durability::Lazy;
    }
    Durability::Nothing
}

/// Like a waking at the last of all next calls. What a load made wait for its own sake waits on.
fn retried(txn: &mut Transaction, now: Timestamp, effects: &mut Vec<Effect>) {
    // A vote that came too late to count is not asked for again.
    if txn.expired(now) {
        return;
    }
    for index in txn.take_again(Timestamp(u64::MAX)) {
        let op = txn.round.as_ref().expect("entering a phase ends its retry timers").op;
        call_or_wait(txn, op, index, now, effects);
    }
}

/// Orders the calls of a round that was just entered or loaded.
fn call_round(txn: &mut Transaction, now: Timestamp, effects: &mut Vec<Effect>) {
    let Some(round) = &mut txn.round else { return };
    if std::mem::replace(&mut round.called, true) {
        return;
    }
    let op = round.op;
    for index in 0..txn.branches.len() {
        let branch = &txn.branches[index];
        if branch.call == CallState::Idle && txn.mode.needs(txn, op, branch) {
            call_or_wait(txn, op, index as BranchIndex, now, effects);
        }
    }
}

/// A classic participant keeps no tombstones, and an earlier owner's `prepare` may still be on its way to it, whatever
/// it has voted since: after a load, its first `rollback` waits for as long as such a call may take.
fn call_or_wait(txn: &mut Transaction, op: Op, index: BranchIndex, now: Timestamp, effects: &mut Vec<Effect>) {
    let spec = &txn.branches[index as usize].spec;
    let may_be_late = op.is_backward() && spec.callee.dialect == Dialect::Classic;
    let until = txn.in_doubt_since.map(|at| at.after(u64::from(spec.callee.call_timeout_ms)));
    match until {
        Some(until) if may_be_late && until > now => txn.ask_again(index, until),
        Some(_) | None => call(txn, op, index, effects),
    }
}

/// One call per branch at a time, whatever it asks.
fn call(txn: &mut Transaction, op: Op, index: BranchIndex, effects: &mut Vec<Effect>) {
    let branch = &mut txn.branches[index as usize];
    branch.attempts += 1;
    branch.call = CallState::Calling(op);
    effects.push(Effect::Call { branch: index, op, attempt: branch.attempts });
}

fn replied(
    txn: &mut Transaction,
    index: BranchIndex,
    op: Op,
    attempt: u32,
    reply: &Reply,
    now: Timestamp,
    effects: &mut Vec<Effect>,
) -> Durability {
    let branch = match txn.branches.get_mut(index as usize) {
        // Its call has ended already.
        Some(b) if b.call != CallState::Calling(op) || b.attempts != attempt => return Durability::Nothing,
        None => return Durability::Nothing,
        Some(branch) => branch,
    };
    branch.call = CallState::Idle;
    branch.last = Some(LastReply { at: now, code: ReplyCode::from(reply) });
    // A person knew better.
    if branch.resolution.is_some() {
        return Durability::Nothing;
    }
    if txn.wants(op) {
        return answered(txn, index, op, attempt, reply, now);
    }
    // The phase has changed since: of what it answered only what nobody would say again counts, and what waited for
    // the end of this call goes out.
    let durability = match reply {
        Reply::Heuristic(heuristic) if !txn.finished() => heuristically(txn, index, *heuristic, now),
        _ => Durability::Nothing,
    };
    if let Some(round) = txn.round
        && txn.mode.needs(txn, round.op, &txn.branches[index as usize])
    {
        call_or_wait(txn, round.op, index, now, effects);
    }
    durability
}

/// What an answer to the round's operation means.
fn answered(
    txn: &mut Transaction,
    index: BranchIndex,
    op: Op,
    attempt: u32,
    reply: &Reply,
    now: Timestamp,
) -> Durability {
    let vote = |txn: &mut Transaction, vote| {
        txn.record(now, Recorded::Voted(index, vote));
        Durability::Lazy
    };
    let done = |txn: &mut Transaction| {
        txn.record(now, Recorded::Acknowledged(index));
        Durability::Lazy
    };
    match (op, reply) {
        (Op::Prepare, Reply::Ok) => vote(txn, Vote::Yes),
        (Op::Prepare | Op::CommitOnePhase, Reply::ReadOnly) => vote(txn, Vote::ReadOnly),
        (Op::Prepare | Op::CommitOnePhase, Reply::Refused(_)) => vote(txn, Vote::Refused),
        (Op::Commit | Op::Rollback | Op::CommitOnePhase, Reply::Ok) => done(txn),
        (Op::Prepare, Reply::Heuristic(heuristic)) => {
            heuristically(txn, index, *heuristic, now).max(vote(txn, Vote::Refused))
        }
        // The only branch has committed: that is the outcome, whatever it is called.
        (Op::CommitOnePhase, Reply::Heuristic(Heuristic::Commit)) => {
            heuristically(txn, index, Heuristic::Commit, now).max(done(txn))
        }
        (Op::CommitOnePhase, Reply::Heuristic(heuristic)) => {
            heuristically(txn, index, *heuristic, now).max(vote(txn, Vote::Refused))
        }
        (Op::Commit | Op::Rollback, Reply::Heuristic(heuristic)) => {
            heuristically(txn, index, *heuristic, now).max(done(txn))
        }
        (_, Reply::Ongoing { retry_after_ms }) => {
            txn.heard(index);
            let policy = policy(txn, index);
            // One that is stuck is asked at the cap, whatever it answers.
            let at = match txn.stuck {
                false => policy.interval_at(now, &txn.gid, attempt, *retry_after_ms),
                true => policy.again_at(now, &txn.gid, attempt, u32::MAX, *retry_after_ms),
            };
            txn.ask_again(index, at);
            Durability::Nothing
        }
        (_, Reply::Unknown { .. } | Reply::Refused(_) | Reply::ReadOnly) => {
            txn.heard(index);
            let retry_after_ms = match reply {
                Reply::Unknown { retry_after_ms, .. } => *retry_after_ms,
                _ => 0,
            };
            let branch = &mut txn.branches[index as usize];
            branch.failures += 1;
            let failures = branch.failures;
            let at = policy(txn, index).again_at(now, &txn.gid, attempt, failures, retry_after_ms);
            txn.ask_again(index, at);
            Durability::Nothing
        }
    }
}

fn heuristically(txn: &mut Transaction, index: BranchIndex, heuristic: Heuristic, now: Timestamp) -> Durability {
    txn.record(now, Recorded::Heuristic(index, heuristic));
    Durability::Forced
}

fn policy(txn: &Transaction, index: BranchIndex) -> crate::RetryPolicy {
    let branch: &Branch = &txn.branches[index as usize];
    branch.spec.callee.retry.as_deref().map_or(txn.retry, |own| own.over(txn.retry))
}

fn shortened(words: &str) -> Box<str> {
    words[..words.floor_char_boundary(DETAIL_BYTES_MAX)].into()
}
