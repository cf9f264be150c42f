//! A durable resource manager for work in SQLite: you write the [`Work`], it keeps a participant's duties.

mod accounts;
mod committer;
mod record;
mod work;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use self::committer::{Command, Committer, OnBroken, OnDurable};
use self::record::now_ms;
use crate::participant::{Ack, Call, Error, InDoubt, Op, ResourceManager, Vote};

pub use self::accounts::{AMOUNT_MAX, Accounts, Balances, Transfer};
pub use self::record::states;
pub use self::work::{Failure, Work};
/// The version of it that is built in here.
pub use rusqlite;

const QUEUE_MAX: usize = 4096;
/// Rows that are forgotten at once.
const FORGET_MAX: usize = 1000;

/// The branches of a participant and its work, in one database file that one process uses at a time. Every answer is
/// durable before it is given (write-ahead log, `synchronous = FULL`); calls that wait share a flush. Clones are the same.
///
/// After an error of the disk everything is refused (503), since nobody knows what is durable: the process should end and
/// start again.
#[derive(Clone)]
pub struct Branches {
    commands: mpsc::Sender<Command>,
}

/// What a participant may be told about its database.
#[derive(Default)]
pub struct Options {
    on_durable: Option<OnDurable>,
    on_broken: Option<OnBroken>,
}

impl Options {
    /// Is called with each operation that changed something, when that is durable and before its answer leaves: the
    /// moment at which a test lets the process die.
    #[must_use]
    pub fn on_durable(mut self, told: impl FnMut(Op) + Send + 'static) -> Self {
        self.on_durable = Some(Box::new(told));
        self
    }

    /// Is called when the database cannot be written any more.
    #[must_use]
    pub fn on_broken(mut self, told: impl FnOnce(&rusqlite::Error) + Send + 'static) -> Self {
        self.on_broken = Some(Box::new(told));
        self
    }

    /// As [`Branches::open`].
    pub fn open<W: Work>(self, path: &Path, work: W) -> rusqlite::Result<Branches> {
        let db = opened(path, &work)?;
        let (commands, receiver) = mpsc::channel(QUEUE_MAX);
        let committer = Committer { db, work, on_durable: self.on_durable, on_broken: self.on_broken };
        let thread = std::thread::Builder::new().name("unanim-branches".into());
        let started = thread.spawn(move || committer.run(receiver));
        started.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        Ok(Branches { commands })
    }
}

/// Alone: a second process that tries gets an error.
fn opened(path: &Path, work: &impl Work) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.set_prepared_statement_cache_capacity(64);
    // One that was just killed frees its lock in no time; whoever holds it longer is alive.
    db.busy_timeout(Duration::from_secs(1))?;
    db.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         BEGIN IMMEDIATE; COMMIT;",
    )?;
    record::set_up(&db)?;
    work.set_up(&db)?;
    // What a crash left in the page cache may never have reached the disk: sync it before anybody is told about it.
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(db)
}

impl Branches {
    /// Opens the database, or makes it.
    ///
    /// ```
    /// use unanim::participant::{Ack, Call, Op, ResourceManager, Vote};
    /// use unanim::sqlite::{Accounts, Branches};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?; let path = folder.path().join("stock.db");
    /// let stock = Branches::open(&path, Accounts::new([("widgets", 100)]))?;
    /// let call = Call::new(Op::Prepare, "order-17", "stock").with_payload(r#"{"account": "widgets", "amount": -2}"#);
    /// assert_eq!(stock.prepare(&call).await?, Vote::Yes);
    /// assert_eq!(stock.rollback(&call).await?, Ack::Done);
    /// // It comes again, out of a slow network: nothing is held for it.
    /// assert!(stock.prepare(&call).await.is_err());
    /// # Ok(()) }
    /// ```
    pub fn open<W: Work>(path: &Path, work: W) -> rusqlite::Result<Self> {
        Options::default().open(path, work)
    }

    /// With a hook or two.
    pub fn options() -> Options {
        Options::default()
    }

    /// Reads the database; everything that is seen is durable when this returns. An error in it breaks nothing.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let read = self.aside(move |db| Ok(read(db).map_err(|error| Error::Failed(error.to_string()))));
        read.await?
    }

    /// Forgets branches that ended longer ago than `age`, tombstones too. Keep them for longer than any call may be late:
    /// longer than the coordinator keeps finished transactions, and than any backup of it that might be restored.
    pub async fn forget(&self, age: Duration) -> Result<usize, Error> {
        let (before_ms, mut forgotten) = (before(age), 0);
        loop {
            let some = self.aside(move |db| record::forget(db, before_ms, FORGET_MAX)).await?;
            forgotten += some;
            if some < FORGET_MAX {
                return Ok(forgotten);
            }
        }
    }

    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (told, answer) = oneshot::channel();
        let aside = Command::Aside(Box::new(move |db| {
            let value = work(db)?;
            Ok(Box::new(move || drop(told.send(value))))
        }));
        self.commands.send(aside).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    async fn call(&self, call: &Call, op: Op) -> Result<Vote, Error> {
        let (told, answer) = oneshot::channel();
        let call = Call { op, ..call.clone() };
        self.commands.send(Command::Call(call, told)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl ResourceManager for Branches {
    async fn prepare(&self, call: &Call) -> Result<Vote, Error> {
        self.call(call, Op::Prepare).await
    }

    async fn commit(&self, call: &Call) -> Result<Ack, Error> {
        self.call(call, Op::Commit).await.map(|_| Ack::Done)
    }

    async fn rollback(&self, call: &Call) -> Result<Ack, Error> {
        self.call(call, Op::Rollback).await.map(|_| Ack::Done)
    }

    async fn commit_one_phase(&self, call: &Call) -> Result<Vote, Error> {
        self.call(call, Op::CommitOnePhase).await
    }

    async fn in_doubt(&self, age: Duration, limit: usize) -> Result<Vec<InDoubt>, Error> {
        let before_ms = before(age);
        self.aside(move |db| record::in_doubt(db, before_ms, limit)).await
    }
}

impl fmt::Debug for Branches {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Branches")
    }
}

fn before(age: Duration) -> i64 {
    now_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

fn gone() -> Error {
    Error::unavailable("the participant's database is closed")
}
