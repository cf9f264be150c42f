//! The bound on calls in flight per participant, so that a hung one delays nobody else.
use crate::keyed::{HashKey, Map};
use crate::request::CallId;
use std::collections::VecDeque;
use unanim_engine::{BranchIndex, Gid, Op, Participant};

pub(crate) struct Dispatch {
    in_flight_max: usize,
    lines: Map<Participant, Line>,
    in_flight: usize,
    queued: usize,
}

#[derive(Default)]
struct Line {
    in_flight: usize,
    queue: VecDeque<Waiting>,
}

/// A call that waits: all of it but the participant, whose line it is in. There may be a million.
struct Waiting {
    gid: Gid,
    branch: BranchIndex,
    op: Op,
    attempt: u32,
}

impl Dispatch {
    pub(crate) fn new(in_flight_max: usize, key: HashKey) -> Dispatch {
        Dispatch { in_flight_max, lines: Map::with_hasher(key), in_flight: 0, queued: 0 }
    }

    /// Gives the call back when there is room for it; otherwise it waits in its participant's line.
    pub(crate) fn enter(&mut self, call: CallId) -> Option<CallId> {
        let line = match self.lines.get_mut(&call.participant) {
            Some(line) => line,
            None => self.lines.entry(call.participant.clone()).or_default(),
        };
        if line.in_flight < self.in_flight_max {
            line.in_flight += 1;
            self.in_flight += 1;
            return Some(call);
        }
        let CallId { gid, branch, op, attempt, .. } = call;
        line.queue.push_back(Waiting { gid, branch, op, attempt });
        self.queued += 1;
        None
    }

    /// A call has ended: the next in line takes its place.
    pub(crate) fn leave(&mut self, participant: &Participant) -> Option<CallId> {
        let line = self.lines.get_mut(participant).expect("a call that ended was in flight");
        if let Some(Waiting { gid, branch, op, attempt }) = line.queue.pop_front() {
            self.queued -= 1;
            return Some(CallId { gid, branch, op, attempt, participant: participant.clone() });
        }
        line.in_flight -= 1;
        self.in_flight -= 1;
        if line.in_flight == 0 {
            self.lines.remove(participant);
        }
        None
    }

    /// Calls in flight, and calls that wait in line.
    pub(crate) fn figures(&self) -> (usize, usize) {
        (self.in_flight, self.queued)
    }
}
