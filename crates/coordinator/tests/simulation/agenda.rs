//! What is still to happen: by time with a seed, by choice in a script.
use crate::choices::Choices;
use crate::store::{Cursor, LaneKey};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::rc::Rc;
use unanim_coordinator::{Admission, Answer, Batch, Call, Found, Stored, Ticket};
use unanim_engine::{BranchId, Gid, Reply};

/// A node during one of its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) node: usize,
    pub(crate) serial: u64,
}

pub(crate) enum Event {
    // On the way; any of them may be overtaken.
    Request {
        asked: usize,
        node: usize,
    },
    Answer {
        asked: usize,
        answer: Answer,
    },
    Gone {
        place: Place,
        ticket: Ticket,
        gid: Gid,
    },
    Hurry {
        place: Place,
        ticket: Ticket,
        gid: Gid,
    },
    Call {
        place: Place,
        number: u64,
        call: Rc<Call>,
    },
    Reply {
        place: Place,
        number: u64,
        reply: Reply,
    },
    Save {
        place: Place,
        seen: u64,
        batch: Rc<Batch>,
    },
    Saved {
        place: Place,
        number: u64,
        result: Result<u64, Option<LaneKey>>,
    },
    Find {
        place: Place,
        gid: Gid,
    },
    Found {
        place: Place,
        gid: Gid,
        found: Found,
    },
    Load {
        place: Place,
        cursor: Cursor,
    },
    Loaded {
        place: Place,
        slice: Vec<Stored>,
        next: Option<Cursor>,
    },
    /// Any node, owner or not, answers an inquiry from one linearizable read.
    Read {
        asked: usize,
    },
    // By the clock.
    CallTimeout {
        place: Place,
        number: u64,
    },
    SaveTimeout {
        place: Place,
        number: u64,
    },
    Turn(Place),
    Wake(Place),
    Expire(u64),
    Notice(Place),
    Scan(usize),
    Restart(usize),
    Admit(Place, Admission),
    ClientStep(usize),
    ClientTimeout(usize),
    Doubt(Gid, BranchId),
    Probe,
}

impl Event {
    fn is_message(&self) -> bool {
        match self {
            Event::Request { .. } | Event::Answer { .. } | Event::Gone { .. } | Event::Hurry { .. } => true,
            Event::Call { .. } | Event::Reply { .. } | Event::Save { .. } | Event::Saved { .. } => true,
            Event::Find { .. }
            | Event::Found { .. }
            | Event::Load { .. }
            | Event::Loaded { .. }
            | Event::Read { .. } => true,
            Event::CallTimeout { .. } | Event::SaveTimeout { .. } | Event::Turn(_) | Event::Wake(_) => false,
            Event::Expire(_) | Event::Notice(_) | Event::Scan(_) | Event::Restart(_) | Event::Admit(..) => false,
            Event::ClientStep(_) | Event::ClientTimeout(_) | Event::Doubt(..) | Event::Probe => false,
        }
    }
}

pub(crate) struct Item {
    pub(crate) at: u64,
    number: u64,
    pub(crate) event: Event,
}

impl Ord for Item {
    fn cmp(&self, other: &Item) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Item) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Item {
    fn eq(&self, other: &Item) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Item {}

/// What a pop came up with.
pub(crate) enum Next {
    Event(Item),
    /// A script ends the owner's session here.
    SessionEnds,
    Nothing,
}

#[derive(Default)]
pub(crate) struct Agenda {
    number: u64,
    timed: BinaryHeap<Reverse<Item>>,
    /// Messages in the order in which they were sent, where a script chooses.
    sent: Vec<Item>,
}

impl Agenda {
    pub(crate) fn push(&mut self, at: u64, event: Event, scripted: bool) {
        self.number += 1;
        let item = Item { at, number: self.number, event };
        if scripted && item.event.is_message() { self.sent.push(item) } else { self.timed.push(Reverse(item)) }
    }

    /// A script chooses among all messages, in the order in which they were sent, then the next timer, then the end of
    /// the owner's session.
    pub(crate) fn pop(&mut self, choices: &mut Choices) -> Next {
        let Choices::Scripted(script) = choices else {
            return self.timed();
        };
        let ends = usize::from(script.session_may_end());
        let timers = usize::from(!self.timed.is_empty());
        let messages = self.sent.len();
        if messages + timers == 0 {
            return Next::Nothing;
        }
        let chosen = choices.order(messages + timers + ends);
        if chosen < messages {
            Next::Event(self.sent.remove(chosen))
        } else if chosen < messages + timers {
            self.timed()
        } else {
            Next::SessionEnds
        }
    }

    fn timed(&mut self) -> Next {
        self.timed.pop().map_or(Next::Nothing, |Reverse(item)| Next::Event(item))
    }
}
