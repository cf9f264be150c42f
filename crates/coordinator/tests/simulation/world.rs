//! Virtual time, a lossy network, and everything that lives in it.
use crate::agenda::{Agenda, Event, Next};
use crate::choices::{Choices, Fault};
use crate::clients::{Asked, Client};
use crate::nodes::Node;
use crate::oracles::Seen;
use crate::participants::Participants;
use crate::store::Store;
use std::collections::BTreeMap;
use unanim_coordinator::{BatchLimits, Settings};
use unanim_engine::Limits;

#[cfg(feature = "plant")]
pub(crate) type Bug = unanim_coordinator::Bug;
/// Without the feature there is none.
#[cfg(not(feature = "plant"))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bug {}

pub(crate) const NODES: usize = 2;
/// From here on nothing is lost and nobody crashes.
pub(crate) const FAULTS_END: u64 = 15_000;
/// By then everything has to be over.
const END: u64 = 120_000;
/// A script's run that takes more steps goes round in circles.
const STEPS_MAX: u64 = 5_000;

/// What is wrong with the world around the lane.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Flaws {
    pub(crate) store_takes_stale: bool,
    pub(crate) claim_steals: bool,
    pub(crate) stale_find: bool,
    pub(crate) load_skips_preparing: bool,
    pub(crate) no_tombstone: bool,
    pub(crate) no_fence: bool,
    pub(crate) no_inquiry: bool,
    pub(crate) one_phase_forgets_no: bool,
    /// The network repeats and delays calls to participants that keep no tombstones.
    pub(crate) classic_repeats: bool,
    /// Any node answers an inquiry from one linearizable read. Not wrong, as it turns out.
    pub(crate) anyone_reads: bool,
    /// The direct oracles see nothing: what do the ends show?
    pub(crate) blind: bool,
}

/// A script's transaction.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) enum Small {
    /// Two branches, begun and committed in one request.
    #[default]
    Yes,
    /// The second participant says no.
    No,
    /// Somebody asks for a rollback meanwhile.
    Rollback,
    /// One branch, which votes and commits in one call.
    OnePhase,
    /// Begun, joined and committed in three requests.
    Steps,
    /// Two branches of participants that keep no tombstones; one says no.
    Classic,
}

/// What a run is made of.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Scenario {
    pub(crate) transactions: usize,
    pub(crate) flaws: Flaws,
    pub(crate) bug: Option<Bug>,
    /// Keep a hash of everything that goes in and comes out.
    pub(crate) transcript: bool,
    /// What a script's one transaction is like.
    pub(crate) small: Small,
}

impl Scenario {
    pub(crate) fn of(transactions: usize) -> Scenario {
        Scenario { transactions, ..Scenario::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) oracle: &'static str,
    pub(crate) what: String,
}

/// How often what happens, in permille; every seed has its own, so that rare things come together in some.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mood {
    pub(crate) loss: u64,
    late: u64,
    pub(crate) crash: u64,
    pub(crate) session_ends: u64,
    pub(crate) willing: u64,
    pub(crate) classic: u64,
}

impl Mood {
    fn of(choices: &mut Choices) -> Mood {
        Mood {
            loss: choices.pick(&[80, 80, 0, 200]),
            late: choices.pick(&[50, 50, 250]),
            crash: choices.pick(&[2, 2, 0, 8]),
            session_ends: choices.pick(&[700, 700, 0]),
            willing: choices.pick(&[940, 940, 700, 500]),
            classic: choices.pick(&[100, 100, 800]),
        }
    }
}

pub(crate) struct World {
    pub(crate) choices: Choices,
    pub(crate) mood: Mood,
    pub(crate) scenario: Scenario,
    pub(crate) settings: Settings,
    /// Milliseconds since the start.
    pub(crate) now: u64,
    /// Events so far.
    pub(crate) tick: u64,
    agenda: Agenda,
    pub(crate) serials: u64,
    pub(crate) messages: u64,
    pub(crate) store: Store,
    pub(crate) nodes: Vec<Node>,
    pub(crate) participants: Participants,
    pub(crate) clients: Vec<Client>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) seen: Seen,
    pub(crate) violation: Option<Violation>,
    /// How often what happened, so that a run that tests nothing is noticed.
    pub(crate) figures: BTreeMap<&'static str, u64>,
    pub(crate) trace: bool,
    /// A hash of every input and output.
    pub(crate) transcript: u64,
}

impl World {
    pub(crate) fn new(mut choices: Choices, scenario: Scenario, trace: bool) -> World {
        let mood = Mood::of(&mut choices);
        let mut world = World {
            choices,
            mood,
            scenario,
            settings: Settings::default(),
            now: 0,
            tick: 0,
            agenda: Agenda::default(),
            serials: 0,
            messages: 0,
            store: Store::default(),
            nodes: (0..NODES).map(|_| Node::default()).collect(),
            participants: Participants::default(),
            clients: Vec::new(),
            asked: Vec::new(),
            seen: Seen::default(),
            violation: None,
            figures: BTreeMap::new(),
            trace,
            transcript: 0,
        };
        world.bound();
        if world.scripted() {
            world.populate_script()
        } else {
            world.populate()
        }
        (0..NODES).for_each(|node| world.start(node));
        world
    }

    /// Small bounds, so that lines form and batches fill up; now and then very small ones.
    fn bound(&mut self) {
        let open_max = if self.choices.permille(150) { 6 + self.choices.below(10) as usize } else { 10_000 };
        let records_max = 1 + self.choices.below(6) as usize;
        let bytes_max = self.choices.pick(&[300, 2_000, 1 << 20]);
        let open_bytes_max = if self.choices.permille(50) { 20_000 } else { 1 << 30 };
        self.settings = Settings {
            transaction: Limits { branches_max: 8, payload_bytes_max: 64, stuck_after_ms: 2_500 },
            open_max,
            open_bytes_max,
            in_flight_max: 1 + self.choices.below(3) as usize,
            batch: BatchLimits { records_max, bytes_max },
        };
    }

    pub(crate) fn scripted(&self) -> bool {
        self.choices.script().is_some()
    }

    pub(crate) fn faulty(&self) -> bool {
        self.now < FAULTS_END
    }

    pub(crate) fn at(&mut self, at: u64, event: Event) {
        let scripted = self.scripted();
        self.agenda.push(at, event, scripted);
    }

    pub(crate) fn after(&mut self, ms: u64, event: Event) {
        self.at(self.now + ms, event);
    }

    /// How long a message is under way; none where it is lost.
    pub(crate) fn hop(&mut self) -> Option<u64> {
        if self.faulty() && self.choices.fault(Fault::Loss, self.mood.loss) {
            return None;
        }
        Some(self.delay())
    }

    /// How long a message that arrives is under way.
    pub(crate) fn delay(&mut self) -> u64 {
        if self.scripted() {
            return 1;
        }
        match (self.faulty(), self.choices.permille(self.mood.late)) {
            (true, true) => 200 + self.choices.below(3_000),
            (true, false) => 1 + self.choices.below(40),
            (false, _) => 1 + self.choices.below(5),
        }
    }

    /// Sends a message, unless it gets lost.
    pub(crate) fn send(&mut self, event: Event) {
        if let Some(ms) = self.hop() {
            self.after(ms, event);
        }
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.figures.entry(what).or_default() += 1;
    }

    pub(crate) fn violated(&mut self, oracle: &'static str, what: String) {
        self.say(|| format!("VIOLATION {oracle}: {what}"));
        let what = format!("at {}: {what}", self.now);
        self.violation.get_or_insert(Violation { oracle, what });
    }

    /// What the direct oracles found; blind ones find nothing.
    pub(crate) fn unjustified(&mut self, oracle: &'static str, what: String) {
        if !self.scenario.flaws.blind {
            self.violated(oracle, what);
        }
    }

    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        if self.trace {
            println!("{:6} {}", self.now, line());
        }
    }

    /// Runs until all is over, or an oracle has seen something.
    pub(crate) fn run(&mut self) {
        loop {
            match self.agenda.pop(&mut self.choices) {
                Next::Event(item) if item.at > END => break,
                Next::Event(item) => {
                    self.now = if self.scripted() { item.at.max(self.now) } else { item.at };
                    self.tick += 1;
                    self.happen(item.event);
                }
                Next::SessionEnds => self.owners_session_ends(),
                Next::Nothing => break,
            }
            if let Some(complaint) = self.store.complaint.take() {
                self.violated("unsound record", complaint);
            }
            if self.violation.is_some() {
                return;
            }
            if self.over() {
                break;
            }
            if self.scripted() && self.tick > STEPS_MAX {
                self.violated("no end", format!("after {STEPS_MAX} events"));
                return;
            }
        }
        self.at_the_end();
    }

    fn over(&self) -> bool {
        let calm = self.scripted() || self.now > FAULTS_END + 3_000;
        let clients = || self.clients.iter().all(|c| c.ended || c.gone);
        let lanes = || self.nodes.iter().all(Node::idle) && self.nodes.iter().any(|n| n.lane.is_some());
        let stored = || self.store.kept.values().all(|kept| kept.txn.finished());
        calm && clients() && lanes() && stored() && self.holding().is_empty()
    }

    fn owners_session_ends(&mut self) {
        if let Choices::Scripted(script) = &mut self.choices {
            script.session_ended();
        }
        if let Some(owner) = self.store.owner() {
            self.expire(owner);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Request { asked, node } => self.request_arrives(asked, node),
            Event::Answer { asked, answer } => self.answer_arrives(asked, answer),
            Event::Gone { place, ticket, gid } => self.asker_gone(place, ticket, gid),
            Event::Hurry { place, ticket, gid } => self.asker_in_a_hurry(place, ticket, gid),
            Event::Call { place, number, call } => self.call_arrives(place, number, &call),
            Event::Reply { place, number, reply } => self.reply_arrives(place, number, reply),
            Event::CallTimeout { place, number } => self.call_timeout(place, number),
            Event::Save { place, seen, batch } => self.save_arrives(place, seen, &batch),
            Event::Saved { place, number, result } => self.saved_arrives(place, number, result),
            Event::SaveTimeout { place, number } => self.save_timeout(place, number),
            Event::Find { place, gid } => self.find_arrives(place, gid),
            Event::Found { place, gid, found } => self.found_arrives(place, gid, found),
            Event::Load { place, cursor } => self.load_arrives(place, &cursor),
            Event::Loaded { place, slice, next } => self.loaded_arrives(place, slice, next),
            Event::Read { asked } => self.read_arrives(asked),
            Event::Turn(place) => self.turn(place),
            Event::Wake(place) => self.wake(place),
            Event::Expire(session) => self.expire(session),
            Event::Notice(place) => self.notice(place),
            Event::Scan(node) => self.scan(node),
            Event::Restart(node) => self.restart(node),
            Event::Admit(place, admission) => self.admit(place, admission),
            Event::ClientStep(client) => self.client_step(client),
            Event::ClientTimeout(asked) => self.client_timeout(asked),
            Event::Doubt(gid, branch) => self.doubt(gid, branch),
            Event::Probe => self.probe(),
        }
    }
}

/// FNV-1a, which is the same on every machine.
pub(crate) fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}
