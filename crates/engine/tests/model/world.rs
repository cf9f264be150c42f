//! One coordinator with the real engine, its store, its participants, and everything that may go wrong between them.
use crate::key::Key;
use crate::network::{Call, Network};
use crate::participant::{Participant, Said};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use unanim_engine::{
    Body, BranchId, BranchIndex, BranchSpec, CallState, Callee, Decision, Dialect, Durability, Effect, Event, Failure,
    Gid, HistoryEvent, Limits, Mode, Op, Outcome, Phase, Recorded, Reply, Resolution, RetryPolicy, Target, Timestamp,
    Transaction, Vote, step,
};

pub(crate) const LIMITS: Limits = Limits { branches_max: 3, payload_bytes_max: 0, stuck_after_ms: u64::MAX / 2 };
/// The three instants that make a difference: retries are due a millisecond after a failure.
const START: Timestamp = Timestamp(0);
const RETRY: Timestamp = Timestamp(1);
const DEADLINE: Timestamp = Timestamp(2);

/// A bug, to show that the properties see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Calls leave before what they follow from is durable.
    NotGated,
    /// Only calls that follow from an abort do.
    AbortLazy,
    /// Only calls that follow from entering Preparing do.
    PreparingLazy,
    /// A client is told before the decision is durable.
    ToldEarly,
    /// After a crash a vote that is not in the record counts as yes.
    VotesInvented,
    /// Silence is a no.
    UnknownRefused,
    /// Silence is a yes.
    UnknownOk,
    /// A participant forgets what it rolled back.
    NoTombstones,
    /// A person's word is passed on before it is durable.
    ResolvedLazy,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Commit,
    Rollback,
    Deadline,
    Retry,
    /// It has been open in one phase, asked in one, for too long.
    Stuck,
    /// A person says how a branch ended.
    Resolve(BranchIndex, Outcome),
    /// All that has changed becomes durable: the gates open.
    Save,
    /// Back to what is durable.
    Crash,
    /// A call ends without a reply.
    Timeout(BranchIndex),
    /// A call arrives; the participant says this where it may choose.
    Called(BranchIndex, Call, Said),
    Replied(BranchIndex, Call, Said),
}

/// How many things may go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    pub(crate) crashes: u8,
    pub(crate) timeouts: u8,
    /// What people say is no fault, and as rare.
    pub(crate) resolutions: u8,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) txn: Transaction,
    body: Arc<Body>,
    bug: Option<Bug>,
    saved: Arc<Vec<HistoryEvent>>,
    /// What a load would give.
    pub(crate) durable: Arc<Transaction>,
    unsaved: Vec<HistoryEvent>,
    /// A forced change is not durable yet: calls wait.
    pub(crate) gated: bool,
    pub(crate) waiting: Vec<Effect>,
    pub(crate) participants: Vec<Participant>,
    pub(crate) networks: Vec<Network>,
    pub(crate) left: Faults,
    /// What anyone may have seen: a client's answer, or a participant's order.
    pub(crate) told: Option<Outcome>,
    /// A call left that the store did not justify.
    pub(crate) unjustified: bool,
    /// A participant was told what contradicts its state.
    pub(crate) contradicted: bool,
    key: Key,
}

fn body(branches: u32, one_phase: bool) -> Body {
    let spec = |i: u32| {
        BranchSpec::new(
            BranchId::new(&format!("b{i}")).expect("a name"),
            Callee {
                participant: unanim_engine::Participant::new("p").expect("a name"),
                target: Target::One("".into()),
                dialect: Dialect::V1,
                call_timeout_ms: 1,
                retry: None,
                refused_statuses: Box::default(),
                one_phase,
            },
            None,
        )
    };
    Body {
        gid: Gid::new("g").expect("a name"),
        mode: Mode::TwoPhase,
        digest: [0; 32],
        created_at: START,
        deadline_at: DEADLINE,
        retry: RetryPolicy { first_ms: 1, max_ms: 1 },
        branches: (0..branches).map(|i| Arc::new(spec(i))).collect(),
    }
}

impl World {
    /// Begun, durably.
    pub(crate) fn new(branches: u32, one_phase: bool, bug: Option<Bug>, left: Faults) -> World {
        let body = Arc::new(body(branches, one_phase));
        let txn = Transaction::begin(&body, &LIMITS).expect("a good body");
        let mut world = World {
            durable: Arc::new(txn.clone()),
            txn,
            body,
            bug,
            saved: Arc::default(),
            unsaved: Vec::new(),
            gated: false,
            waiting: Vec::new(),
            participants: vec![Participant::Fresh; branches as usize],
            networks: vec![Network::default(); branches as usize],
            left,
            told: None,
            unjustified: false,
            contradicted: false,
            key: Key::default(),
        };
        world.key = world.fresh_key();
        world
    }

    pub(crate) fn actions(&self, actions: &mut Vec<Action>) {
        let open = matches!(self.txn.phase, Phase::Active | Phase::Preparing);
        if self.txn.phase == Phase::Active {
            actions.push(Action::Commit);
        }
        if open {
            actions.extend([Action::Rollback, Action::Deadline]);
        }
        if self.txn.branches.iter().any(|b| matches!(b.call, CallState::Again(_))) {
            actions.push(Action::Retry);
        }
        if !self.unsaved.is_empty() {
            actions.push(Action::Save);
        }
        if self.left.resolutions > 0 {
            self.resolutions(actions);
        }
        if self.left.crashes > 0 {
            actions.push(Action::Crash);
        }
        for (branch, index) in self.networks.iter().zip(0..) {
            let at = index as usize;
            if self.left.timeouts > 0 && matches!(self.txn.branches[at].call, CallState::Calling(_)) {
                actions.push(Action::Timeout(index));
            }
            for call in branch.calls() {
                let says = if self.participants[at].chooses(call.0) { &Said::ALL[..] } else { &[Said::Ok] };
                actions.extend(says.iter().map(|said| Action::Called(index, call, *said)));
            }
            actions.extend(branch.replies().map(|(call, said)| Action::Replied(index, call, said)));
        }
    }

    fn resolutions(&self, actions: &mut Vec<Action>) {
        let in_one_phase = self.txn.phase == Phase::Preparing && self.txn.one_phase();
        if in_one_phase && !self.txn.stuck {
            actions.push(Action::Stuck);
        }
        for (branch, index) in self.txn.branches.iter().zip(0..) {
            if branch.resolution.is_none() && (self.txn.outcome().is_some() || in_one_phase) {
                let outcomes = [Outcome::Committed, Outcome::Aborted];
                actions.extend(outcomes.map(|outcome| Action::Resolve(index, outcome)));
            }
        }
    }

    fn resolve(&mut self, branch: BranchIndex, outcome: Outcome) {
        self.left.resolutions -= 1;
        let id = self.txn.branches[branch as usize].spec.id.clone();
        let said = Resolution::new(outcome, None, None).expect("short enough");
        self.step(Event::Resolved(id, said), START);
        if self.bug == Some(Bug::ResolvedLazy) {
            self.told = self.told.or(self.txn.outcome());
        }
    }

    /// Participants that no person has ended.
    pub(crate) fn unresolved(&self) -> impl Iterator<Item = Participant> {
        let said = |txn: &Transaction, at: usize| txn.branches[at].resolution.is_some();
        let all = self.participants.iter().copied().enumerate();
        all.filter(move |(at, _)| !said(&self.txn, *at) && !said(&self.durable, *at))
            .map(|(_, participant)| participant)
    }

    /// None where nothing changes.
    pub(crate) fn after(&self, action: Action) -> Option<World> {
        let mut next = self.clone();
        match action {
            Action::Commit => next.step(Event::Requested(Decision::Commit, None), START),
            Action::Rollback => next.step(Event::Requested(Decision::Rollback, None), START),
            Action::Deadline => next.step(Event::Woke, DEADLINE),
            Action::Retry => next.step(Event::Woke, RETRY),
            Action::Stuck => next.step(Event::Woke, START.after(LIMITS.stuck_after_ms)),
            Action::Resolve(branch, outcome) => next.resolve(branch, outcome),
            Action::Save => next.save(),
            Action::Crash => next.crash(),
            Action::Timeout(branch) => next.timeout(branch),
            Action::Called(branch, call, said) => next.called(branch, call, said),
            Action::Replied(branch, call, said) => next.replied(branch, call, said),
        }
        next.key = next.fresh_key();
        (next.key != self.key).then_some(next)
    }

    fn step(&mut self, event: Event, now: Timestamp) {
        let mut effects = Vec::new();
        // A rejected event has changed nothing.
        let Ok(durability) = step(&mut self.txn, event, &LIMITS, now, &mut effects) else { return };
        let (_, events) = self.txn.take_unsaved();
        self.gated |= durability == Durability::Forced && !self.planted_lazy(&events);
        self.unsaved.extend(events);
        if self.bug == Some(Bug::ToldEarly) {
            self.told = self.told.or(self.txn.outcome());
        }
        if self.gated {
            self.waiting.extend(effects);
        } else {
            effects.into_iter().for_each(|effect| self.send(effect));
        }
    }

    fn planted_lazy(&self, events: &[HistoryEvent]) -> bool {
        let any = |of: fn(&Recorded) -> bool| events.iter().any(|e| of(&e.what));
        match self.bug {
            Some(Bug::NotGated) => true,
            Some(Bug::AbortLazy) => any(|what| matches!(what, Recorded::Decided(Outcome::Aborted, _))),
            Some(Bug::PreparingLazy) => any(|what| matches!(what, Recorded::Phase(Phase::Preparing, _))),
            _ => false,
        }
    }

    fn send(&mut self, Effect::Call { branch, op, attempt }: Effect) {
        let (phase, outcome) = (self.durable.phase, self.durable.outcome());
        self.unjustified |= match op {
            Op::Prepare | Op::CommitOnePhase => phase == Phase::Active,
            Op::Commit => outcome != Some(Outcome::Committed),
            Op::Rollback => outcome != Some(Outcome::Aborted),
        };
        self.unjustified |= self.durable.branches[branch as usize].resolution.is_some();
        if matches!(op, Op::Commit | Op::Rollback) {
            self.told = self.told.or(self.txn.outcome());
        }
        self.networks[branch as usize].call((op, attempt));
    }

    /// Then the calls that waited leave, but for those that are of no use any more.
    fn save(&mut self) {
        Arc::make_mut(&mut self.saved).append(&mut self.unsaved);
        self.durable = Arc::new(self.loaded());
        self.gated = false;
        self.told = self.told.or(self.durable.outcome());
        for effect in std::mem::take(&mut self.waiting) {
            let Effect::Call { branch, op, attempt } = effect;
            if self.txn.wants_call(branch, op) {
                self.send(effect);
            } else {
                let reply = Reply::unknown(Failure::Unsent);
                self.step(Event::Replied { branch, op, attempt, reply }, START);
            }
        }
    }

    fn loaded(&self) -> Transaction {
        Transaction::load(&self.body, self.saved.iter().cloned(), START)
    }

    fn crash(&mut self) {
        if self.bug == Some(Bug::VotesInvented) && self.durable.phase == Phase::Preparing {
            let silent = self.durable.branches.iter().zip(0..).filter(|(b, _)| b.vote.is_none());
            let votes = silent.map(|(_, i)| HistoryEvent { at: START, what: Recorded::Voted(i, Vote::Yes) });
            Arc::make_mut(&mut self.saved).extend(votes);
        }
        self.left.crashes -= 1;
        self.unsaved.clear();
        self.waiting.clear();
        self.gated = false;
        self.networks.iter_mut().for_each(|network| *network = network.orphaned());
        self.txn = self.loaded();
        self.step(Event::Woke, START);
    }

    fn timeout(&mut self, branch: BranchIndex) {
        self.left.timeouts -= 1;
        let Branch { op, attempt } = self.calling(branch);
        let reply = match self.bug {
            Some(Bug::UnknownRefused) => Reply::Refused(None),
            Some(Bug::UnknownOk) => Reply::Ok,
            _ => Reply::unknown(Failure::Timeout),
        };
        self.step(Event::Replied { branch, op, attempt, reply }, START);
    }

    fn calling(&self, branch: BranchIndex) -> Branch {
        let branch = &self.txn.branches[branch as usize];
        match branch.call {
            CallState::Calling(op) => Branch { op, attempt: branch.attempts },
            other => unreachable!("only a call under way ends: {other:?}"),
        }
    }

    fn called(&mut self, branch: BranchIndex, call: Call, choice: Said) {
        let at = branch as usize;
        match self.participants[at].called(call.0, choice, self.bug != Some(Bug::NoTombstones)) {
            Some((participant, said)) => {
                self.participants[at] = participant;
                self.networks[at].reply(call, said);
            }
            None => self.contradicted = true,
        }
    }

    fn replied(&mut self, branch: BranchIndex, (op, attempt): Call, said: Said) {
        let reply = match said {
            Said::Ok => Reply::Ok,
            Said::ReadOnly => Reply::ReadOnly,
            Said::Refused => Reply::Refused(None),
        };
        self.step(Event::Replied { branch, op, attempt, reply }, START);
    }
}

/// A call under way.
struct Branch {
    op: Op,
    attempt: u32,
}

impl PartialEq for World {
    fn eq(&self, other: &World) -> bool {
        self.key == other.key
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
