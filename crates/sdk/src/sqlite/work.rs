//! Work in SQLite, without a thought for repetition, order or crashes.

use rusqlite::Connection;

use crate::participant::{Call, Error, Vote};

/// What a service does in its database, three times a transaction at most. Everything here happens in one database
/// transaction with the record of the branch, which is what makes it safe: [`Branches`](super::Branches) calls `prepare`
/// once for a branch, and after a yes either `commit` or `rollback` once, across crashes and whatever comes twice, late
/// or in the wrong order. Do not begin or commit transactions in it.
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use rusqlite::{Connection, params};
/// use unanim::participant::{Call, Vote};
/// use unanim::sqlite::{Failure, Work};
///
/// /// A list of names: prepared ones are there, and not yet visible.
/// struct Guests;
///
/// impl Work for Guests {
///     fn set_up(&self, db: &Connection) -> rusqlite::Result<()> {
///         db.execute_batch("CREATE TABLE IF NOT EXISTS guests (name TEXT PRIMARY KEY, visible INTEGER)")
///     }
///
///     fn prepare(&self, db: &Connection, call: &Call) -> Result<Vote, Failure> {
///         let name: String = call.json()?;
///         let added = db.execute("INSERT OR IGNORE INTO guests VALUES (?1, 0)", [&name])?;
///         Ok(if added == 1 { Vote::Yes } else { Vote::No(format!("{name} is on the list")) })
///     }
///
///     fn commit(&self, db: &Connection, call: &Call) -> Result<(), Failure> {
///         db.execute("UPDATE guests SET visible = 1 WHERE name = ?1", params![call.json::<String>()?])?;
///         Ok(())
///     }
///
///     fn rollback(&self, db: &Connection, call: &Call) -> Result<(), Failure> {
///         db.execute("DELETE FROM guests WHERE name = ?1", params![call.json::<String>()?])?;
///         Ok(())
///     }
/// }
/// # }
/// ```
pub trait Work: Send + 'static {
    /// Makes the tables, if they are not there; at every start.
    fn set_up(&self, db: &Connection) -> rusqlite::Result<()>;

    /// Reserves what the payload asks for. After anything but [`Vote::Yes`] the database is as it was before.
    fn prepare(&self, db: &Connection, call: &Call) -> Result<Vote, Failure>;

    /// Makes it visible. The payload is the one that was prepared.
    fn commit(&self, db: &Connection, call: &Call) -> Result<(), Failure>;

    /// Gives it back. The payload is the one that was prepared.
    fn rollback(&self, db: &Connection, call: &Call) -> Result<(), Failure>;
}

/// Why work could not be done. Whatever it is, nothing of this call is kept, and others go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// This is to be answered.
    #[error(transparent)]
    Answer(#[from] Error),
    /// A statement failed.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}

impl Failure {
    pub(super) fn into_answer(self) -> Error {
        match self {
            Failure::Answer(error) => error,
            Failure::Sql(error) => Error::Failed(error.to_string()),
        }
    }
}
