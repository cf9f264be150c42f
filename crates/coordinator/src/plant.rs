//! Bugs for the simulation to find. Without the feature `plant` every question here is answered "no" at compile time.
use crate::record::Stored;
use unanim_engine::{CallState, Effect, Event, HistoryEvent, Op, Phase, Recorded, Reply, Timestamp, Transaction, Vote};

/// A rule of the protocol that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Outputs wait for no gate.
    ActBeforeSave,
    /// The decision to abort is lazy.
    AbortLazy,
    /// After a load every vote counts as yes.
    VotesSurviveCrash,
    /// An inquiry about a gid that is not in memory is answered "aborted".
    PresumeFromMemory,
    /// Who waits when the session ends is not answered.
    DropWaiters,
    /// A rollback does not wait for the end of the branch's prepare.
    OvertakeInFlight,
    /// Readers are told what is not durable.
    ReadUnsaved,
    /// A request for a gid that is being looked up does not wait for the answer.
    NoFindQueue,
    /// A lazy step's calls do not wait for the last forced change.
    LazyOutrunsForced,
    /// A finished transaction leaves memory before its record is durable.
    ForgetUnsaved,
    /// No answer to a vote counts as yes.
    UnknownIsYes,
    /// A refusal after the decision counts as done.
    RefusalIsDone,
    /// A call that ends does not make room for the next in line.
    LineLeaks,
    /// Another body under a known gid is taken for the same.
    DigestIgnored,
}

#[derive(Default)]
pub(crate) struct Plant {
    #[cfg(feature = "plant")]
    pub(crate) bug: Option<Bug>,
}

impl Plant {
    #[cfg(feature = "plant")]
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    #[cfg(not(feature = "plant"))]
    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    pub(crate) const fn has(&self, _: Bug) -> bool {
        false
    }
}

impl Plant {
    /// For [`Bug::UnknownIsYes`] and [`Bug::RefusalIsDone`].
    pub(crate) fn event(&self, event: Event) -> Event {
        match event {
            Event::Replied { branch, op: Op::Prepare, attempt, reply: Reply::Unknown { .. } }
                if self.has(Bug::UnknownIsYes) =>
            {
                Event::Replied { branch, op: Op::Prepare, attempt, reply: Reply::Ok }
            }
            Event::Replied { branch, op: Op::Commit, attempt, reply: Reply::Refused(_) }
                if self.has(Bug::RefusalIsDone) =>
            {
                Event::Replied { branch, op: Op::Commit, attempt, reply: Reply::Ok }
            }
            event => event,
        }
    }
}

/// For [`Bug::VotesSurviveCrash`].
pub(crate) fn all_said_yes(stored: &mut Stored, now: Timestamp) {
    let preparing = stored.history.last().is_some_and(|e| matches!(e.what, Recorded::Phase(Phase::Preparing, _)));
    if preparing {
        let votes = (0..stored.body.branches.len() as u32).map(|i| Recorded::Voted(i, Vote::Yes));
        stored.history.extend(votes.map(|what| HistoryEvent { at: now, what }));
    }
}

/// For [`Bug::OvertakeInFlight`].
pub(crate) fn overtake(txn: &mut Transaction, effects: &mut Vec<Effect>) {
    if txn.phase != Phase::Aborting {
        return;
    }
    for (branch, index) in txn.branches.iter_mut().zip(0..) {
        if branch.call == CallState::Calling(Op::Prepare) {
            branch.attempts += 1;
            branch.call = CallState::Calling(Op::Rollback);
            effects.push(Effect::Call { branch: index, op: Op::Rollback, attempt: branch.attempts });
        }
    }
}
