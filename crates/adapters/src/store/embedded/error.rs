//! Why a store does not open, for the person who starts it.
use rusqlite::ErrorCode;
use std::io;
use std::path::PathBuf;

/// Why an embedded store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works in this folder.
    #[error("{} is in use by another process{}: stop it, or name another --data-dir", dir.display(), pid(*holder))]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// Its process id, where it could be read.
        holder: Option<u32>,
    },
    /// A newer program has written it.
    #[error(
        "the store has schema {found}, and this program knows none beyond {known}: start the newer program that wrote it"
    )]
    Newer {
        /// What it has.
        found: i32,
        /// What this program knows.
        known: i32,
    },
    /// Something else's database.
    #[error("unanim.db in this folder is the database of another program: name another --data-dir")]
    NotOurs,
    /// The file system cannot share memory, as some network file systems cannot.
    #[error("the file system of this folder supports no write-ahead log: name a --data-dir on a local disk")]
    NoLog,
    /// Not even what a start writes has room.
    #[error("the disk is full: not even a start has room to write")]
    Full,
    /// A person must look at it, or restore it.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
    /// A file or the folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Anything else that SQLite says.
    #[error("the store does not open: {0}")]
    Database(rusqlite::Error),
}

fn pid(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => OpenError::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenError::Corrupt(error.to_string()),
            _ => OpenError::Database(error),
        }
    }
}
