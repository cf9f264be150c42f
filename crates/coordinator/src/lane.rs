//! Many transactions, one thread, no I/O: requests, replies, saves, loads, look-ups and due times in; batches, calls,
//! answers and look-ups out.
use crate::batch::{Batch, Batches, Gate, Held, Unsaved};
use crate::counting::Before;
use crate::dispatch::Dispatch;
use crate::figures::Figures;
use crate::keyed::{HashKey, Map, Set};
use crate::open::{Begins, Decided, Open, OpenPlace, Slot};
use crate::plant::{Bug, Plant, overtake};
use crate::record::{Record, Standing, encode};
use crate::request::{Admission, Call, CallId, Input, Output, Saved, Settings};
use crate::texts::Texts;
use crate::timers::Timers;
use unanim_engine::{
    Body, Durability, Effect, Event, Failure, Gid, Phase, Rejection, Reply, Timestamp, Transaction, step,
};

/// Due transactions that one `Due` wakes, so that a load of many does not block the lane.
const DUE_MAX: usize = 256;

/// A single-threaded coordinator of many transactions.
///
/// Hand in everything that is ready with [`Lane::handle`], then cut with [`Lane::flush`]; at [`Lane::next_due`] hand in
/// [`Input::Due`].
pub struct Lane {
    pub(crate) settings: Settings,
    /// Of this session; every call carries it.
    fence: u64,
    pub(crate) slots: Map<Gid, Slot>,
    pub(crate) batches: Batches,
    pub(crate) timers: Timers,
    /// Those of the slots that are open.
    pub(crate) begins: Begins,
    dispatch: Dispatch,
    pub(crate) texts: Texts,
    effects: Vec<Effect>,
    pub(crate) admission: Admission,
    pub(crate) state: State,
    /// What ended while loading: a slice that was read before that may still hand it in.
    pub(crate) ended_while_loading: Set<Gid>,
    pub(crate) figures: Figures,
    pub(crate) plant: Plant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Loading,
    Loaded,
    Ended,
}

impl Lane {
    /// A lane of a session that has just begun. It serves at once; what is open in the store is handed in with
    /// [`Input::Loaded`]. The key protects its maps against gids that were chosen to collide.
    pub fn new(settings: Settings, hash_key: [u64; 2], fence: u64) -> Lane {
        let key = HashKey(hash_key);
        Lane {
            settings,
            fence,
            slots: Map::with_hasher(key),
            batches: Batches::new(settings.batch),
            timers: Timers::default(),
            begins: Begins::new(),
            dispatch: Dispatch::new(settings.in_flight_max, key),
            texts: Texts::new(key),
            effects: Vec::new(),
            admission: Admission::Open,
            state: State::Loading,
            ended_while_loading: Set::with_hasher(key),
            figures: Figures::default(),
            plant: Plant::default(),
        }
    }

    /// Breaks a rule, for a simulation to see.
    #[cfg(feature = "plant")]
    pub fn plant(&mut self, bug: Bug) {
        self.plant.bug = Some(bug);
    }

    /// Takes one input in.
    ///
    /// # Panics
    /// When the driver breaks its part: a second reply to one call, a save that was not ordered.
    pub fn handle(&mut self, input: Input, now: Timestamp, out: &mut Vec<Output>) {
        match input {
            Input::Request(ticket, gid, request) => self.request(ticket, gid, request, now, out),
            // What was under way when the session ended is of no interest.
            _ if self.ended() => {}
            Input::Gone(ticket, gid) => self.gone(ticket, &gid),
            Input::Hurry(ticket, gid) => self.hurry(ticket, &gid, now, out),
            Input::Replied(id, reply) => self.replied(id, reply, now, out),
            Input::Saved(Saved::Applied) => self.saved(now, out),
            Input::Saved(Saved::Fenced) => self.abandon(out),
            Input::Loaded(slice, loading) => self.loaded(slice, loading, now, out),
            Input::Found(gid, found) => self.found(&gid, found, now, out),
            Input::Admit(admission) => self.admission = admission,
            Input::Due => self.due(now, out),
        }
    }

    /// Cuts one batch when none is in flight and something has to be saved.
    pub fn flush(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.take_lazy(now);
        let Some((number, gids)) = self.batches.cut() else { return };
        let slots = &mut self.slots;
        let records = gids.iter().map(|gid| match slots.get_mut(gid) {
            Some(Slot::Open(open)) => take_record(open, number),
            Some(Slot::Finding(_)) | None => unreachable!("{gid:?} stays in memory until its record is durable"),
        });
        let records = records.collect();
        out.push(Output::Save(Batch { number, records }));
    }

    /// Lazy changes that no forced one of their transactions took along in time.
    fn take_lazy(&mut self, now: Timestamp) {
        while let Some((since, gid)) = self.batches.oldest_lazy() {
            match self.slots.get_mut(gid) {
                Some(Slot::Open(open)) if open.unsaved == Unsaved::Lazy(*since) => {
                    let bytes = open.record_bytes();
                    if !self.batches.take_lazy(&mut open.unsaved, bytes, now) {
                        return;
                    }
                }
                Some(Slot::Open(_) | Slot::Finding(_)) | None => self.batches.pass_lazy(),
            }
        }
    }

    /// Whether [`Lane::flush`] has something to write now.
    pub fn wants_flush(&self, now: Timestamp) -> bool {
        self.batches.ready() || self.batches.next_due().is_some_and(|at| at <= now)
    }

    /// When [`Input::Due`] should be handed in, or [`Lane::flush`] has something lazy to write.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.next().into_iter().chain(self.batches.next_due()).min()
    }

    /// Gids in memory, those that are being looked up included.
    pub fn open(&self) -> usize {
        self.slots.len()
    }

    /// The session is over; nothing but refusals will come out.
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// No call and no save is under way, none is waiting in line, and nothing is left to be written.
    pub fn idle(&self) -> bool {
        self.dispatch.figures() == (0, 0) && self.batches.at_rest()
    }

    /// Counts for people and metrics.
    pub fn figures(&self) -> Figures {
        let (calls_in_flight, calls_queued) = self.dispatch.figures();
        let oldest_at = self.begins.first().map(|place| place.created_at);
        Figures { calls_in_flight, calls_queued, oldest_at, ..self.figures }
    }

    /// A transaction that is in memory: for names and instants that never change.
    pub fn transaction(&self, gid: &Gid) -> Option<&Transaction> {
        match self.slots.get(gid)? {
            Slot::Open(open) => Some(&open.txn),
            Slot::Finding(_) => None,
        }
    }

    pub(crate) fn is_loading(&self) -> bool {
        self.state == State::Loading
    }

    pub(crate) fn has_room_for(&self, transactions: usize, bytes: usize) -> bool {
        (transactions == 0 || self.figures.open + transactions <= self.settings.open_max)
            && self.figures.open_bytes + bytes <= self.settings.open_bytes_max
    }

    /// The one place where a transaction moves.
    pub(crate) fn step(
        &mut self,
        gid: &Gid,
        event: Event,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) -> Result<(), Rejection> {
        let event = self.plant.event(event);
        let Some(Slot::Open(open)) = self.slots.get_mut(gid) else { return Ok(()) };
        let mut effects = std::mem::take(&mut self.effects);
        let before = Before::of(&open.txn, &event);
        let stepped = step(&mut open.txn, event, &self.settings.transaction, now, &mut effects);
        let mut durability = match stepped {
            Ok(durability) => durability,
            Err(rejection) => {
                self.effects = effects;
                return Err(rejection);
            }
        };
        if self.plant.has(Bug::AbortLazy) && open.txn.phase == Phase::Aborting {
            durability = durability.min(Durability::Lazy);
        }
        if self.plant.has(Bug::OvertakeInFlight) {
            overtake(&mut open.txn, &mut effects);
        }
        self.count(gid, &before, out);
        self.changed(gid, durability, now, out);
        for Effect::Call { branch, op, attempt } in effects.drain(..) {
            let open = self.entry(gid);
            let participant = open.txn.branches[branch as usize].spec.callee.participant.clone();
            let gate = open.forced;
            let gate =
                if self.plant.has(Bug::LazyOutrunsForced) && durability != Durability::Forced { 0 } else { gate };
            self.hold(gate, Held::Call(CallId { gid: gid.clone(), branch, op, attempt, participant }), now, out);
        }
        self.effects = effects;
        if self.plant.has(Bug::ForgetUnsaved) && self.entry(gid).txn.finished() {
            self.remove(gid);
        }
        Ok(())
    }

    /// After every change: into a batch, the timer, and whoever waited for this.
    pub(crate) fn changed(&mut self, gid: &Gid, durability: Durability, now: Timestamp, out: &mut Vec<Output>) {
        let Some(Slot::Open(open)) = self.slots.get_mut(gid) else { return };
        let bytes = open.record_bytes();
        if let Some(gate) = self.batches.mark(gid, &mut open.unsaved, durability, bytes, now) {
            open.forced = gate;
        }
        self.timers.arm(gid, &mut open.armed, open.txn.due(&self.settings.transaction));
        let reached = open.take_reached();
        if !reached.is_empty() {
            self.tell_all(&reached, gid, now, out);
        }
    }

    pub(crate) fn hold(&mut self, gate: Gate, held: Held, now: Timestamp, out: &mut Vec<Output>) {
        let gate = if self.plant.has(Bug::ActBeforeSave) { 0 } else { gate };
        if let Some(held) = self.batches.hold(gate, held) {
            self.act(held, now, out);
        }
    }

    fn act(&mut self, held: Held, now: Timestamp, out: &mut Vec<Output>) {
        match held {
            Held::Answer(ticket, answer) => out.push(Output::Answer(ticket, answer)),
            Held::Call(id) => {
                if let Some(id) = self.dispatch.enter(id) {
                    self.send(id, now, out);
                }
            }
        }
    }

    /// Sends calls that have their place in line. One that its transaction no longer wants ends unsent, and its place
    /// goes to the next: by a loop, since a line may be long.
    fn send(&mut self, mut id: CallId, now: Timestamp, out: &mut Vec<Output>) {
        loop {
            if let Some(Slot::Open(open)) = self.slots.get(&id.gid)
                && open.txn.wants_call(id.branch, id.op)
            {
                let spec = open.txn.branches[id.branch as usize].spec.clone();
                let deadline_ms = open.txn.deadline_at.0.saturating_sub(now.0);
                return out.push(Output::Call(Call { id, spec, mode: open.txn.mode, fence: self.fence, deadline_ms }));
            }
            match self.call_ended(id, Reply::unknown(Failure::Unsent), now, out) {
                Some(next) => id = next,
                None => return,
            }
        }
    }

    fn replied(&mut self, id: CallId, reply: Reply, now: Timestamp, out: &mut Vec<Output>) {
        if let Some(next) = self.call_ended(id, reply, now, out) {
            self.send(next, now, out);
        }
    }

    /// Hands a reply to its transaction; the next call in line, which now has the place.
    fn call_ended(&mut self, id: CallId, reply: Reply, now: Timestamp, out: &mut Vec<Output>) -> Option<CallId> {
        let CallId { gid, branch, op, attempt, participant } = id;
        let next = if self.plant.has(Bug::LineLeaks) { None } else { self.dispatch.leave(&participant) };
        let event = Event::Replied { branch, op, attempt, reply };
        self.step(&gid, event, now, out).expect("a reply is never rejected");
        next
    }

    fn saved(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let (gids, held) = self.batches.applied();
        held.into_iter().for_each(|held| self.act(held, now, out));
        for gid in &gids {
            self.tell_followers(gid, now, out);
            self.forget(gid);
        }
    }

    /// A finished transaction whose record is durable leaves memory.
    pub(crate) fn forget(&mut self, gid: &Gid) {
        let Some(Slot::Open(open)) = self.slots.get(gid) else { return };
        let saved = open.unsaved == Unsaved::No && self.batches.is_applied(open.gate());
        if saved && open.txn.finished() && !open.finding {
            self.remove(gid);
        }
    }

    pub(crate) fn remove(&mut self, gid: &Gid) {
        if let Some(Slot::Open(mut open)) = self.slots.remove(gid) {
            if self.is_loading() {
                self.ended_while_loading.insert(gid.clone());
            }
            self.figures.stuck -= usize::from(open.txn.stuck);
            self.timers.disarm(gid, &mut open.armed);
            self.begins.remove(&OpenPlace { created_at: open.txn.created_at, gid: gid.clone() });
            self.figures.moved(Some(open.txn.phase), None);
            self.figures.open -= 1;
            self.figures.open_bytes -= open.bytes;
        }
    }

    fn due(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        for _ in 0..DUE_MAX {
            let Some(gid) = self.timers.pop(now) else { return };
            self.entry(&gid).armed = None;
            self.step(&gid, Event::Woke, now, out).expect("waking is never rejected");
            if let Some(Slot::Open(open)) = self.slots.get(&gid) {
                assert!(open.armed.is_none_or(|at| at > now), "{gid:?}: a wake that stays due would spin");
            }
        }
    }

    pub(crate) fn insert(&mut self, txn: Transaction, body: Option<Box<Body>>) {
        self.figures.begun += u64::from(body.is_some());
        let open = Open::new(txn, body);
        self.figures.moved(None, Some(open.txn.phase));
        self.figures.open += 1;
        self.figures.open_bytes += open.bytes;
        self.begins.insert(OpenPlace { created_at: open.txn.created_at, gid: open.txn.gid.clone() });
        self.slots.insert(open.txn.gid.clone(), Slot::Open(Box::new(open)));
    }

    pub(crate) fn entry(&mut self, gid: &Gid) -> &mut Open {
        match self.slots.get_mut(gid) {
            Some(Slot::Open(open)) => open,
            Some(Slot::Finding(_)) | None => panic!("{gid:?} was just seen open"),
        }
    }
}

/// What a batch takes along of a transaction.
fn take_record(open: &mut Open, number: Gate) -> Record {
    (open.unsaved, open.unsaved_bytes, open.latest) = (Unsaved::No, 0, number);
    if open.decided == Decided::Unsaved && open.txn.outcome().is_some() {
        open.decided = Decided::Taken;
    }
    let (first_seq, events) = open.txn.take_unsaved();
    Record {
        gid: open.txn.gid.clone(),
        body: open.body.take().map(|body| encode(&*body)),
        first_seq,
        change: if events.is_empty() { Vec::new() } else { encode(&events) },
        standing: Standing::of(open.txn.phase, open.txn.finished_at),
        resolved: open.txn.finished() && open.txn.branches.iter().any(|branch| branch.resolution.is_some()),
    }
}
