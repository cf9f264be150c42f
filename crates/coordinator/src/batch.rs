//! Save, then act: the batch being written, those formed behind it, and what waits for either.
//!
//! Steps change memory at once; what follows from them is *held* here until the batch that justifies it is durable.
//! Every Forced change gives its transaction a gate, the number of the batch that will hold it. One batch is in flight;
//! behind it wait formed, numbered, bounded ones.
use crate::record::Record;
use crate::request::{Answer, BatchLimits, CallId, Ticket};
use std::collections::VecDeque;
use unanim_engine::{Durability, Gid, Timestamp};

/// A lazy change waits so many milliseconds for a forced one of its own transaction; then it is written anyway.
const LAZY_AGE_MS: u64 = 50;
/// From this age on it goes along with a batch of others: with a batch of its own, a lone client would wait for that, too.
const LAZY_RIDES_MS: u64 = 40;

/// A batch number that something waits for; 0 waits for nothing.
pub type Gate = u64;

/// What a lane saves at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Counts up from 1 within a session.
    pub number: Gate,
    /// At most one record of each transaction.
    pub records: Vec<Record>,
}

/// An output that waits for its batch.
#[derive(Debug)]
pub(crate) enum Held {
    Call(CallId),
    Answer(Ticket, Answer),
}

/// Where a transaction's memory stands against its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsaved {
    /// The same, or a batch took it along.
    No,
    /// Changed lazily since then.
    Lazy(Timestamp),
    /// The formed batch of this number will take it along, and counts so many bytes for it.
    Formed(Gate, u32),
}

/// Bytes of one record, which are far below that.
fn counted(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[derive(Default)]
struct Formed {
    gids: Vec<Gid>,
    bytes: usize,
    then: Vec<Held>,
}

pub(crate) struct Batches {
    limits: BatchLimits,
    applied: Gate,
    writing: Option<Formed>,
    /// The last one is being formed; full ones before it wait for their turn.
    formed: VecDeque<Formed>,
    lazy: VecDeque<(Timestamp, Gid)>,
}

impl Batches {
    pub(crate) fn new(limits: BatchLimits) -> Batches {
        Batches { limits, applied: 0, writing: None, formed: VecDeque::new(), lazy: VecDeque::new() }
    }

    /// The number that the batch being formed will have.
    fn forming(&self) -> Gate {
        self.applied + Gate::from(self.writing.is_some()) + self.formed.len().max(1) as Gate
    }

    fn take_along(&mut self, gid: Gid, bytes: usize) -> Gate {
        let BatchLimits { records_max, bytes_max } = self.limits;
        // One that is in may grow by what joins it; then nothing else is let in.
        let full = |f: &Formed| f.gids.len() >= records_max || (!f.gids.is_empty() && f.bytes + bytes > bytes_max);
        if self.formed.back().is_none_or(full) {
            self.formed.push_back(Formed::default());
        }
        let forming = self.formed.back_mut().expect("just made");
        forming.gids.push(gid);
        forming.bytes += bytes;
        self.forming()
    }

    /// Marks a transaction as changed by about so many bytes. A forced change returns its gate: nothing that follows from
    /// it leaves before that batch is applied.
    pub(crate) fn mark(
        &mut self,
        gid: &Gid,
        unsaved: &mut Unsaved,
        durability: Durability,
        bytes: usize,
        now: Timestamp,
    ) -> Option<Gate> {
        match (durability, *unsaved) {
            (Durability::Nothing, _) | (Durability::Lazy, Unsaved::Lazy(_)) => None,
            (Durability::Forced, Unsaved::No | Unsaved::Lazy(_)) => {
                let gate = self.take_along(gid.clone(), bytes);
                *unsaved = Unsaved::Formed(gate, counted(bytes));
                Some(gate)
            }
            (Durability::Lazy, Unsaved::No) => {
                *unsaved = Unsaved::Lazy(now);
                self.lazy.push_back((now, gid.clone()));
                None
            }
            (Durability::Forced | Durability::Lazy, Unsaved::Formed(gate, before)) => {
                let ahead = (gate - self.applied - 1 - Gate::from(self.writing.is_some())) as usize;
                self.formed[ahead].bytes += bytes.saturating_sub(before as usize);
                *unsaved = Unsaved::Formed(gate, counted(bytes));
                (durability == Durability::Forced).then_some(gate)
            }
        }
    }

    /// The transaction whose lazy change has waited longest, since when, while nothing is being written.
    pub(crate) fn oldest_lazy(&self) -> Option<&(Timestamp, Gid)> {
        self.lazy.front().filter(|_| self.writing.is_none())
    }

    /// That one no longer is: its change was written with a forced one.
    pub(crate) fn pass_lazy(&mut self) {
        self.lazy.pop_front();
    }

    /// The batch being formed takes that one along if it has waited long enough by now.
    pub(crate) fn take_lazy(&mut self, unsaved: &mut Unsaved, bytes: usize, now: Timestamp) -> bool {
        let rides = self.lazy.front().is_some_and(|(since, _)| since.after(LAZY_RIDES_MS) <= now);
        if rides && let Some((_, gid)) = self.lazy.pop_front() {
            *unsaved = Unsaved::Formed(self.take_along(gid, bytes), counted(bytes));
        }
        rides
    }

    pub(crate) fn is_applied(&self, gate: Gate) -> bool {
        gate <= self.applied
    }

    /// Gives `held` back when its batch is applied already; otherwise keeps it until then.
    pub(crate) fn hold(&mut self, gate: Gate, held: Held) -> Option<Held> {
        let Some(ahead) = gate.checked_sub(self.applied + 1) else { return Some(held) };
        let ahead = ahead as usize;
        match (&mut self.writing, ahead) {
            (Some(writing), 0) => writing.then.push(held),
            (Some(_), ahead) => self.formed[ahead - 1].then.push(held),
            (None, ahead) => self.formed[ahead].then.push(held),
        }
        None
    }

    /// When a lazy change has waited long enough; while a batch is in flight, its end is what is waited for.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let idle = self.writing.is_none();
        self.lazy.front().filter(|_| idle).map(|(since, _)| since.after(LAZY_AGE_MS))
    }

    /// Whether a cut would give a batch now.
    pub(crate) fn ready(&self) -> bool {
        self.writing.is_none() && !self.formed.is_empty()
    }

    /// When nothing is being written and something has to be: its number and the transactions that it takes along.
    pub(crate) fn cut(&mut self) -> Option<(Gate, &[Gid])> {
        if self.writing.is_some() {
            return None;
        }
        let formed = self.formed.pop_front()?;
        Some((self.applied + 1, &self.writing.insert(formed).gids))
    }

    /// The batch in flight is durable: what it took along, and what may happen now.
    pub(crate) fn applied(&mut self) -> (Vec<Gid>, Vec<Held>) {
        let writing = self.writing.take().expect("a batch was in flight");
        self.applied += 1;
        (writing.gids, writing.then)
    }

    /// Everything that changed is durable.
    pub(crate) fn at_rest(&self) -> bool {
        self.writing.is_none() && self.formed.is_empty() && self.lazy.is_empty()
    }

    /// The session is over: what waited.
    pub(crate) fn abandon(&mut self) -> Vec<Held> {
        let mut held = self.writing.take().map(|w| w.then).unwrap_or_default();
        held.extend(self.formed.drain(..).flat_map(|f| f.then));
        *self = Batches::new(self.limits);
        held
    }
}
