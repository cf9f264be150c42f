//! Those who hold resources: five of them, the last one speaks the classic protocol and keeps no tombstones.
use crate::agenda::{Event, Place};
use crate::clients::By;
use crate::world::{FAULTS_END, World};
use std::collections::BTreeMap;
use unanim_coordinator::{Answer, Call, Request};
use unanim_engine::{BranchId, Dialect, Failure, Gid, Heuristic, Op, Outcome, Participant, Reply};

pub(crate) const V1: u64 = 4;
pub(crate) const PARTICIPANTS: u64 = V1 + 1;
/// The payload of a branch that only reads.
pub(crate) const READ_ONLY: &[u8] = b"read only";
/// The payload of a branch that says no, in a script.
pub(crate) const REFUSES: &[u8] = b"no";

/// What a participant holds for a branch; durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    Free,
    Prepared,
    Committed,
    /// The tombstone.
    RolledBack,
    ReadOnly,
    /// It could not wait any longer.
    OnItsOwn(Heuristic),
}

#[derive(Clone, Copy, Debug)]
struct Part {
    hold: Hold,
    /// The largest that it was called with.
    fence: u64,
}

#[derive(Default)]
pub(crate) struct Participants {
    parts: BTreeMap<(Gid, BranchId), Part>,
    /// From when to when each is down.
    down: BTreeMap<Participant, (u64, u64)>,
}

impl Participants {
    pub(crate) fn hold(&self, gid: &Gid, branch: &BranchId) -> Hold {
        self.parts.get(&(gid.clone(), branch.clone())).map_or(Hold::Free, |part| part.hold)
    }

    fn set(&mut self, gid: &Gid, branch: &BranchId, hold: Hold) {
        if let Some(part) = self.parts.get_mut(&(gid.clone(), branch.clone())) {
            part.hold = hold;
        }
    }

    pub(crate) fn holding(&self) -> Vec<(Gid, BranchId)> {
        let held = self.parts.iter().filter(|(_, part)| part.hold == Hold::Prepared);
        held.map(|(name, _)| name.clone()).collect()
    }
}

pub(crate) fn participant(number: u64) -> Participant {
    Participant::new(&format!("http://p{number}:5000")).expect("a name")
}

impl World {
    pub(crate) fn populate_participants(&mut self) {
        for number in 0..PARTICIPANTS {
            let from = self.choices.below(FAULTS_END);
            let to = from + self.choices.below(4_000);
            self.participants.down.insert(participant(number), (from, to));
        }
    }

    /// Calls of the classic dialect are made once, over a connection that ends with the call: none comes twice, or after
    /// its time is up, or from a process that has lost its session (with one machine there is no such process).
    pub(crate) fn prompt(&self, call: &Call) -> bool {
        call.spec.callee.dialect == Dialect::Classic && !self.scenario.flaws.classic_repeats
    }

    pub(crate) fn repeats(&mut self, call: &Call) -> bool {
        !self.prompt(call) && self.choices.permille(100)
    }

    pub(crate) fn call_arrives(&mut self, place: Place, number: u64, call: &Call) {
        let reply = self.called(call);
        if let Some(reply) = reply {
            for _ in 0..1 + u64::from(self.faulty() && self.choices.permille(50)) {
                self.send(Event::Reply { place, number, reply: reply.clone() });
            }
        }
    }

    /// What it says; nothing while it is down.
    fn called(&mut self, call: &Call) -> Option<Reply> {
        let (gid, branch, op) = (&call.id.gid, &call.spec.id, call.id.op);
        let down = self.participants.down.get(&call.id.participant).copied().unwrap_or_default();
        if (down.0..down.1).contains(&self.now) {
            return None;
        }
        if self.faulty()
            && !self.scripted()
            && let Some(reply) = self.evasion(op)
        {
            return Some(reply);
        }
        let flaws = self.scenario.flaws;
        let part =
            self.participants.parts.entry((gid.clone(), branch.clone())).or_insert(Part { hold: Hold::Free, fence: 0 });
        let before = part.hold;
        if call.fence < part.fence && call.spec.callee.dialect == Dialect::V1 && !flaws.no_fence {
            self.count("replies: stale fence");
            return Some(Reply::unknown(Failure::Status(412)));
        }
        part.fence = part.fence.max(call.fence);
        let (hold, reply) = self.decide(call, before)?;
        self.participants.set(gid, branch, hold);
        if hold == Hold::Prepared
            && before != Hold::Prepared
            && call.spec.callee.dialect == Dialect::V1
            && !flaws.no_inquiry
        {
            let ms = 2_500 + self.choices.below(1_000);
            self.after(ms, Event::Doubt(gid.clone(), branch.clone()));
        }
        match op {
            Op::Commit => self.saw(gid, Outcome::Committed, || format!("{op:?} of {branch}")),
            Op::Rollback => self.saw(gid, Outcome::Aborted, || format!("{op:?} of {branch}")),
            Op::Prepare | Op::CommitOnePhase => {}
        }
        // It did so, and could not say so.
        if self.faulty() && self.choices.permille(20) {
            let failure = self.choices.pick(&[Failure::Reset, Failure::Status(500), Failure::Content]);
            return Some(Reply::unknown(failure));
        }
        Some(reply)
    }

    /// Answers that leave everything as it was.
    fn evasion(&mut self, op: Op) -> Option<Reply> {
        let retry_after_ms = self.choices.pick(&[0, 300, 2_000]);
        match self.choices.below(1_000) {
            0..15 => Some(Reply::unknown(Failure::Connect)),
            15..30 => Some(Reply::Unknown { failure: Failure::Status(503), retry_after_ms }),
            30..60 => Some(Reply::Ongoing { retry_after_ms }),
            // The decision stands, whatever it thinks of it.
            60..75 if matches!(op, Op::Commit | Op::Rollback) => Some(Reply::Refused(None)),
            75..80 if matches!(op, Op::Commit | Op::Rollback) => Some(Reply::ReadOnly),
            _ => None,
        }
    }

    /// What it does, and what it says.
    fn decide(&mut self, call: &Call, hold: Hold) -> Option<(Hold, Reply)> {
        let id = &call.id;
        let flaws = self.scenario.flaws;
        let classic = call.spec.callee.dialect == Dialect::Classic;
        let payload = call.spec.payload.as_deref().unwrap_or_default();
        let undone = if classic || flaws.no_tombstone { Hold::Free } else { Hold::RolledBack };
        let no = || Reply::Refused(Some("no".into()));
        let willing = if self.scripted() { payload != REFUSES } else { self.choices.permille(self.mood.willing) };
        let alone = self.faulty() && !classic && self.choices.permille(4);
        let heuristic = self.choices.pick(&[Heuristic::Commit, Heuristic::Rollback, Heuristic::Mixed]);
        Some(match (id.op, hold) {
            (_, Hold::OnItsOwn(heuristic)) => (hold, Reply::Heuristic(heuristic)),
            (Op::Prepare, Hold::Free) if payload == READ_ONLY => (Hold::ReadOnly, Reply::ReadOnly),
            (Op::Prepare, Hold::Free) if willing => (Hold::Prepared, Reply::Ok),
            // It may have kept something all the same, and asked again it may say yes.
            (Op::Prepare, Hold::Free) if self.choices.permille(300) => (Hold::Prepared, no()),
            (Op::Prepare, Hold::Free | Hold::RolledBack) => (hold, no()),
            (Op::Prepare, Hold::Prepared | Hold::Committed) => (hold, Reply::Ok),
            (Op::Prepare, Hold::ReadOnly) => (hold, Reply::ReadOnly),
            (Op::Rollback, Hold::ReadOnly) => (hold, Reply::Ok),
            (Op::CommitOnePhase, Hold::Free) if alone => (Hold::OnItsOwn(heuristic), Reply::Heuristic(heuristic)),
            (Op::CommitOnePhase, Hold::Free) if willing => (Hold::Committed, Reply::Ok),
            // Its no is the end: it must not say yes to a call that comes late.
            (Op::CommitOnePhase, Hold::Free) if flaws.one_phase_forgets_no => (Hold::Free, no()),
            (Op::CommitOnePhase, Hold::Free | Hold::RolledBack) => (Hold::RolledBack, no()),
            (Op::CommitOnePhase, Hold::Committed) => (hold, Reply::Ok),
            (Op::Commit | Op::Rollback, Hold::Prepared) if alone => {
                (Hold::OnItsOwn(heuristic), Reply::Heuristic(heuristic))
            }
            (Op::Commit, Hold::Prepared | Hold::Committed) => (Hold::Committed, Reply::Ok),
            (Op::Rollback, Hold::Prepared | Hold::Free | Hold::RolledBack) => (undone, Reply::Ok),
            (Op::Commit, Hold::Free | Hold::RolledBack | Hold::ReadOnly)
            | (Op::Rollback, Hold::Committed)
            | (Op::CommitOnePhase, Hold::Prepared | Hold::ReadOnly) => {
                self.violated("contradiction at a participant", format!("{id:?} while {hold:?}"));
                return None;
            }
        })
    }

    /// A participant has held for too long without hearing how it ends.
    pub(crate) fn doubt(&mut self, gid: Gid, branch: BranchId) {
        if self.participants.hold(&gid, &branch) != Hold::Prepared {
            return;
        }
        if self.faulty() && self.choices.permille(5) {
            let heuristic = self.choices.pick(&[Heuristic::Commit, Heuristic::Rollback]);
            self.count("finished on its own");
            return self.participants.set(&gid, &branch, Hold::OnItsOwn(heuristic));
        }
        self.ask(By::Branch(branch.clone()), gid.clone(), Request::Inquire(Some(branch.clone())));
        let ms = 500 + self.choices.below(1_000);
        self.after(ms, Event::Doubt(gid, branch));
    }

    pub(crate) fn inquiry_answered(&mut self, gid: &Gid, branch: &BranchId, answer: &Answer) {
        if self.participants.hold(gid, branch) == Hold::Prepared
            && let Answer::Outcome(Some(outcome)) = answer
        {
            let hold = match outcome {
                Outcome::Committed => Hold::Committed,
                Outcome::Aborted if self.scenario.flaws.no_tombstone => Hold::Free,
                Outcome::Aborted => Hold::RolledBack,
            };
            self.count("ended by an inquiry");
            self.participants.set(gid, branch, hold);
        }
    }
}
