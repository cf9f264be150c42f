//! SQLite in one folder of this machine: write-ahead log, every commit flushed, one session at a time.
//!
//! A commit is made on the caller's thread or on one of its own ([`CommitMode`]); reads are made on the caller's thread.
//! A failed flush is never tried again: the store refuses everything from then on, and the process must end.

mod committer;
mod error;
mod flush;
mod foreign;
mod insert;
mod lock;
mod plant;
mod purge;
mod reader;
mod room;
mod schema;
mod shared;
mod start;
mod writer;

pub use error::OpenError;
pub use plant::Bug;
pub use schema::VERSION as SCHEMA_VERSION;

use committer::Committer;
use lock::FolderLock;
use plant::Plant;
use reader::Raw;
use room::RoomKeeper;
use rusqlite::{Connection, OpenFlags};
use shared::Shared;
use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;
use unanim_coordinator::{Batch, BatchLimits, Record, Stored};
use unanim_engine::{Gid, Timestamp};
use unanim_node::ports::{
    Ended, EndedCursor, Excerpt, Identity, LoadCursor, Purged, ReadError, Room, SaveError, Slice, Store, StoreFigures,
};
use writer::Writer;

/// Where commits are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommitMode {
    /// Inline where a few flushes at the start are quick, else on a thread.
    #[default]
    Auto,
    /// On the caller's thread.
    Inline,
    /// On a thread of its own.
    Thread,
}

impl fmt::Display for CommitMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommitMode::Auto => "auto",
            CommitMode::Inline => "inline",
            CommitMode::Thread => "thread",
        })
    }
}

impl FromStr for CommitMode {
    type Err = String;

    fn from_str(text: &str) -> Result<CommitMode, String> {
        match text {
            "auto" => Ok(CommitMode::Auto),
            "inline" => Ok(CommitMode::Inline),
            "thread" => Ok(CommitMode::Thread),
            _ => Err(format!("{text:?} is none of auto, inline, thread")),
        }
    }
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Its folder; made where it is missing.
    pub dir: PathBuf,
    /// Where commits are made.
    pub commit: CommitMode,
    /// How much of the disk is kept back for open transactions; less where little is free.
    pub reserve_bytes: u64,
    /// The database grows to so many pages of 4 KiB; without limit where none.
    pub pages_max: Option<u32>,
    /// What is broken on purpose.
    #[cfg(feature = "plant")]
    pub bug: Option<Bug>,
}

impl OpenOptions {
    /// The defaults, in that folder.
    pub fn new(dir: impl Into<PathBuf>) -> OpenOptions {
        OpenOptions {
            dir: dir.into(),
            commit: CommitMode::Auto,
            reserve_bytes: 64 << 20,
            pages_max: None,
            #[cfg(feature = "plant")]
            bug: None,
        }
    }
}

/// The embedded store. What opened it calls it, on one thread.
pub struct Embedded {
    identity: Identity,
    shared: Arc<Shared>,
    commits: Commits,
    /// Released after the connections are closed.
    _lock: FolderLock,
}

enum Commits {
    Inline(Box<RefCell<Writer>>),
    Thread { committer: Committer, reader: Connection },
}

impl Embedded {
    /// Opens a folder's store, or makes it, and begins a session. Blocks for some flushes of the disk.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(options: OpenOptions) -> Result<Embedded, OpenError> {
        let plant = Plant::of(&options);
        let OpenOptions { dir, commit, reserve_bytes, pages_max, .. } = options;
        let in_dir = |source| OpenError::Io { path: dir.clone(), source };
        foreign::check(&dir)?;
        start::make_folder(&dir, plant)?;
        let lock = FolderLock::take(&dir)?;
        let room = RoomKeeper::open(&dir, reserve_bytes).map_err(in_dir)?;
        let path = start::database(&dir);
        let begin = || {
            let identity = start::start(&path, pages_max, plant)?;
            let connection = start::connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE, pages_max, plant)?;
            start::use_log(&connection)?;
            Ok((identity, connection))
        };
        let (identity, connection) = loop {
            match begin() {
                Err(error) if start::is_full(&error, &dir) && room.found_full() => {}
                result => break result?,
            }
        };
        let commit = match flush::choose(commit, &dir) {
            Ok(commit) => commit,
            Err(error) => {
                tracing::warn!(%error, "the disk's flush could not be measured: committing on a thread");
                CommitMode::Thread
            }
        };
        let shared = Arc::new(Shared::new(room, start::log(&path)));
        let writer = Writer::new(connection, shared.clone(), plant)?;
        let commits = match commit {
            CommitMode::Inline => Commits::Inline(Box::new(RefCell::new(writer))),
            CommitMode::Auto | CommitMode::Thread => Commits::Thread {
                reader: start::connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY, None, plant)?,
                committer: Committer::start(writer).map_err(in_dir)?,
            },
        };
        Ok(Embedded { identity, shared, commits, _lock: lock })
    }

    /// Where commits are made: never [`CommitMode::Auto`].
    pub fn commit_mode(&self) -> CommitMode {
        match self.commits {
            Commits::Inline(_) => CommitMode::Inline,
            Commits::Thread { .. } => CommitMode::Thread,
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        self.shared.refuse_when_broken().map_err(|error| ReadError::Unavailable(error.to_string()))?;
        let began = Instant::now();
        let result = match &self.commits {
            Commits::Inline(writer) => read(writer.borrow().connection()),
            Commits::Thread { reader, .. } => read(reader),
        };
        self.shared.count_read(began.elapsed());
        result
    }
}

impl Store for Embedded {
    fn limits(&self) -> BatchLimits {
        BatchLimits { records_max: 1024, bytes_max: 4 << 20 }
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn save(&self, batch: Arc<Batch>) -> Result<(), SaveError> {
        match &self.commits {
            Commits::Inline(writer) => {
                let mut writer = writer.borrow_mut();
                writer.save(&batch)?;
                writer.tidy()
            }
            Commits::Thread { committer, .. } => committer.save(batch).await,
        }
    }

    async fn find(&self, gid: &Gid) -> Result<Option<Stored>, ReadError> {
        self.read(|connection| reader::find(connection, gid))?.map(Raw::decode).transpose()
    }

    async fn history(&self, gid: &Gid, first_seq: u64, most: usize) -> Result<Option<Excerpt>, ReadError> {
        self.read(|connection| reader::history(connection, gid, first_seq, most))
    }

    async fn load(&self, cursor: &LoadCursor, most: usize) -> Result<Slice, ReadError> {
        let (raw, next) = self.read(|connection| reader::load(connection, cursor, most))?;
        Ok(Slice { stored: raw.into_iter().map(Raw::decode).collect::<Result<_, _>>()?, next })
    }

    async fn ended(&self, cursor: &EndedCursor, most: usize) -> Result<Ended, ReadError> {
        let (raw, next) = self.read(|connection| reader::ended(connection, cursor, most))?;
        Ok(Ended { stored: raw.into_iter().map(Raw::decode).collect::<Result<_, _>>()?, next })
    }

    async fn purge(&self, finished_before: Timestamp, most: usize) -> Result<Purged, SaveError> {
        match &self.commits {
            Commits::Inline(writer) => {
                let mut writer = writer.borrow_mut();
                let purged = writer.purge(finished_before, most)?;
                writer.tidy()?;
                Ok(purged)
            }
            Commits::Thread { committer, .. } => committer.purge(finished_before, most).await,
        }
    }

    async fn forget(&self, gid: &Gid, ended_at: Timestamp, left: Option<Record>) -> Result<bool, SaveError> {
        match &self.commits {
            Commits::Inline(writer) => {
                let mut writer = writer.borrow_mut();
                let forgotten = writer.forget(gid, ended_at, left.as_ref())?;
                writer.tidy()?;
                Ok(forgotten)
            }
            Commits::Thread { committer, .. } => committer.forget(gid.clone(), ended_at, left).await,
        }
    }

    fn room(&self) -> Result<Room, String> {
        self.shared.refuse_when_broken().map_err(|error| error.to_string())?;
        Ok(self.shared.room.room())
    }

    fn figures(&self) -> StoreFigures {
        self.shared.figures()
    }
}
