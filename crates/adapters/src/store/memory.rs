//! A store in memory, for tests: nothing survives the process, everything else is as the port says.
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use unanim_coordinator::{Batch, BatchLimits, Record, Standing, Stored};
use unanim_engine::{Gid, Timestamp};
use unanim_node::ports::{
    Ended, EndedCursor, Excerpt, Identity, LoadCursor, Purged, ReadError, Room, SaveError, Slice, Store, StoreFigures,
};
use uuid::Uuid;

/// One session on a store in memory. Its saves can be made to fail.
pub struct Memory {
    identity: Identity,
    kept: Rc<RefCell<Kept>>,
    faults: RefCell<VecDeque<Fault>>,
    room: Cell<Room>,
    figures: Cell<StoreFigures>,
}

struct Fault {
    error: SaveError,
    applied: bool,
}

/// What all sessions share.
#[derive(Default)]
struct Kept {
    /// The session that may write.
    fence: u64,
    /// The last batch of that session.
    applied: u64,
    /// How many have begun.
    begun: u64,
    transactions: BTreeMap<Gid, Transaction>,
    open: BTreeMap<Gid, Standing>,
    finished: BTreeSet<(Timestamp, Gid)>,
    /// Those of which a branch was resolved: they are not purged.
    resolved: BTreeSet<(Timestamp, Gid)>,
}

#[derive(Default)]
struct Transaction {
    /// In the order in which they began.
    number: u64,
    body: Vec<u8>,
    /// By the number of their first event.
    changes: BTreeMap<u64, Vec<u8>>,
}

impl Memory {
    /// The first session on an empty store.
    #[expect(clippy::new_without_default, reason = "each one is another store")]
    pub fn new() -> Memory {
        let identity = Identity { uuid: Uuid::new_v4(), secret: [7; 32], fence: 0 };
        Memory::session(identity, Rc::default())
    }

    /// The next session on the same store: from now on this one is fenced.
    pub fn next_session(&self) -> Memory {
        Memory::session(self.identity.clone(), self.kept.clone())
    }

    fn session(identity: Identity, kept: Rc<RefCell<Kept>>) -> Memory {
        let fence = {
            let mut kept = kept.borrow_mut();
            kept.fence += 1;
            kept.applied = 0;
            kept.fence
        };
        let identity = Identity { fence, ..identity };
        let (room, figures) = (Cell::new(Room::Enough), Cell::default());
        Memory { identity, kept, faults: RefCell::default(), room, figures }
    }

    /// A save that is not made to fail yet ends like this; whether it is applied nevertheless is for whoever tests to say.
    pub fn fail_save(&self, error: SaveError, applied: bool) {
        self.faults.borrow_mut().push_back(Fault { error, applied });
    }

    /// What [`Store::room`] says from now on.
    pub fn set_room(&self, room: Room) {
        self.room.set(room);
    }

    fn apply(&self, batch: &Batch) -> Result<(), SaveError> {
        let mut kept = self.kept.borrow_mut();
        if kept.fence != self.identity.fence {
            return Err(SaveError::Fenced);
        }
        if batch.number == kept.applied {
            return Ok(());
        }
        assert!(batch.number > kept.applied, "batch {} came after batch {}", batch.number, kept.applied);
        for record in &batch.records {
            kept.put(record);
        }
        kept.applied = batch.number;
        let mut figures = self.figures.get();
        figures.batches += 1;
        figures.records += batch.records.len() as u64;
        figures.bytes += batch.bytes() as u64;
        self.figures.set(figures);
        Ok(())
    }
}

impl Kept {
    fn put(&mut self, record: &Record) {
        let Record { gid, body, first_seq, change, standing, resolved } = record;
        let transaction = self.transactions.entry(gid.clone()).or_default();
        if let Some(body) = body {
            self.begun += 1;
            transaction.number = self.begun;
            assert!(transaction.body.is_empty(), "{gid} has a body");
            transaction.body.clone_from(body);
        }
        if !change.is_empty() {
            let before = transaction.changes.insert(*first_seq, change.clone());
            assert_eq!(before, None, "{gid} has events from {first_seq} on");
        }
        match standing {
            Standing::Decided | Standing::Preparing | Standing::Active => {
                self.open.insert(gid.clone(), *standing);
            }
            Standing::Finished(at) => {
                self.open.remove(gid);
                let ended = if *resolved { &mut self.resolved } else { &mut self.finished };
                ended.insert((*at, gid.clone()));
            }
        }
    }

    fn read(&self, gid: &Gid) -> Result<Option<Stored>, ReadError> {
        let Some(transaction) = self.transactions.get(gid) else { return Ok(None) };
        let changes = transaction.changes.values().map(Vec::as_slice);
        let corrupt = |error| ReadError::Corrupt(format!("the record of {gid}: {error}"));
        Stored::decode(&transaction.body, changes).map(Some).map_err(corrupt)
    }
}

impl Store for Memory {
    fn limits(&self) -> BatchLimits {
        BatchLimits { records_max: 1024, bytes_max: 4 << 20 }
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn save(&self, batch: Arc<Batch>) -> Result<(), SaveError> {
        let fault = self.faults.borrow_mut().pop_front();
        if fault.as_ref().is_none_or(|fault| fault.applied) {
            self.apply(&batch)?;
        }
        fault.map_or(Ok(()), |fault| Err(fault.error))
    }

    async fn find(&self, gid: &Gid) -> Result<Option<Stored>, ReadError> {
        self.kept.borrow().read(gid)
    }

    async fn history(&self, gid: &Gid, first_seq: u64, most: usize) -> Result<Option<Excerpt>, ReadError> {
        let kept = self.kept.borrow();
        let Some(transaction) = kept.transactions.get(gid) else { return Ok(None) };
        let mut events = Vec::new();
        for change in transaction.changes.values() {
            let decoded = Record::decode_change(change);
            events.extend(decoded.map_err(|error| ReadError::Corrupt(format!("the record of {gid}: {error}")))?);
        }
        let first_seq = first_seq.max(2);
        let mut events = events.split_off(events.len().min(first_seq as usize - 2));
        let more = events.len() > most;
        events.truncate(most);
        Ok(Some(Excerpt { first_seq, events, more, finished: !kept.open.contains_key(gid) }))
    }

    async fn load(&self, cursor: &LoadCursor, most: usize) -> Result<Slice, ReadError> {
        let kept = self.kept.borrow();
        let open = kept.open.iter().filter(|(_, standing)| **standing == cursor.standing);
        let mut found: Vec<_> = open.map(|(gid, _)| (kept.transactions[gid].number, gid)).collect();
        found.retain(|(number, _)| cursor.after.is_none_or(|after| *number > after));
        found.sort_unstable();
        found.truncate(most);
        let mut stored = Vec::new();
        for (_, gid) in &found {
            stored.push(kept.read(gid)?.expect("what is open has a record"));
        }
        let place =
            Standing::OPEN.iter().position(|open| *open == cursor.standing).expect("only what is open is loaded");
        let next = match found.last() {
            Some((number, _)) if found.len() == most => {
                Some(LoadCursor { standing: cursor.standing, after: Some(*number) })
            }
            _ => Standing::OPEN.get(place + 1).map(|standing| LoadCursor { standing: *standing, after: None }),
        };
        Ok(Slice { stored, next })
    }

    async fn ended(&self, cursor: &EndedCursor, most: usize) -> Result<Ended, ReadError> {
        let kept = self.kept.borrow();
        let EndedCursor { at, after } = cursor;
        let within = |(ended_at, gid): &&(Timestamp, Gid)| {
            ended_at < at || (ended_at == at && after.as_ref().is_none_or(|after| gid < after))
        };
        let all: BTreeSet<_> = kept.finished.union(&kept.resolved).collect();
        let mut all = all.into_iter().rev().filter(within);
        let (mut stored, mut next) = (Vec::new(), None);
        for (at, gid) in all.by_ref().take(most) {
            stored.push(kept.read(gid)?.expect("what has ended has a record"));
            next = Some(EndedCursor { at: *at, after: Some(gid.clone()) });
        }
        Ok(Ended { stored, next: next.filter(|_| all.next().is_some()) })
    }

    async fn purge(&self, finished_before: Timestamp, most: usize) -> Result<Purged, SaveError> {
        let mut kept = self.kept.borrow_mut();
        if kept.fence != self.identity.fence {
            return Err(SaveError::Fenced);
        }
        let old = kept.finished.iter().take_while(|(at, _)| *at < finished_before).take(most).cloned();
        let old: Vec<_> = old.collect();
        for entry in &old {
            kept.transactions.remove(&entry.1);
            kept.finished.remove(entry);
        }
        Ok(Purged { removed: old.len(), next: kept.finished.first().map(|(at, _)| *at) })
    }

    async fn forget(&self, gid: &Gid, ended_at: Timestamp, left: Option<Record>) -> Result<bool, SaveError> {
        let mut kept = self.kept.borrow_mut();
        if kept.fence != self.identity.fence {
            return Err(SaveError::Fenced);
        }
        let entry = (ended_at, gid.clone());
        if !kept.finished.remove(&entry) && !kept.resolved.remove(&entry) {
            return Ok(false);
        }
        match (left, kept.transactions.get_mut(gid)) {
            (Some(left), Some(transaction)) => {
                transaction.body = left.body.unwrap_or_default();
                transaction.changes = BTreeMap::from([(left.first_seq, left.change)]);
            }
            (_, _) => drop(kept.transactions.remove(gid)),
        }
        Ok(true)
    }

    fn room(&self) -> Result<Room, String> {
        Ok(self.room.get())
    }

    fn figures(&self) -> StoreFigures {
        self.figures.get()
    }
}
