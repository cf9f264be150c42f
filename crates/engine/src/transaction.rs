//! A transaction: its body, what its history made of it, and what is under way.
use crate::index::Index;
use crate::round::Round;
use crate::{Branch, BranchIndex, BranchSpec, BranchState, Gid, HistoryEvent, Limits, Mode, Recorded, Rejection};
use crate::{Heuristic, Op, Outcome, Phase, Reason, RetryPolicy, Timestamp, Vote};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is written once, when a transaction begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Body {
    /// Its name.
    pub gid: Gid,
    /// Its protocol.
    pub mode: Mode,
    /// SHA-256 of the canonical request.
    pub digest: [u8; 32],
    /// When it began.
    pub created_at: Timestamp,
    /// When it aborts unless it is past its point of no return.
    pub deadline_at: Timestamp,
    /// How its branches are asked again.
    pub retry: RetryPolicy,
    /// The branches it began with; more may join.
    pub branches: Vec<Arc<BranchSpec>>,
}

/// One transaction. What is durable changes only by [`HistoryEvent`]s; the rest is rebuilt after a load.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// Its name.
    pub gid: Gid,
    /// Its protocol.
    pub mode: Mode,
    /// Where it stands.
    pub phase: Phase,
    /// SHA-256 of the canonical request.
    pub digest: [u8; 32],
    /// When it began.
    pub created_at: Timestamp,
    /// When it aborts unless it is past its point of no return.
    pub deadline_at: Timestamp,
    /// When it entered its phase.
    pub entered_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it aborted.
    pub reason: Option<Box<Reason>>,
    /// Open in one phase for longer than is normal.
    pub stuck: bool,
    /// A person has forgotten it: of all that was known, gid and outcome are left.
    pub forgotten: bool,
    /// Its branches may have been called.
    pub asked: bool,
    /// How its branches are asked again.
    pub retry: RetryPolicy,
    /// Its branches, in the order in which they joined.
    pub branches: Vec<Branch>,
    /// The number of its last history event; the begin is 1.
    pub seq: u64,
    pub(crate) index: Option<Box<Index>>,
    pub(crate) round: Option<Round>,
    /// When it was loaded, where earlier owners may have called its branches: such a call may still be on its way.
    pub(crate) in_doubt_since: Option<Timestamp>,
    unsaved: Vec<HistoryEvent>,
}

impl Transaction {
    /// A transaction as its body says, before anything happened to it.
    pub fn new(body: &Body) -> Transaction {
        let mut txn = Transaction {
            gid: body.gid.clone(),
            mode: body.mode,
            phase: Phase::Active,
            digest: body.digest,
            created_at: body.created_at,
            deadline_at: body.deadline_at,
            entered_at: body.created_at,
            decided_at: None,
            finished_at: None,
            reason: None,
            stuck: false,
            forgotten: false,
            asked: false,
            retry: body.retry,
            branches: Vec::with_capacity(body.branches.len()),
            seq: 1,
            index: None,
            round: None,
            in_doubt_since: None,
            unsaved: Vec::new(),
        };
        txn.begin_with(body.branches.iter().cloned());
        txn
    }

    /// A transaction as its body and its history say. Every call that the history does not exclude counts as made.
    ///
    /// # Panics
    /// When the history cannot have happened: see [`Transaction::check`].
    pub fn load(body: &Body, history: impl IntoIterator<Item = HistoryEvent>, now: Timestamp) -> Transaction {
        let mut txn = Transaction::new(body);
        history.into_iter().for_each(|event| txn.apply(&event));
        txn.in_doubt_since = txn.asked.then_some(now);
        txn
    }

    /// Begins one.
    ///
    /// # Errors
    /// More branches or bytes than the limits allow, or one id twice.
    pub fn begin(body: &Body, limits: &Limits) -> Result<Transaction, Rejection> {
        let mut txn = Transaction::new(&Body { branches: Vec::new(), ..body.clone() });
        let new = txn.admit(body.branches.clone(), limits)?;
        if new.len() < body.branches.len() {
            let twice = body
                .branches
                .iter()
                .zip(&new)
                .find(|(given, new)| given.id != new.id)
                .map_or(body.branches.last(), |(given, _)| Some(given));
            return Err(Rejection::BranchConflict(twice.expect("some were given").id.clone()));
        }
        txn.begin_with(new.into_iter());
        Ok(txn)
    }

    /// Which of these would be new; a known id must come with the same branch.
    pub(crate) fn admit(
        &self,
        specs: Vec<Arc<BranchSpec>>,
        limits: &Limits,
    ) -> Result<Vec<Arc<BranchSpec>>, Rejection> {
        let mut new: Vec<Arc<BranchSpec>> = Vec::with_capacity(specs.len());
        let mut names = BTreeMap::new();
        for spec in specs {
            if spec.payload.as_ref().is_some_and(|p| p.len() > limits.payload_bytes_max) {
                return Err(Rejection::PayloadTooLarge(spec.id.clone(), limits.payload_bytes_max));
            }
            let known = match self.find(&spec.id) {
                Some(index) => Some(&self.branches[index as usize].spec),
                None => names.get(&spec.id).map(|at: &usize| &new[*at]),
            };
            match known {
                Some(known) if known.same(&spec) => {}
                Some(_) => return Err(Rejection::BranchConflict(spec.id.clone())),
                None if self.phase != Phase::Active => return Err(Rejection::Closed(self.phase)),
                None if self.branches.len() + new.len() >= limits.branches_max => {
                    return Err(Rejection::TooManyBranches(limits.branches_max));
                }
                None => {
                    names.insert(spec.id.clone(), new.len());
                    new.push(spec);
                }
            }
        }
        Ok(new)
    }

    /// Changes it and keeps the event for the next record.
    pub(crate) fn record(&mut self, now: Timestamp, what: Recorded) {
        let event = HistoryEvent { at: now, what };
        self.apply(&event);
        self.unsaved.push(event);
    }

    /// The one place where what is durable changes: from a step as from a load.
    pub(crate) fn apply(&mut self, event: &HistoryEvent) {
        self.seq += 1;
        match &event.what {
            Recorded::BranchAdded(spec) => self.push(spec.clone()),
            Recorded::Phase(phase, deadline_at) => {
                self.deadline_at = deadline_at.unwrap_or(self.deadline_at);
                self.asked |= *phase == Phase::Preparing;
                self.enter(*phase, event.at);
            }
            Recorded::Voted(branch, vote) => {
                self.branches[*branch as usize].vote = Some(*vote);
                self.closed(*branch);
                if let (Some(round), Vote::Refused) = (&mut self.round, vote) {
                    round.refused.get_or_insert(*branch);
                }
            }
            Recorded::Decided(outcome, reason) => {
                self.decided_at = Some(event.at);
                self.reason = reason.clone().map(Box::new);
                let phase = match outcome {
                    Outcome::Committed => Phase::Committing,
                    Outcome::Aborted => Phase::Aborting,
                };
                self.enter(phase, event.at);
            }
            Recorded::Acknowledged(branch) => {
                self.branches[*branch as usize].done = true;
                self.closed(*branch);
            }
            Recorded::Stuck => self.stuck = true,
            Recorded::Heuristic(branch, heuristic) => self.branches[*branch as usize].heuristic = Some(*heuristic),
            Recorded::Resolved(branch, resolution) => {
                self.branches[*branch as usize].resolution = Some(Box::new(resolution.clone()));
                self.ask_no_more(*branch);
                self.closed(*branch);
            }
            Recorded::Forgotten => self.forgotten = true,
            Recorded::Finished => {
                self.finished_at = Some(event.at);
                self.enter(if self.phase == Phase::Committing { Phase::Committed } else { Phase::Aborted }, event.at);
            }
        }
    }

    /// Entering a phase makes its round, and ends all retry timers of the phase before.
    fn enter(&mut self, phase: Phase, at: Timestamp) {
        assert!(self.phase.may_become(phase), "{:?}: {:?} -> {phase:?}", self.gid, self.phase);
        (self.phase, self.entered_at, self.stuck) = (phase, at, false);
        self.ask_nobody_again();
        let Some(mut round) = self.mode.operation(self).map(Round::new) else {
            self.round = None;
            return;
        };
        for index in 0..self.branches.len() {
            if self.mode.needs(self, round.op, &self.branches[index]) {
                round.open += 1;
                let branch = &mut self.branches[index];
                (branch.failures, branch.heard) = (0, false);
            }
        }
        round.unheard = round.open;
        self.round = Some(round);
    }

    /// A branch's part in the round is over.
    fn closed(&mut self, index: BranchIndex) {
        let round = self.round.as_mut().expect("votes and acknowledgements come within a round");
        round.open = round.open.checked_sub(1).expect("a branch is closed once");
        self.heard(index);
    }

    /// A call of this round has ended on this branch.
    pub(crate) fn heard(&mut self, index: BranchIndex) {
        let heard = std::mem::replace(&mut self.branches[index as usize].heard, true);
        if let (Some(round), false) = (&mut self.round, heard) {
            round.unheard -= 1;
        }
    }

    /// The events since the last time, for the next record; and the first one's number.
    pub fn take_unsaved(&mut self) -> (u64, Vec<HistoryEvent>) {
        let events = std::mem::take(&mut self.unsaved);
        (self.seq + 1 - events.len() as u64, events)
    }

    /// The number of the last event that [`Transaction::take_unsaved`] gave out.
    pub fn taken_seq(&self) -> u64 {
        self.seq - self.unsaved.len() as u64
    }

    /// Ended.
    pub fn finished(&self) -> bool {
        matches!(self.phase, Phase::Committed | Phase::Aborted)
    }

    /// What it ends as, once that is decided.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Active | Phase::Preparing => None,
            Phase::Committing | Phase::Committed => Some(Outcome::Committed),
            Phase::Aborting | Phase::Aborted => Some(Outcome::Aborted),
        }
    }

    /// One call votes and commits.
    pub fn one_phase(&self) -> bool {
        matches!(&*self.branches, [only] if only.spec.callee.one_phase)
    }

    /// Past its deadline, where that still counts.
    pub(crate) fn expired(&self, now: Timestamp) -> bool {
        self.deadline().is_some_and(|at| at <= now)
    }

    /// The deadline, until the point of no return.
    fn deadline(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Active => Some(self.deadline_at),
            Phase::Preparing if !self.one_phase() => Some(self.deadline_at),
            Phase::Preparing | Phase::Committing | Phase::Aborting | Phase::Committed | Phase::Aborted => None,
        }
    }

    /// When it will count as stuck.
    pub(crate) fn stuck_at(&self, limits: &Limits) -> Option<Timestamp> {
        let counts = !self.stuck && !self.finished() && self.phase != Phase::Active;
        // Never at the very instant of entering: it would be due at once after a waking that led there.
        counts.then(|| self.entered_at.after(limits.stuck_after_ms.max(1)))
    }

    /// When [`crate::Event::Woke`] should come. A call under way has no due time: its end is a reply.
    pub fn due(&self, limits: &Limits) -> Option<Timestamp> {
        [self.next_again(), self.deadline(), self.stuck_at(limits)].into_iter().flatten().min()
    }

    /// What its branches are being asked.
    pub fn op(&self) -> Option<Op> {
        self.round.map(|round| round.op)
    }

    /// Whether this is what its branches are being asked.
    pub fn wants(&self, op: Op) -> bool {
        self.op() == Some(op)
    }

    /// Whether a call of this branch that was ordered earlier is still of use.
    pub fn wants_call(&self, branch: BranchIndex, op: Op) -> bool {
        let branch = self.branches.get(branch as usize);
        self.wants(op) && branch.is_some_and(|branch| self.mode.needs(self, op, branch))
    }

    /// Every branch has been asked once since the last phase was entered, or more than that.
    pub fn all_heard(&self) -> bool {
        self.finished() || self.round.is_some_and(|round| round.unheard == 0)
    }

    /// A branch's state as people read it.
    pub fn branch_state(&self, branch: &Branch) -> BranchState {
        match branch.vote {
            _ if branch.resolution.is_some() => BranchState::Resolved,
            _ if branch.done => BranchState::Done,
            Some(Vote::Yes) => BranchState::Yes,
            Some(Vote::ReadOnly) => BranchState::ReadOnly,
            Some(Vote::Refused) => BranchState::Refused,
            None if self.asked => BranchState::Asked,
            None => BranchState::Waiting,
        }
    }

    /// How its branches finished on their own, taken together.
    pub fn heuristic(&self) -> Option<Heuristic> {
        self.branches.iter().filter_map(|b| b.heuristic).reduce(|a, b| if a == b { a } else { Heuristic::Mixed })
    }

    /// Roughly how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Transaction>() + self.gid.as_str().len() + self.branches.iter().map(|b| b.spec.bytes()).sum::<usize>()
    }
}
