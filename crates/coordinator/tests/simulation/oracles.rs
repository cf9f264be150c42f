//! The direct oracle: whatever leaves a lane is justified by the store, seen from above; and the lane's books balance.
use crate::agenda::Place;
use crate::nodes::Delivery;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use unanim_coordinator::{
    Admission, Answer, Batch, Call, Filter, Found, Input, Lane, Loading, Request, Stored, Ticket, View,
};
use unanim_engine::{BranchId, BranchIndex, Dialect, Gid, Op, Outcome, Participant, Phase, Reply, Transaction, Vote};

/// Bytes by which the records of a batch that waits for its turn may have grown.
const GROWTH: usize = 1_000;

/// What people outside have seen and were promised.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) outcomes: BTreeMap<Gid, Outcome>,
    /// Known to exist since that tick.
    pub(crate) promised: BTreeMap<Gid, u64>,
    pub(crate) joined: BTreeSet<(Gid, BranchId)>,
    /// In which direction calls went.
    called: BTreeMap<Gid, BTreeSet<Outcome>>,
}

/// What is remembered of one lane, to judge what it does.
#[derive(Default)]
pub(crate) struct Watch {
    /// Its last batch.
    batch: u64,
    /// Transactions that something was handed in for since that batch was cut.
    touched: BTreeSet<Gid>,
    cut: bool,
    /// It cannot have had more in memory during its last turn.
    pub(crate) most_open: usize,
    /// Transactions of a batch that was just applied.
    applied: Vec<Gid>,
    /// Calls that found no room.
    in_line: BTreeSet<(Participant, Gid, BranchIndex)>,
    /// Calls that have ended.
    pub(crate) ended_calls: BTreeSet<(Gid, BranchIndex, Op)>,
    /// Those that were answered for good.
    closed: BTreeSet<(Gid, BranchIndex, Op)>,
    /// Ticks of look-ups that brought nothing, or something open.
    pub(crate) useless_finds: BTreeMap<Gid, u64>,
    pub(crate) loading_over: Option<u64>,
    loaded: BTreeSet<Gid>,
    admission: Option<Admission>,
    /// The tick at which new transactions were last admitted again.
    pub(crate) admitted_again: u64,
}

impl Watch {
    pub(crate) fn handed(&mut self, tick: u64, input: &Input) {
        // What waits in line for a branch that is resolved is never called; nothing of that is durable yet.
        if let Input::Request(_, gid, Request::Resolve(..)) = input {
            self.in_line.retain(|(_, other, _)| other != gid);
        }
        let gid = match input {
            Input::Request(_, gid, _) | Input::Gone(_, gid) | Input::Hurry(_, gid) => gid,
            Input::Found(gid, found) => {
                let useless = match found {
                    Found::Unreadable => true,
                    Found::Record(stored) => {
                        !Transaction::load(&stored.body, stored.history.clone(), stored.body.created_at).finished()
                    }
                    Found::Absent => false,
                };
                if useless {
                    self.useless_finds.insert(gid.clone(), tick);
                }
                gid
            }
            Input::Replied(id, reply) => {
                self.ended_calls.insert((id.gid.clone(), id.branch, id.op));
                if closes(id.op, reply) {
                    self.closed.insert((id.gid.clone(), id.branch, id.op));
                }
                &id.gid
            }
            Input::Saved(_) | Input::Loaded(..) | Input::Admit(_) | Input::Due => return,
        };
        self.touched.insert(gid.clone());
        self.in_line.retain(|(_, g, _)| g != gid);
    }

    pub(crate) fn loaded(&mut self, tick: u64, slice: &[Stored], loading: Loading) {
        self.loaded.extend(slice.iter().map(|s| s.body.gid.clone()));
        if loading == Loading::Over {
            self.loading_over = Some(tick);
        }
    }

    pub(crate) fn applied(&mut self, batch: &Batch) {
        self.applied.extend(batch.records.iter().map(|r| r.gid.clone()));
    }

    pub(crate) fn admission_changed(&mut self, tick: u64, admission: Admission) {
        self.admission = Some(admission);
        self.admitted_again = tick;
    }

    pub(crate) fn refused_new_ones(&self, since: u64) -> bool {
        let refusing = self.admission.is_some_and(|admission| admission != Admission::Open);
        refusing || (self.admission.is_some() && self.admitted_again >= since)
    }
}

impl World {
    /// One batch in flight, each with a larger number, within the store's limits, one record of each transaction.
    pub(crate) fn check_batch(&mut self, place: Place, batch: &Batch) {
        let limits = self.settings.batch;
        let node = &mut self.nodes[place.node];
        let (last, saving) = (node.watch.batch, node.saving.is_some());
        (node.watch.batch, node.watch.cut) = (batch.number, true);
        let gids: BTreeSet<_> = batch.records.iter().map(|r| &r.gid).collect();
        let bytes = batch.bytes();
        let complaint = if saving {
            "another one is in flight"
        } else if batch.number <= last {
            "its number does not count up"
        } else if batch.records.is_empty() {
            "it is empty"
        } else if gids.len() < batch.records.len() {
            "it holds a transaction twice"
        } else if batch.records.len() > limits.records_max {
            "it holds too many records"
        } else if batch.records.len() > 1 && bytes > limits.bytes_max + GROWTH {
            "it holds too many bytes"
        } else {
            let figure = if batch.records.len() == limits.records_max { "full batches" } else { "other batches" };
            return self.count(figure);
        };
        self.unjustified(
            "unsound batch",
            format!("{complaint}: {} of {} records, {bytes} bytes", batch.number, gids.len()),
        );
    }

    /// A call leaves only when the record that justifies it is durable.
    pub(crate) fn check_call(&mut self, place: Place, call: &Call) {
        let id = &call.id;
        let node = &mut self.nodes[place.node];
        node.watch.in_line.remove(&(id.participant.clone(), id.gid.clone(), id.branch));
        let twice = node.calls.values().any(|c| c.gid == id.gid && c.branch == id.branch);
        let in_flight = node.calls.values().filter(|c| c.participant == id.participant).count();
        let closed = node.watch.closed.contains(&(id.gid.clone(), id.branch, id.op));
        let (fence, time) = (node.fence, node.time(self.now));
        let direction = match id.op {
            Op::Commit => Some(Outcome::Committed),
            Op::Rollback => Some(Outcome::Aborted),
            Op::Prepare | Op::CommitOnePhase => None,
        };
        if let Some(direction) = direction {
            let directions = self.seen.called.entry(id.gid.clone()).or_default();
            directions.insert(direction);
            if directions.len() > 1 {
                self.violated("contradicting calls", format!("{id:?}"));
            }
        }
        let branch = self.store.txn(&id.gid).and_then(|t| Some((t, t.branches.get(id.branch as usize)?)));
        let complaint = match branch {
            None => Some("call without a record"),
            Some((txn, _)) if !justifies(txn, id.op) => Some("call without a record"),
            Some((_, branch)) if direction.is_some() && branch.vote == Some(Vote::ReadOnly) => {
                Some("call of a read-only branch")
            }
            // One that was replaced does not know what people said to its successor.
            Some((_, branch)) if branch.resolution.is_some() && self.store.lives(place.serial) => {
                Some("call of a resolved branch")
            }
            Some((_, branch)) if branch.spec != call.spec || branch.spec.callee.participant != id.participant => {
                Some("another branch is called")
            }
            Some((txn, _)) if call.deadline_ms != txn.deadline_at.0.saturating_sub(time.0) => Some("another deadline"),
            Some(_) if call.fence != fence => Some("another fence"),
            Some(_) if closed => Some("asked again after an answer"),
            Some(_) if twice => Some("two calls of one branch"),
            Some(_) if in_flight >= self.settings.in_flight_max => Some("in-flight bound"),
            Some(_) => None,
        };
        if let Some(complaint) = complaint {
            let stored = self.store.txn(&id.gid).map(|t| t.phase);
            self.unjustified(complaint, format!("{id:?}, store {stored:?}, {in_flight} in flight"));
        }
    }

    /// An answer leaves only when what it says is durable; one for each ticket.
    pub(crate) fn check_answer(&mut self, place: Place, ticket: Ticket, answer: &Answer) {
        let Some(delivery) = self.nodes[place.node].tickets.get(&ticket).cloned() else {
            return self.violated("answered twice", format!("{ticket:?} {answer:?}"));
        };
        self.count(kind(answer));
        if let Err(complaint) = self.justified(place, &delivery, answer) {
            let Delivery { asked, .. } = delivery;
            let (gid, request) = (&self.asked[asked].gid, &self.asked[asked].request);
            let stored = self.store.txn(gid).map(|t| (t.phase, t.seq));
            let what = format!("{complaint}: {gid} {request:?} gets {answer:?}, store {stored:?}");
            self.unjustified("answer without a record", what);
        }
    }

    pub(crate) fn check_after_turn(&mut self, place: Place) {
        self.check_lines(place);
        if self.tick.is_multiple_of(8) {
            self.check_list(place);
        }
        let node = &mut self.nodes[place.node];
        if std::mem::take(&mut node.watch.cut) {
            node.watch.touched.clear();
        }
        let Some(lane) = &node.lane else { return };
        if lane.ended() {
            let dropped: Vec<_> = node.tickets.iter().filter(|(_, d)| !d.gone).map(|(t, d)| (*t, d.asked)).collect();
            if let Some((ticket, asked)) = dropped.first() {
                let what = format!("{ticket:?} {} {:?}", self.asked[*asked].gid, self.asked[*asked].request);
                self.violated("waiter dropped", what);
            }
            return;
        }
        let books = lane.figures();
        let calls = (books.calls_in_flight, node.calls.len());
        let resting = node.saving.is_none() && node.calls.is_empty() && books.calls_queued == 0;
        let balanced = calls.0 == calls.1 && (!lane.idle() || resting) && (lane.open() > 0 || books.open_bytes == 0);
        let busy = node.saving.is_some() || !node.calls.is_empty() || node.finds > 0 || node.loading;
        let (open, due) = (lane.open(), lane.next_due());
        let forgotten = open == 0 && !node.tickets.values().all(|d| d.gone);
        if open > 0 && !busy && due.is_none() {
            self.unjustified("neither due nor called", format!("node {}: {open} open", place.node));
        }
        if !balanced {
            self.unjustified("unbalanced books", format!("node {}: {calls:?} calls, {books:?}", place.node));
        }
        if forgotten {
            self.unjustified("waiter dropped", format!("node {} has nothing open", place.node));
        }
    }

    /// A list says nothing that is not durable: no transaction, no event, no decision.
    fn check_list(&mut self, place: Place) {
        let Some(lane) = &self.nodes[place.node].lane else { return };
        let views = lane.list(&Filter::default(), None, usize::MAX).views;
        let unsound = |view: &&View| {
            self.store
                .txn(&view.gid)
                .is_none_or(|txn| view.seq > txn.seq || (view.outcome.is_some() && view.outcome != txn.outcome()))
        };
        if let Some(view) = views.iter().find(unsound) {
            let what = format!("{view:?}, store {:?}", self.store.txn(&view.gid).map(|t| (t.phase, t.seq)));
            self.unjustified("list without a record", what);
        }
        *self.figures.entry("listed").or_default() += views.len() as u64;
    }

    /// A call whose gate has just opened leaves at once, unless its participant's places are taken; and a place that
    /// becomes free goes to the next.
    fn check_lines(&mut self, place: Place) {
        // One that was replaced knows less than the store.
        let replaced = !self.store.lives(place.serial);
        let node = &mut self.nodes[place.node];
        if replaced || node.lane.as_ref().is_some_and(Lane::ended) {
            node.watch.in_line.clear();
            return node.watch.applied.clear();
        }
        let time = node.time(self.now);
        let mut late = Vec::new();
        for gid in std::mem::take(&mut node.watch.applied) {
            let Some(txn) = self.store.txn(&gid).filter(|_| !node.watch.touched.contains(&gid)) else { continue };
            let loaded = node.watch.loaded.contains(&gid);
            for (branch, index) in txn.branches.iter().zip(0..) {
                let called = node.calls.values().any(|c| c.gid == gid && c.branch == index);
                let heard =
                    node.watch.ended_calls.iter().any(|(g, i, op)| *g == gid && *i == index && is_wanted(txn, *op));
                let classic = branch.spec.callee.dialect == Dialect::Classic && loaded && txn.phase == Phase::Aborting;
                let expired = txn.phase == Phase::Preparing && txn.deadline_at <= time;
                if needs(txn, index) && !called && !heard && !classic && !expired {
                    node.watch.in_line.insert((branch.spec.callee.participant.clone(), gid.clone(), index));
                }
            }
        }
        let mut waiting = 0;
        node.watch.in_line.retain(|(participant, gid, index)| {
            let room =
                node.calls.values().filter(|c| c.participant == *participant).count() < self.settings.in_flight_max;
            let stale = self
                .store
                .txn(gid)
                .is_none_or(|t| !needs(t, *index) || (t.phase == Phase::Preparing && t.deadline_at <= time));
            if room && !stale {
                late.push(format!("{gid} #{index} at {participant}"));
            }
            waiting += u64::from(!room && !stale);
            !stale
        });
        if waiting > 0 {
            self.count("turns with a line");
        }
        if let Some(what) = late.pop() {
            self.unjustified("call held back", what);
        }
    }
}

/// Whether nothing more is to be asked after this.
fn closes(op: Op, reply: &Reply) -> bool {
    match reply {
        Reply::Ok | Reply::Heuristic(_) => true,
        Reply::ReadOnly => op == Op::Prepare,
        Reply::Refused(_) => matches!(op, Op::Prepare | Op::CommitOnePhase),
        Reply::Ongoing { .. } | Reply::Unknown { .. } => false,
    }
}

fn justifies(txn: &Transaction, op: Op) -> bool {
    match op {
        Op::Prepare => txn.asked && !txn.one_phase(),
        Op::CommitOnePhase => txn.asked && txn.one_phase(),
        Op::Commit => txn.outcome() == Some(Outcome::Committed),
        Op::Rollback => txn.outcome() == Some(Outcome::Aborted) && txn.asked,
    }
}

fn is_wanted(txn: &Transaction, op: Op) -> bool {
    match txn.phase {
        Phase::Preparing => matches!(op, Op::Prepare | Op::CommitOnePhase),
        Phase::Committing => op == Op::Commit,
        Phase::Aborting => op == Op::Rollback,
        Phase::Active | Phase::Committed | Phase::Aborted => false,
    }
}

/// Whether a branch is still to be called, by what is stored.
fn needs(txn: &Transaction, index: BranchIndex) -> bool {
    let branch = &txn.branches[index as usize];
    if branch.resolution.is_some() {
        return false;
    }
    match txn.phase {
        Phase::Preparing => branch.vote.is_none(),
        Phase::Committing => branch.vote != Some(Vote::ReadOnly) && !branch.done,
        Phase::Aborting => txn.asked && !txn.one_phase() && branch.vote != Some(Vote::ReadOnly) && !branch.done,
        Phase::Active | Phase::Committed | Phase::Aborted => false,
    }
}

fn kind(answer: &Answer) -> &'static str {
    use unanim_coordinator::Refusal;
    match answer {
        Answer::Transaction(view) => match view.outcome {
            None => "told: open",
            Some(Outcome::Committed) => "told: committed",
            Some(Outcome::Aborted) => "told: aborted",
        },
        Answer::Outcome(None) => "inquiry: undecided",
        Answer::Outcome(Some(_)) => "inquiry: decided",
        Answer::History { finished: false, .. } => "history: more",
        Answer::History { finished: true, .. } => "history: all",
        Answer::Refused(refusal) => match refusal {
            Refusal::GidConflict => "refused: gid conflict",
            Refusal::BranchConflict(_) => "refused: branch conflict",
            Refusal::Closed(_) => "refused: closed",
            Refusal::OnePhase => "refused: one phase",
            Refusal::AlreadyDecided(_) => "refused: already decided",
            Refusal::NotDecided(_) => "refused: not decided",
            Refusal::NoSuchBranch(_) => "refused: no such branch",
            Refusal::BranchEnded(..) => "refused: branch ended",
            Refusal::NotFound => "refused: not found",
            Refusal::NoBranches => "refused: no branches",
            Refusal::TooManyBranches(_) => "refused: too many branches",
            Refusal::PayloadTooLarge(..) => "refused: payload too large",
            Refusal::TooManyOpen => "refused: too many open",
            Refusal::NotAdmitted(_) => "refused: not admitted",
            Refusal::Loading => "refused: loading",
            Refusal::Unavailable => "refused: unavailable",
        },
    }
}
