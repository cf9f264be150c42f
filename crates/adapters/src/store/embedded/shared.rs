//! What the threads of one store share: counters, the room that is left, and whether it broke.
use super::room::RoomKeeper;
use super::room::free_bytes;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use unanim_coordinator::Batch;
use unanim_node::ports::{SaveError, StoreFigures};

pub(super) struct Shared {
    pub(super) room: RoomKeeper,
    /// Why nothing is done any more.
    broken: OnceLock<String>,
    log: PathBuf,
    batches: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    save_micros: AtomicU64,
    read_micros_max: AtomicU64,
}

impl Shared {
    pub(super) fn new(room: RoomKeeper, log: PathBuf) -> Shared {
        let zero = || AtomicU64::new(0);
        let broken = OnceLock::new();
        Shared {
            room,
            broken,
            log,
            batches: zero(),
            records: zero(),
            bytes: zero(),
            save_micros: zero(),
            read_micros_max: zero(),
        }
    }

    /// From now on everything is refused.
    pub(super) fn broke(&self, why: String) -> SaveError {
        SaveError::Broken(self.broken.get_or_init(|| why).clone())
    }

    pub(super) fn refuse_when_broken(&self) -> Result<(), SaveError> {
        self.broken.get().map_or(Ok(()), |why| Err(SaveError::Broken(why.clone())))
    }

    pub(super) fn count(&self, batch: &Batch, took: Duration) {
        let add = |counter: &AtomicU64, by: u64| counter.fetch_add(by, Ordering::Relaxed);
        add(&self.batches, 1);
        add(&self.records, batch.records.len() as u64);
        add(&self.bytes, batch.bytes() as u64);
        add(&self.save_micros, took.as_micros() as u64);
    }

    pub(super) fn count_read(&self, took: Duration) {
        self.read_micros_max.fetch_max(took.as_micros() as u64, Ordering::Relaxed);
    }

    pub(super) fn figures(&self) -> StoreFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreFigures {
            batches: read(&self.batches),
            records: read(&self.records),
            bytes: read(&self.bytes),
            save_micros: read(&self.save_micros),
            wal_bytes: std::fs::metadata(&self.log).map_or(0, |log| log.len()),
            free_bytes: self.log.parent().and_then(|dir| free_bytes(dir).ok()),
            read_micros_max: read(&self.read_micros_max),
        }
    }
}
