//! What the transport counts.
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use unanim_api::names::failure_name;
use unanim_engine::{Failure, Participant, Reply};

/// Participants that are counted one by one; the rest are counted together, since anybody who may submit can name many.
const PARTICIPANTS_MAX: usize = 200;

/// Every kind of failure; a status stands for all of them.
const FAILURES: [Failure; 8] = [
    Failure::Timeout,
    Failure::Connect,
    Failure::NotAllowed,
    Failure::Reset,
    Failure::Status(0),
    Failure::Content,
    Failure::TooLarge,
    Failure::Unsent,
];

/// For metrics: counters since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportFigures {
    /// Calls that were handed in.
    pub calls: u64,
    /// Replies that were delivered.
    pub replies: u64,
    /// Connections that were made.
    pub connections_opened: u64,
    /// Connections that are open or being opened now.
    pub connections: usize,
    /// Connections that lie idle now.
    pub idle: usize,
    /// Unknown replies, by the name of their failure.
    pub failures: Vec<(&'static str, u64)>,
    /// Of each participant that was called early enough to be counted by itself.
    pub participants: Vec<(Participant, Ended)>,
    /// Of all others together.
    pub others: Ended,
}

/// Calls that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// With an answer, whatever it says.
    pub answered: u64,
    /// Without: nothing is known.
    pub failed: u64,
}

impl Ended {
    fn count(&mut self, reply: &Reply) {
        match reply {
            // It was of no use any more, and nobody was called.
            Reply::Unknown { failure: Failure::Unsent, .. } => {}
            Reply::Unknown { .. } => self.failed += 1,
            Reply::Ok | Reply::ReadOnly | Reply::Refused(_) | Reply::Heuristic(_) | Reply::Ongoing { .. } => {
                self.answered += 1;
            }
        }
    }
}

#[derive(Default)]
pub(super) struct Figures {
    pub(super) calls: Cell<u64>,
    pub(super) connections_opened: Cell<u64>,
    replies: Cell<u64>,
    failures: [Cell<u64>; FAILURES.len()],
    participants: RefCell<HashMap<Participant, Ended>>,
    others: Cell<Ended>,
}

/// One more.
pub(super) fn bump(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

fn index(failure: Failure) -> usize {
    match failure {
        Failure::Timeout => 0,
        Failure::Connect => 1,
        Failure::NotAllowed => 2,
        Failure::Reset => 3,
        Failure::Status(_) => 4,
        Failure::Content => 5,
        Failure::TooLarge => 6,
        Failure::Unsent => 7,
    }
}

impl Figures {
    pub(super) fn count(&self, participant: &Participant, reply: &Reply) {
        bump(&self.replies);
        match reply {
            Reply::Unknown { failure, .. } => bump(&self.failures[index(*failure)]),
            Reply::Ok | Reply::ReadOnly | Reply::Refused(_) | Reply::Heuristic(_) | Reply::Ongoing { .. } => {}
        }
        let mut participants = self.participants.borrow_mut();
        if let Some(ended) = participants.get_mut(participant) {
            ended.count(reply);
        } else if participants.len() < PARTICIPANTS_MAX {
            participants.entry(participant.clone()).or_default().count(reply);
        } else {
            let mut ended = self.others.get();
            ended.count(reply);
            self.others.set(ended);
        }
    }

    pub(super) fn read(&self, connections: usize, idle: usize) -> TransportFigures {
        TransportFigures {
            calls: self.calls.get(),
            replies: self.replies.get(),
            connections_opened: self.connections_opened.get(),
            connections,
            idle,
            participants: self
                .participants
                .borrow()
                .iter()
                .map(|(participant, ended)| (participant.clone(), *ended))
                .collect(),
            others: self.others.get(),
            failures: FAILURES.map(|failure| (failure_name(failure), self.failures[index(failure)].get())).into(),
        }
    }
}
