//! Durable state.
use std::future::Future;
use std::sync::Arc;
use unanim_coordinator::{Batch, BatchLimits, Record, Standing, Stored};
use unanim_engine::{Gid, HistoryEvent, Timestamp};
use uuid::Uuid;

/// Who a store is, and what a start of a session on it found.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Made when the store was; a participant shows it when it is in doubt.
    pub uuid: Uuid,
    /// Signs the URLs for participants in doubt; lives in the store, and is never shown.
    pub secret: [u8; 32],
    /// This session's fence: larger than every earlier session's.
    pub fence: u64,
}

/// Where loading goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadCursor {
    /// Which of the open ones, in the order of [`Standing::OPEN`].
    pub standing: Standing,
    /// After the one with this number, which is the store's own and of no use elsewhere; from the first one without. Not a
    /// gid: what it named may have ended, been purged and begun again meanwhile.
    pub after: Option<u64>,
}

/// Some of the open transactions.
#[derive(Debug)]
pub struct Slice {
    /// In the order of the cursor.
    pub stored: Vec<Stored>,
    /// Where the next slice begins; none after the last.
    pub next: Option<LoadCursor>,
}

/// Some of a transaction's durable events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The number of the first one.
    pub first_seq: u64,
    /// In order, without a gap.
    pub events: Vec<HistoryEvent>,
    /// More follow.
    pub more: bool,
    /// The transaction has ended.
    pub finished: bool,
}

/// Where the list of what has ended goes on: at an instant, those that ended last first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedCursor {
    /// Ended at this instant or earlier.
    pub at: Timestamp,
    /// Of those that ended at this very instant, those that come after this one; all of them without.
    pub after: Option<Gid>,
}

/// Some of the transactions that have ended.
#[derive(Debug)]
pub struct Ended {
    /// In the order of the cursor.
    pub stored: Vec<Stored>,
    /// Where the next slice begins; none after the last.
    pub next: Option<EndedCursor>,
}

/// Whether new transactions may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// They may.
    Enough,
    /// They may not: what is left is for those that are open.
    Full,
}

/// For people and metrics. Counters count since the start of the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Batches that were made durable.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Time spent on making them durable, in microseconds.
    pub save_micros: u64,
    /// Bytes of the write-ahead log, where there is one.
    pub wal_bytes: u64,
    /// Bytes that are free where it lies, where that is known.
    pub free_bytes: Option<u64>,
    /// The longest read, in microseconds: while it lasts the log cannot begin anew.
    pub read_micros_max: u64,
}

/// What a purge did, and what is left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Transactions that it removed.
    pub removed: usize,
    /// When the one that ended first, of those that are left, has ended; now at the latest where the store is not done with
    /// what it has removed.
    pub next: Option<Timestamp>,
}

/// Why a batch is not durable.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// No room; nothing of it was applied. Send the identical batch again.
    #[error("no room")]
    Full,
    /// Nobody knows whether it was applied. Send the identical batch again.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// The session is over; nothing of it was applied.
    #[error("the session is over")]
    Fenced,
    /// The store can no longer be trusted. The process must end at once and must not try again.
    #[error("{0}")]
    Broken(String),
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Try again.
    #[error("{0}")]
    Unavailable(String),
    /// A person must look.
    #[error("{0}")]
    Corrupt(String),
}

/// Where batches become durable. One session writes at a time, one batch after the other.
///
/// A future that is dropped says nothing of what happened to its batch.
pub trait Store {
    /// What one batch may hold.
    fn limits(&self) -> BatchLimits;

    /// Who this store is, and this session's fence.
    fn identity(&self) -> &Identity;

    /// Makes a batch durable, all of it or nothing. The identical batch may come again after [`SaveError::Full`] and
    /// [`SaveError::Unknown`], and is then applied once.
    fn save(&self, batch: Arc<Batch>) -> impl Future<Output = Result<(), SaveError>>;

    /// What is stored under a gid, by a read that begins now and sees every batch applied before.
    fn find(&self, gid: &Gid) -> impl Future<Output = Result<Option<Stored>, ReadError>>;

    /// At most `most` of the events that are stored under a gid, from this number on (the begin is 1 and no event: the
    /// first one is 2); none where nothing is stored. Reads no more than it returns and what was written with it.
    fn history(
        &self,
        gid: &Gid,
        first_seq: u64,
        most: usize,
    ) -> impl Future<Output = Result<Option<Excerpt>, ReadError>>;

    /// At most `most` open transactions from the cursor on: decided ones first, then preparing, then active.
    fn load(&self, cursor: &LoadCursor, most: usize) -> impl Future<Output = Result<Slice, ReadError>>;

    /// At most `most` transactions that have ended, from the cursor on, those that ended last first. While they are
    /// purged some of them may be left out.
    fn ended(&self, cursor: &EndedCursor, most: usize) -> impl Future<Output = Result<Ended, ReadError>>;

    /// Removes at most `most` transactions that ended before this instant, those that ended first before others; fewer
    /// where they are large, so that saves do not wait for long. What a person has resolved stays ([`Record::resolved`]).
    fn purge(&self, finished_before: Timestamp, most: usize) -> impl Future<Output = Result<Purged, SaveError>>;

    /// Removes what has ended under a gid, at that instant, and keeps `left` in its place, where there is something left:
    /// [`Store::find`] finds that, for ever, and nothing else does. Durable when this returns; whether there was anything.
    fn forget(
        &self,
        gid: &Gid,
        ended_at: Timestamp,
        left: Option<Record>,
    ) -> impl Future<Output = Result<bool, SaveError>>;

    /// Whether new transactions may be written; cheap, asked often.
    ///
    /// # Errors
    /// The store can no longer be trusted: as [`SaveError::Broken`].
    fn room(&self) -> Result<Room, String>;

    /// For metrics.
    fn figures(&self) -> StoreFigures;
}
