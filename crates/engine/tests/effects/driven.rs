//! A transaction under test. Every step is also held against what is true of all of them: a rejection changes nothing,
//! an outcome never changes, a branch has one call at a time, the history alone gives the same transaction, and an open
//! one waits for something.
use std::collections::BTreeMap;
use std::sync::Arc;
use unanim_engine::{
    Body, BranchId, BranchIndex, BranchSpec, CallState, Callee, Decision, Dialect, Durability, Effect, Event, Failure,
    Gid, HistoryEvent, Limits, Mode, Op, Outcome, Participant, Phase, Reason, ReasonCode, Recorded, Rejection, Reply,
    Resolution, RetryPolicy, Target, Timestamp, Transaction, step,
};

/// When every transaction here begins.
pub(crate) const BEGIN: Timestamp = Timestamp(1_000_000);
/// How long it may take to its decision.
pub(crate) const DEADLINE_MS: u64 = 60_000;
pub(crate) const CALL_TIMEOUT_MS: u64 = 10_000;
pub(crate) const LIMITS: Limits = Limits { branches_max: 40, payload_bytes_max: 16, stuck_after_ms: 600_000 };

/// What came of an event.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) durability: Durability,
    pub(crate) recorded: Vec<Recorded>,
    pub(crate) effects: Vec<Effect>,
}

pub(crate) fn forced<const R: usize, const E: usize>(recorded: [Recorded; R], effects: [Effect; E]) -> Step {
    Step { durability: Durability::Forced, recorded: recorded.into(), effects: effects.into() }
}

pub(crate) fn lazy<const R: usize, const E: usize>(recorded: [Recorded; R], effects: [Effect; E]) -> Step {
    Step { durability: Durability::Lazy, recorded: recorded.into(), effects: effects.into() }
}

/// Nothing durable changed.
pub(crate) fn only<const E: usize>(effects: [Effect; E]) -> Step {
    Step { durability: Durability::Nothing, recorded: Vec::new(), effects: effects.into() }
}

pub(crate) fn call(branch: BranchIndex, op: Op, attempt: u32) -> Effect {
    Effect::Call { branch, op, attempt }
}

pub(crate) fn preparing() -> Recorded {
    Recorded::Phase(Phase::Preparing, None)
}

pub(crate) fn committed() -> Recorded {
    Recorded::Decided(Outcome::Committed, None)
}

pub(crate) fn aborted(code: ReasonCode) -> Recorded {
    Recorded::Decided(Outcome::Aborted, Some(Reason { code, branch: None, detail: None }))
}

/// Nobody waits any longer for the vote of this branch.
pub(crate) fn late(branch: BranchIndex, detail: Option<&str>) -> Recorded {
    let reason = Reason { code: ReasonCode::Deadline, branch: Some(branch), detail: detail.map(Into::into) };
    Recorded::Decided(Outcome::Aborted, Some(reason))
}

pub(crate) fn refused(branch: BranchIndex, detail: Option<&str>) -> Recorded {
    let reason = Reason { code: ReasonCode::Refused, branch: Some(branch), detail: detail.map(Into::into) };
    Recorded::Decided(Outcome::Aborted, Some(reason))
}

pub(crate) fn timeout() -> Reply {
    Reply::unknown(Failure::Timeout)
}

pub(crate) fn no() -> Reply {
    Reply::Refused(None)
}

pub(crate) fn spec(id: &str) -> BranchSpec {
    BranchSpec::new(
        BranchId::new(id).expect("a name"),
        Callee {
            participant: Participant::new("http://127.0.0.1:5001").expect("a name"),
            target: Target::One("http://127.0.0.1:5001/orders".into()),
            dialect: Dialect::V1,
            call_timeout_ms: CALL_TIMEOUT_MS as u32,
            retry: None,
            refused_statuses: Box::new([409, 422]),
            one_phase: false,
        },
        None,
    )
}

/// The same, called in another way.
pub(crate) fn called(mut spec: BranchSpec, change: impl FnOnce(&mut Callee)) -> BranchSpec {
    change(Arc::make_mut(&mut spec.callee));
    spec
}

pub(crate) fn body(specs: impl IntoIterator<Item = BranchSpec>) -> Body {
    Body {
        gid: Gid::new("order-17").expect("a name"),
        mode: Mode::TwoPhase,
        digest: [0; 32],
        created_at: BEGIN,
        deadline_at: BEGIN.after(DEADLINE_MS),
        retry: RetryPolicy::default(),
        branches: specs.into_iter().map(Arc::new).collect(),
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Driven {
    pub(crate) txn: Transaction,
    pub(crate) limits: Limits,
    pub(crate) now: Timestamp,
    body: Body,
    /// Everything it recorded, and the places at which a step ended.
    history: Vec<HistoryEvent>,
    ends: Vec<usize>,
    /// So much of it no crash can lose: somebody may have acted on it.
    forced: usize,
    calls: BTreeMap<BranchIndex, (Op, u32)>,
    outcome: Option<Outcome>,
}

impl Driven {
    pub(crate) fn begin<const N: usize>(ids: [&str; N]) -> Driven {
        Driven::with(ids.map(spec))
    }

    pub(crate) fn with(specs: impl IntoIterator<Item = BranchSpec>) -> Driven {
        let body = body(specs);
        let txn = Transaction::begin(&body, &LIMITS).expect("a good body");
        let (history, ends, calls) = (Vec::new(), vec![0], BTreeMap::new());
        Driven { txn, limits: LIMITS, now: BEGIN, body, history, ends, forced: 0, calls, outcome: None }
    }

    /// Begun, and asked to commit.
    pub(crate) fn preparing<const N: usize>(ids: [&str; N]) -> Driven {
        let mut txn = Driven::begin(ids);
        txn.commit();
        txn
    }

    /// Everyone has voted yes.
    pub(crate) fn committing<const N: usize>(ids: [&str; N]) -> Driven {
        let mut txn = Driven::preparing(ids);
        (0..N as u32).for_each(|branch| drop(txn.reply(branch, Reply::Ok)));
        txn
    }

    pub(crate) fn try_step(&mut self, event: Event) -> Result<Step, Rejection> {
        let before = self.txn.clone();
        let mut effects = Vec::new();
        let durability = match step(&mut self.txn, event.clone(), &self.limits, self.now, &mut effects) {
            Ok(durability) => durability,
            Err(rejection) => {
                assert_eq!((&self.txn, effects), (&before, vec![]), "a rejection changes nothing");
                return Err(rejection);
            }
        };
        let (first, events) = self.txn.take_unsaved();
        assert_eq!((first, self.txn.taken_seq()), (before.seq + 1, self.txn.seq));
        assert!(events.iter().all(|e| e.at == self.now));
        let recorded: Vec<Recorded> = events.iter().map(|e| e.what.clone()).collect();
        self.history.extend(events);
        self.ends.push(self.history.len());
        let step = Step { durability, recorded, effects };
        self.check(&before, &event, &step);
        Ok(step)
    }

    fn check(&mut self, before: &Transaction, event: &Event, step: &Step) {
        let loud = |r: &Recorded| match r {
            Recorded::BranchAdded(_) | Recorded::Phase(..) | Recorded::Decided(..) => true,
            Recorded::Heuristic(..) | Recorded::Resolved(..) | Recorded::Forgotten => true,
            Recorded::Voted(..) | Recorded::Acknowledged(_) | Recorded::Stuck | Recorded::Finished => false,
        };
        let durability = match &step.recorded[..] {
            [] => Durability::Nothing,
            recorded if recorded.iter().any(loud) => Durability::Forced,
            _ => Durability::Lazy,
        };
        assert_eq!(step.durability, durability, "{:?}", step.recorded);
        if durability == Durability::Forced {
            self.forced = self.history.len();
        }
        if let Event::Replied { branch, op, attempt, .. } = event
            && self.calls.get(branch) == Some(&(*op, *attempt))
        {
            self.calls.remove(branch);
        }
        for Effect::Call { branch, op, attempt } in step.effects.iter().copied() {
            let known = before.branches.get(branch as usize).map_or(0, |b| b.attempts);
            assert_eq!((attempt, self.txn.op()), (known + 1, Some(op)));
            assert_eq!(self.calls.insert(branch, (op, attempt)), None, "one call per branch at a time");
            assert!(self.txn.wants(op));
        }
        self.check_state(before);
        if *event == Event::Woke {
            assert!(self.txn.due(&self.limits).is_none_or(|at| at > self.now), "woken, it would be woken again");
        }
        self.check_fold();
    }

    fn check_state(&mut self, before: &Transaction) {
        assert!(self.txn.seq >= before.seq);
        assert!(self.outcome.is_none() || self.outcome == self.txn.outcome(), "a decision never changes");
        self.outcome = self.txn.outcome();
        for (branch, index) in self.txn.branches.iter().zip(0..) {
            let under_way = self.calls.get(&index).map(|(op, _)| CallState::Calling(*op));
            match branch.call {
                CallState::Calling(_) => assert_eq!(Some(branch.call), under_way),
                CallState::Idle | CallState::Again(_) => assert_eq!(None, under_way),
            }
        }
        if self.txn.finished() {
            // Of what a person has ended a call may still be under way.
            let resolved = |index: &BranchIndex| self.txn.branches[*index as usize].resolution.is_some();
            assert!(self.calls.keys().all(resolved));
            assert!(self.txn.due(&self.limits).is_none() && self.txn.op().is_none());
        } else {
            assert!(self.txn.due(&self.limits).is_some() || !self.calls.is_empty(), "it waits for nothing");
        }
    }

    /// What was recorded gives the same transaction again, in all that is durable.
    fn check_fold(&self) {
        assert_eq!(Transaction::check(&self.body, &self.history), Ok(()));
        let again = Transaction::load(&self.body, self.history.iter().cloned(), self.now);
        let durable = |t: &Transaction| {
            let at = (t.deadline_at, t.entered_at, t.decided_at, t.finished_at);
            let of = |b: &unanim_engine::Branch| (b.spec.clone(), b.vote, b.done, b.heuristic, b.resolution.clone());
            let branches: Vec<_> = t.branches.iter().map(of).collect();
            (t.phase, t.seq, t.stuck, t.asked, t.reason.clone(), at, branches, t.op())
        };
        assert_eq!(durable(&again), durable(&self.txn));
        for (branch, index) in self.txn.branches.iter().zip(0..) {
            assert_eq!((again.find(&branch.spec.id), self.txn.find(&branch.spec.id)), (Some(index), Some(index)));
        }
    }

    pub(crate) fn step(&mut self, event: Event) -> Step {
        self.try_step(event).expect("not rejected")
    }

    pub(crate) fn commit(&mut self) -> Step {
        self.step(Event::Requested(Decision::Commit, None))
    }

    pub(crate) fn rollback(&mut self) -> Step {
        self.step(Event::Requested(Decision::Rollback, None))
    }

    pub(crate) fn join(&mut self, specs: impl IntoIterator<Item = BranchSpec>) -> Result<Step, Rejection> {
        self.try_step(Event::Joined(specs.into_iter().map(Arc::new).collect()))
    }

    /// The branch's call under way ends so.
    pub(crate) fn reply(&mut self, branch: BranchIndex, reply: Reply) -> Step {
        let (op, attempt) = self.calls[&branch];
        self.step(Event::Replied { branch, op, attempt, reply })
    }

    /// A message that says so arrives, asked for or not.
    pub(crate) fn message(&mut self, branch: BranchIndex, op: Op, attempt: u32, reply: Reply) -> Step {
        self.step(Event::Replied { branch, op, attempt, reply })
    }

    /// So many milliseconds after the begin.
    pub(crate) fn at(&mut self, ms: u64) -> &mut Driven {
        self.now = BEGIN.after(ms);
        self
    }

    pub(crate) fn woke(&mut self) -> Step {
        self.step(Event::Woke)
    }

    pub(crate) fn resolve(&mut self, id: &str, resolution: Resolution) -> Result<Step, Rejection> {
        self.try_step(Event::Resolved(BranchId::new(id).expect("a name"), resolution))
    }

    pub(crate) fn retried(&mut self) -> Step {
        self.step(Event::Retried)
    }

    /// Goes to the next due time and wakes.
    pub(crate) fn woke_when_due(&mut self) -> Step {
        self.now = self.txn.due(&self.limits).expect("something is due").max(self.now);
        self.woke()
    }

    /// The next due time, in milliseconds since the begin.
    pub(crate) fn due(&self) -> Option<u64> {
        self.txn.due(&self.limits).map(|at| at.0 - BEGIN.0)
    }

    /// The branches that have a call under way.
    pub(crate) fn called(&self) -> Vec<BranchIndex> {
        self.calls.keys().copied().collect()
    }

    /// A crash loses the steps after the first `kept` ones, as far as nobody can have acted on them.
    pub(crate) fn crash(&mut self, kept: usize) {
        let kept = self.ends.get(kept).copied().unwrap_or(self.history.len()).max(self.forced);
        self.history.truncate(kept);
        self.ends.retain(|end| *end <= kept);
        self.calls.clear();
        self.txn = Transaction::load(&self.body, self.history.iter().cloned(), self.now);
        assert!(self.outcome.is_none() || self.outcome == self.txn.outcome(), "a decision never changes");
        assert_eq!(self.txn.taken_seq(), self.txn.seq);
    }

    /// Nothing is lost, and it goes on.
    pub(crate) fn reload(&mut self) -> Step {
        self.crash(usize::MAX);
        self.woke()
    }
}
