//! What a lane holds in memory under a gid.
use crate::batch::{Gate, Unsaved};
use crate::request::{Request, Ticket, Wait};
use std::collections::{BTreeMap, BTreeSet};
use unanim_engine::{Body, Gid, Timestamp, Transaction};

/// About what a history event without a payload takes in a record.
const EVENT_BYTES: usize = 64;

pub(crate) enum Slot {
    /// Not in memory: the store is asked.
    Finding(Box<Finding>),
    Open(Box<Open>),
}

/// Who waits for a look-up, in order.
#[derive(Default)]
pub(crate) struct Finding {
    /// They came before the read began.
    pub(crate) asked: Vec<(Ticket, Request)>,
    /// They came later: what the read does not find may be there by now.
    pub(crate) later: Vec<(Ticket, Request)>,
}

/// Which of the three things to wait for are there.
pub(crate) type Milestone = [bool; 3];

#[derive(Default)]
pub(crate) struct Watchers {
    /// Who waits for it to get somewhere.
    pub(crate) waiters: BTreeMap<Ticket, Wait>,
    /// Who waits for more of its history than they know.
    pub(crate) followers: BTreeMap<Ticket, u64>,
}

/// Where a decision stands against the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decided {
    /// There is none yet, or only in memory.
    Unsaved,
    /// The batch in flight has it.
    Taken,
    Durably,
}

/// A place in the list of what is open, which is in the order of the begins: it stays where it is, whatever begins and
/// ends meanwhile, and after a restart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenPlace {
    /// When the last one that was looked at began.
    pub created_at: Timestamp,
    /// Which one that was.
    pub gid: Gid,
}

/// The open ones, in the order of their begins.
pub(crate) type Begins = BTreeSet<OpenPlace>;

pub(crate) struct Open {
    pub(crate) txn: Transaction,
    /// Until the first record has taken it along.
    pub(crate) body: Option<Box<Body>>,
    /// Apart, because most that are open for long have nobody who waits.
    watchers: Option<Box<Watchers>>,
    /// The number of its last event that is known to be durable; 0 before its first batch is.
    pub(crate) durable_seq: u64,
    /// Lists say so; later changes that are still to be saved take nothing back.
    pub(crate) decided: Decided,
    /// How far those who wait have been looked after.
    pub(crate) milestone: Milestone,
    pub(crate) unsaved: Unsaved,
    /// Roughly what of its next record's bytes is body and branches.
    pub(crate) unsaved_bytes: usize,
    /// The last forced change: calls wait for it.
    pub(crate) forced: Gate,
    /// The last change that a batch took along, forced or lazy: answers wait for it.
    pub(crate) latest: Gate,
    pub(crate) armed: Option<Timestamp>,
    /// A look-up is under way whose answer is still to come.
    pub(crate) finding: bool,
    /// What it counts against the bound on bytes.
    pub(crate) bytes: usize,
}

impl Open {
    pub(crate) fn new(txn: Transaction, body: Option<Box<Body>>) -> Open {
        let bytes = txn.bytes();
        let loaded = body.is_none() && txn.outcome().is_some();
        let (unsaved_bytes, durable_seq) = if body.is_some() { (bytes, 0) } else { (0, txn.seq) };
        Open {
            txn,
            body,
            watchers: None,
            durable_seq,
            decided: if loaded { Decided::Durably } else { Decided::Unsaved },
            milestone: Milestone::default(),
            unsaved: Unsaved::No,
            unsaved_bytes,
            forced: 0,
            latest: 0,
            armed: None,
            finding: false,
            bytes,
        }
    }

    /// Roughly what its next record takes, for the bound on a batch's bytes.
    pub(crate) fn record_bytes(&self) -> usize {
        self.unsaved_bytes + (self.txn.seq - self.txn.taken_seq()) as usize * EVENT_BYTES
    }

    /// What an answer about it waits for.
    pub(crate) fn gate(&self) -> Gate {
        self.told_with().unwrap_or(self.latest.max(self.forced))
    }

    /// The number of the last event that is durable once [`Open::gate`] is open.
    pub(crate) fn told_seq(&self) -> u64 {
        if self.told_with().is_some() { self.txn.seq } else { self.txn.taken_seq() }
    }

    /// The formed batch that whatever is said waits for; not where only the end, after a durable decision, is in it.
    fn told_with(&self) -> Option<Gate> {
        match self.unsaved {
            Unsaved::Formed(gate, _) if gate == self.forced || !self.txn.finished() => Some(gate),
            Unsaved::Formed(..) | Unsaved::Lazy(_) | Unsaved::No => None,
        }
    }

    /// Whether there is more to be told to somebody who knows its history up to this event, or there never will be.
    pub(crate) fn is_news(&self, after: u64) -> bool {
        self.durable_seq > after || self.has_ended_durably()
    }

    pub(crate) fn has_ended_durably(&self) -> bool {
        self.txn.finished() && self.durable_seq == self.txn.seq
    }

    /// Whoever waits; none where nobody does.
    pub(crate) fn watchers(&mut self) -> Option<&mut Watchers> {
        self.watchers.take_if(|w| w.waiters.is_empty() && w.followers.is_empty());
        self.watchers.as_deref_mut()
    }

    pub(crate) fn watch(&mut self) -> &mut Watchers {
        self.watchers.get_or_insert_default()
    }

    pub(crate) fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.watchers.iter().flat_map(|w| w.waiters.keys().chain(w.followers.keys()))
    }

    /// Those who wait for more of its history, where there is some by now.
    pub(crate) fn take_followers(&mut self) -> Vec<Ticket> {
        let Some(watchers) = &mut self.watchers else { return Vec::new() };
        let followers = std::mem::take(&mut watchers.followers);
        let (news, rest): (BTreeMap<Ticket, u64>, _) =
            followers.into_iter().partition(|(_, after)| self.is_news(*after));
        self.watch().followers = rest;
        news.into_keys().collect()
    }

    /// Who has waited for what there is by now.
    pub(crate) fn take_reached(&mut self) -> Vec<Ticket> {
        let milestone = [Wait::Decided, Wait::Heard, Wait::Finished].map(|wait| self.reached(wait));
        if std::mem::replace(&mut self.milestone, milestone) == milestone {
            return Vec::new();
        }
        let Some(watchers) = self.watchers() else { return Vec::new() };
        let waiters = std::mem::take(&mut watchers.waiters);
        let (reached, waiting): (BTreeMap<Ticket, Wait>, _) =
            waiters.into_iter().partition(|(_, wait)| self.reached(*wait));
        self.watch().waiters = waiting;
        reached.into_keys().collect()
    }

    pub(crate) fn reached(&self, wait: Wait) -> bool {
        match wait {
            Wait::Decided => self.txn.outcome().is_some(),
            Wait::Heard => self.txn.outcome().is_some() && self.txn.all_heard(),
            Wait::Finished => self.txn.finished(),
        }
    }
}
