//! What a lane holds in memory under a gid.
use crate::batch::{Gate, Unsaved};
use crate::request::{Request, Ticket, Wait};
use unanim_engine::{Body, Timestamp, Transaction};

pub(crate) enum Slot {
    /// Not in memory: the store is asked.
    Finding(Finding),
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

pub(crate) struct Open {
    pub(crate) txn: Transaction,
    /// Until the first record has taken it along.
    pub(crate) body: Option<Box<Body>>,
    /// Who waits for it to get somewhere.
    pub(crate) waiters: Vec<(Ticket, Wait)>,
    pub(crate) unsaved: Unsaved,
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
        Open {
            txn,
            body,
            waiters: Vec::new(),
            unsaved: Unsaved::No,
            forced: 0,
            latest: 0,
            armed: None,
            finding: false,
            bytes,
        }
    }

    /// What an answer about it waits for.
    pub(crate) fn gate(&self) -> Gate {
        self.latest.max(self.forced)
    }

    /// The number of the last event that is durable once [`Open::gate`] is open.
    pub(crate) fn told_seq(&self) -> u64 {
        match self.unsaved {
            Unsaved::Forced => self.txn.seq,
            Unsaved::Lazy(_) | Unsaved::No => self.txn.taken_seq(),
        }
    }

    pub(crate) fn reached(&self, wait: Wait) -> bool {
        match wait {
            Wait::Decided => self.txn.outcome().is_some(),
            Wait::Heard => self.txn.outcome().is_some() && self.txn.all_heard(),
            Wait::Finished => self.txn.finished(),
        }
    }
}
