//! Two processes, each with a session, and the lane of whichever owns everything; here the lane's outputs become
//! messages, and messages its inputs.
use crate::agenda::{Event, Place};
use crate::choices::Fault;
use crate::oracles::Watch;
use crate::store::Cursor;
use crate::trace::{brief_input, brief_output};
use crate::world::{FAULTS_END, World, fnv};
use std::collections::BTreeMap;
use std::rc::Rc;
use unanim_coordinator::{
    Admission, Answer, Batch, Call, CallId, Input, Lane, Output, Refusal, Request, Saved, Stored, Ticket,
};
use unanim_engine::{Failure, Gid, Reply, Timestamp};

/// Virtual time starts here, so that a clock may be behind.
const EPOCH: u64 = 1_000_000;
/// Wakes within one instant; more would be a lane that spins.
const WAKES_MAX: u32 = 1_000;

/// A request in a lane's hands.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) asked: usize,
    /// The tick at which it was handed in.
    pub(crate) handed: u64,
    pub(crate) gone: bool,
    /// It waits for nothing any more.
    pub(crate) hurried: bool,
}

#[derive(Default)]
pub(crate) struct Node {
    pub(crate) up: bool,
    pub(crate) serial: u64,
    pub(crate) lane: Option<Lane>,
    pub(crate) fence: u64,
    /// How far its clock is ahead of the epoch.
    skew: u64,
    /// The lane key's mod_revision as this session last saw it.
    pub(crate) seen: u64,
    pub(crate) saving: Option<Rc<Batch>>,
    /// Calls that have no reply yet, by their number.
    pub(crate) calls: BTreeMap<u64, CallId>,
    pub(crate) tickets: BTreeMap<Ticket, Delivery>,
    pub(crate) finds: usize,
    pub(crate) loading: bool,
    ready: Vec<Input>,
    turn_planned: bool,
    armed: Option<u64>,
    wakes: (u64, u32),
    /// What a stale look-up sees.
    pub(crate) old: BTreeMap<Gid, Stored>,
    pub(crate) watch: Watch,
}

impl Node {
    /// Nothing is open, under way or owed.
    pub(crate) fn idle(&self) -> bool {
        let open = self.lane.as_ref().map_or(0, Lane::open);
        open == 0 && !self.loading && self.saving.is_none() && self.calls.is_empty() && self.ready.is_empty()
    }

    pub(crate) fn time(&self, now: u64) -> Timestamp {
        Timestamp(EPOCH + self.skew + now)
    }
}

impl World {
    pub(crate) fn is_current(&self, place: Place) -> bool {
        let node = &self.nodes[place.node];
        node.up && node.serial == place.serial
    }

    /// A new session, without a lane yet.
    pub(crate) fn start(&mut self, index: usize) {
        self.serials += 1;
        let serial = self.serials;
        let seen = self.store.begin_session(serial);
        let skew = self.choices.below(3_000);
        let old = match self.scenario.flaws.stale_find {
            true => self.store.kept.iter().map(|(gid, kept)| (gid.clone(), kept.stored())).collect(),
            false => BTreeMap::new(),
        };
        self.nodes[index] = Node { up: true, serial, skew, seen, old, ..Node::default() };
        let life = 500 + self.choices.below(6_000);
        if self.now + life < FAULTS_END && self.choices.permille(self.mood.session_ends) {
            self.after(life, Event::Expire(serial));
        }
        let ms = 1 + self.choices.below(20);
        self.after(ms, Event::Scan(index));
    }

    fn crash(&mut self, index: usize) {
        self.count("crashes");
        self.say(|| format!("node {index} crashes"));
        let serial = self.nodes[index].serial;
        self.nodes[index] = Node { serial, ..Node::default() };
        let (lease, down) = (self.choices.below(1_500), self.choices.below(1_500));
        self.after(lease, Event::Expire(serial));
        self.after(down, Event::Restart(index));
    }

    pub(crate) fn restart(&mut self, index: usize) {
        if !self.nodes[index].up {
            self.start(index);
        }
    }

    /// Looks whether everything is without an owner, and takes it.
    pub(crate) fn scan(&mut self, index: usize) {
        let node = &self.nodes[index];
        if !node.up || node.lane.is_some() {
            return;
        }
        let place = Place { node: index, serial: node.serial };
        if !self.store.lives(place.serial) {
            return self.start(index);
        }
        match self.store.claim(place.serial, self.scenario.flaws) {
            Some(fence) => self.own(place, fence),
            None => {
                let ms = 50 + self.choices.below(100);
                self.after(ms, Event::Scan(index));
            }
        }
    }

    fn own(&mut self, place: Place, fence: u64) {
        self.count("takeovers");
        self.say(|| format!("session {} of node {} owns everything, fence {fence}", place.serial, place.node));
        let mut lane = Lane::new(self.settings, [7, 7], fence);
        self.plant(&mut lane);
        let node = &mut self.nodes[place.node];
        (node.lane, node.fence, node.loading) = (Some(lane), fence, true);
        let ms = 1 + self.choices.below(60);
        self.after(ms, Event::Load { place, cursor: Cursor::START });
        if self.choices.permille(100) {
            let (from, to) = (self.choices.below(2_000), self.choices.below(1_000));
            let refusing = self.choices.pick(&[Admission::DiskFull, Admission::Draining]);
            self.after(from, Event::Admit(place, refusing));
            self.after(from + to, Event::Admit(place, Admission::Open));
        }
    }

    #[cfg(feature = "plant")]
    fn plant(&self, lane: &mut Lane) {
        if let Some(bug) = self.scenario.bug {
            lane.plant(bug);
        }
    }
    #[cfg(not(feature = "plant"))]
    fn plant(&self, _: &mut Lane) {
        assert!(self.scenario.bug.is_none(), "bugs come with the feature `plant`");
    }

    /// The lease ran out. A node that is up does not know yet.
    pub(crate) fn expire(&mut self, session: u64) {
        if !self.store.lives(session) {
            return;
        }
        self.say(|| format!("session {session} ends"));
        self.store.end_session(session);
        let Some(node) = self.nodes.iter().position(|n| n.up && n.serial == session) else { return };
        if self.nodes[node].lane.is_some() {
            self.count("zombies");
        }
        let ms = self.choices.below(4_000);
        self.after(ms, Event::Notice(Place { node, serial: session }));
    }

    pub(crate) fn notice(&mut self, place: Place) {
        if !self.is_current(place) {
        } else if self.nodes[place.node].lane.is_some() {
            self.hand(place, Input::Saved(Saved::Fenced));
        } else {
            self.start(place.node);
        }
    }

    pub(crate) fn admit(&mut self, place: Place, admission: Admission) {
        if self.is_current(place) {
            self.nodes[place.node].watch.admission_changed(self.tick, admission);
            self.hand(place, Input::Admit(admission));
        }
    }

    /// Hands an input in, now or together with the next ones.
    pub(crate) fn hand(&mut self, place: Place, input: Input) {
        if !self.is_current(place) || self.nodes[place.node].lane.is_none() {
            return;
        }
        let (tick, node) = (self.tick, &mut self.nodes[place.node]);
        node.watch.handed(tick, &input);
        node.ready.push(input);
        if node.turn_planned {
            return;
        }
        if self.choices.permille(150) {
            self.nodes[place.node].turn_planned = true;
            let ms = self.choices.below(3);
            return self.after(ms, Event::Turn(place));
        }
        self.turn(place);
    }

    /// One turn of the driver: everything that is ready, one flush, then the outputs; it may crash before any of them.
    pub(crate) fn turn(&mut self, place: Place) {
        if !self.is_current(place) {
            return;
        }
        let (now, at) = (self.now, self.nodes[place.node].time(self.now));
        let inputs = std::mem::take(&mut self.nodes[place.node].ready);
        inputs.iter().for_each(|input| self.note(place, "<-", || brief_input(input), || format!("{input:?}")));
        let node = &mut self.nodes[place.node];
        let skew = EPOCH + node.skew;
        node.turn_planned = false;
        let Some(lane) = &mut node.lane else { return };
        let mut out = Vec::new();
        let brought = |input: &Input| if let Input::Loaded(slice, _) = input { slice.len() } else { 1 };
        node.watch.most_open = lane.open() + inputs.iter().map(brought).sum::<usize>();
        *self.figures.entry("inputs").or_default() += inputs.len() as u64;
        inputs.into_iter().for_each(|input| lane.handle(input, at, &mut out));
        lane.flush(at, &mut out);
        if let Some(due) = lane.next_due() {
            let due = due.0.saturating_sub(skew).max(now);
            if node.armed.is_none_or(|armed| due < armed) {
                node.armed = Some(due);
                self.at(due, Event::Wake(place));
            }
        }
        for output in out {
            if self.faulty() && self.choices.fault(Fault::Crash, self.mood.crash) {
                return self.crash(place.node);
            }
            self.note(place, "->", || brief_output(&output), || format!("{output:?}"));
            self.carry_out(place, output);
        }
        self.check_after_turn(place);
        if self.nodes[place.node].lane.as_ref().is_some_and(Lane::ended) {
            self.start(place.node);
        }
    }

    fn note(&mut self, place: Place, arrow: &str, brief: impl FnOnce() -> String, all: impl FnOnce() -> String) {
        self.say(|| format!("n{}/{} {arrow} {}", place.node, place.serial, brief()));
        if self.scenario.transcript {
            self.transcript = fnv(self.transcript.rotate_left(1) ^ self.now, all().as_bytes());
        }
    }

    pub(crate) fn wake(&mut self, place: Place) {
        if !self.is_current(place) {
            return;
        }
        let node = &mut self.nodes[place.node];
        node.armed = None;
        node.wakes = if node.wakes.0 == self.now { (self.now, node.wakes.1 + 1) } else { (self.now, 1) };
        if node.wakes.1 > WAKES_MAX {
            return self.violated("spins", format!("node {} wakes for ever at {}", place.node, self.now));
        }
        self.hand(place, Input::Due);
    }

    fn carry_out(&mut self, place: Place, output: Output) {
        match output {
            Output::Save(batch) => {
                self.check_batch(place, &batch);
                let batch = Rc::new(batch);
                self.nodes[place.node].saving = Some(batch.clone());
                self.save(place, batch);
            }
            Output::Call(call) => self.call(place, call),
            Output::Answer(ticket, answer) => {
                self.check_answer(place, ticket, &answer);
                if let Some(delivery) = self.nodes[place.node].tickets.remove(&ticket)
                    && !delivery.gone
                {
                    self.asked[delivery.asked].inside = None;
                    self.send(Event::Answer { asked: delivery.asked, answer });
                }
            }
            Output::Alert(..) => self.count("alerts"),
            Output::Find(gid) => {
                self.nodes[place.node].finds += 1;
                let ms = self.delay();
                self.after(ms, Event::Find { place, gid });
            }
        }
    }

    fn call(&mut self, place: Place, call: Call) {
        self.check_call(place, &call);
        self.count("calls");
        self.messages += 1;
        let number = self.messages;
        self.nodes[place.node].calls.insert(number, call.id.clone());
        let timeout = u64::from(call.spec.callee.call_timeout_ms);
        let call = Rc::new(call);
        for _ in 0..1 + u64::from(self.repeats(&call)) {
            if let Some(ms) = self.hop()
                && (!self.prompt(&call) || (ms < timeout && self.store.lives(place.serial)))
            {
                self.after(ms, Event::Call { place, number, call: call.clone() });
            }
        }
        self.after(timeout, Event::CallTimeout { place, number });
    }

    pub(crate) fn call_timeout(&mut self, place: Place, number: u64) {
        self.reply_arrives(place, number, Reply::unknown(Failure::Timeout));
    }

    pub(crate) fn reply_arrives(&mut self, place: Place, number: u64, reply: Reply) {
        if self.is_current(place)
            && let Some(id) = self.nodes[place.node].calls.remove(&number)
        {
            self.hand(place, Input::Replied(id, reply));
        }
    }

    pub(crate) fn request_arrives(&mut self, asked: usize, node: usize) {
        // A node that is down refuses the connection: the client's timeout.
        if !self.nodes[node].up {
            return;
        }
        let place = Place { node, serial: self.nodes[node].serial };
        if self.scenario.flaws.anyone_reads && matches!(self.asked[asked].request, Request::Inquire(_)) {
            return self.send(Event::Read { asked });
        }
        if self.nodes[node].lane.is_none() {
            return self.send(Event::Answer { asked, answer: Answer::Refused(Refusal::Unavailable) });
        }
        let (gid, request) = (self.asked[asked].gid.clone(), self.asked[asked].request.clone());
        // A gid that a front door has just made is handed in once.
        let fresh = matches!(&request, Request::Begin(begin) if begin.fresh);
        if fresh && std::mem::replace(&mut self.asked[asked].delivered, true) {
            return;
        }
        self.messages += 1;
        let ticket = Ticket(self.messages);
        self.nodes[node].tickets.insert(ticket, Delivery { asked, handed: self.tick, gone: false, hurried: false });
        self.asked[asked].inside = Some((place, ticket));
        self.hand(place, Input::Request(ticket, gid, request));
    }

    pub(crate) fn asker_in_a_hurry(&mut self, place: Place, ticket: Ticket, gid: Gid) {
        if self.is_current(place)
            && let Some(delivery) = self.nodes[place.node].tickets.get_mut(&ticket)
        {
            delivery.hurried = true;
            self.count("hurried");
            self.hand(place, Input::Hurry(ticket, gid));
        }
    }

    pub(crate) fn asker_gone(&mut self, place: Place, ticket: Ticket, gid: Gid) {
        if self.is_current(place)
            && let Some(delivery) = self.nodes[place.node].tickets.get_mut(&ticket)
        {
            delivery.gone = true;
            self.count("gone");
            self.hand(place, Input::Gone(ticket, gid));
        }
    }
}
