//! The durable books: accounts, and one row per branch that was ever prepared or rolled back.
//!
//! A hold is part of its account's row, so that a prepare costs the same however many others are open. A row is never
//! deleted: the one of a rolled back branch is its tombstone, and refuses a prepare that comes late.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

/// The largest balance to start with and the largest amount of one branch: sums of millions of them fit in 64 bits.
pub(super) const AMOUNT_MAX: i64 = 1_000_000_000_000;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS accounts (
        name TEXT PRIMARY KEY,
        balance INTEGER NOT NULL,
        held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0 AND held <= balance)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS branches (
        gid TEXT NOT NULL,
        branch TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('prepared', 'committed', 'rolled_back')),
        account TEXT,
        amount INTEGER,
        inquiry TEXT,
        prepared_at_ms INTEGER,
        PRIMARY KEY (gid, branch)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS prepared ON branches (prepared_at_ms) WHERE state = 'prepared';";

/// What a coordinator asks a participant to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Prepare,
    Commit,
    Rollback,
    CommitOnePhase,
}

impl Verb {
    /// Reads the word of the `Unanim-Op` header and of classic paths.
    pub(super) fn from_wire(word: &str) -> Option<Self> {
        match word {
            "prepare" => Some(Self::Prepare),
            "commit" => Some(Self::Commit),
            "rollback" => Some(Self::Rollback),
            "commit_one_phase" => Some(Self::CommitOnePhase),
            _ => None,
        }
    }
}

/// The payload of a branch: add `amount` to `account`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) account: String,
    pub(super) amount: i64,
}

/// One call of a coordinator, or what an inquiry told.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) verb: Verb,
    pub(super) gid: String,
    pub(super) branch: String,
    pub(super) inquiry: Option<String>,
    /// There for `Prepare` and `CommitOnePhase`; ignored for the others.
    pub(super) work: Option<Work>,
}

/// What the books say to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Done, or done before.
    Yes,
    /// A vote against: nothing was kept.
    No(String),
    /// The call contradicts what is on record.
    Conflict(String),
}

/// A branch that waits for its decision, and whom to ask.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) gid: String,
    pub(super) branch: String,
    pub(super) inquiry: Option<String>,
}

/// What `/books` shows.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Books {
    pub(crate) name: String,
    /// Balances; what is held is still in them.
    pub(crate) accounts: BTreeMap<String, i64>,
    /// The sum of the amounts, without their signs, of all prepared branches.
    pub(crate) held: i64,
    /// By gid; `mixed` when branches of one gid ended differently.
    pub(crate) transactions: BTreeMap<String, String>,
}

/// The database of one participant.
pub(super) struct Ledger {
    connection: Connection,
}

impl Ledger {
    /// Opens or makes the database, alone: a second process that tries gets an error. Accounts that are not there yet
    /// start with their balance.
    pub(super) fn open(path: &Path, accounts: &[(String, i64)]) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.set_prepared_statement_cache_capacity(32);
        // One that was just killed frees its lock in no time; whoever holds it longer is alive.
        connection.busy_timeout(Duration::from_secs(1))?;
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             BEGIN IMMEDIATE; COMMIT;",
        )?;
        connection.execute_batch(SCHEMA)?;
        for (name, balance) in accounts {
            connection.execute(
                "INSERT INTO accounts (name, balance) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![name, balance],
            )?;
        }
        // What a crash left in the page cache may never have reached the disk: sync it before anybody is told about it.
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(Self { connection })
    }

    /// Starts a database transaction for a batch of calls.
    pub(super) fn batch(&mut self) -> rusqlite::Result<Batch<'_>> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Batch { tx })
    }

    /// Everything, for `/books`.
    pub(super) fn summary(&self, name: &str) -> rusqlite::Result<Books> {
        let mut accounts = BTreeMap::new();
        let mut statement = self.connection.prepare_cached("SELECT name, balance FROM accounts")?;
        for row in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (name, balance) = row?;
            accounts.insert(name, balance);
        }
        let mut transactions: BTreeMap<String, String> = BTreeMap::new();
        let mut statement = self.connection.prepare_cached("SELECT gid, state FROM branches")?;
        for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
            let (gid, state) = row?;
            let seen = transactions.entry(gid).or_insert_with(|| state.clone());
            if *seen != state {
                let open = *seen == "prepared" || state == "prepared";
                *seen = if open { "prepared" } else { "mixed" }.to_owned();
            }
        }
        let held = self
            .connection
            .prepare_cached("SELECT coalesce(sum(abs(amount)), 0) FROM branches WHERE state = 'prepared'")?
            .query_one([], |row| row.get(0))?;
        Ok(Books { name: name.to_owned(), accounts, held, transactions })
    }

    /// The branches that have been prepared since before `before_ms`, at most `limit`, the oldest first.
    pub(super) fn doubts(&self, before_ms: i64, limit: usize) -> rusqlite::Result<Vec<Doubt>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT gid, branch, inquiry FROM branches WHERE state = 'prepared' AND prepared_at_ms <= ?1
             ORDER BY prepared_at_ms LIMIT ?2",
        )?;
        let rows = statement.query_map(params![before_ms, limit as i64], |row| {
            Ok(Doubt { gid: row.get(0)?, branch: row.get(1)?, inquiry: row.get(2)? })
        })?;
        rows.collect()
    }
}

/// Calls that become durable together.
pub(super) struct Batch<'a> {
    tx: Transaction<'a>,
}

struct Row {
    state: State,
    work: Option<Work>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Prepared,
    Committed,
    RolledBack,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Committed => "committed",
            Self::RolledBack => "rolled_back",
        }
    }
}

impl Batch<'_> {
    /// Applies one call; `true` beside the verdict when it changed anything.
    pub(super) fn apply(&self, call: &Call) -> rusqlite::Result<(Verdict, bool)> {
        let row = self.row(call)?;
        match call.verb {
            Verb::Prepare => self.prepare(call, row),
            Verb::Commit => self.commit_branch(call, row),
            Verb::Rollback => self.rollback(call, row),
            Verb::CommitOnePhase => self.commit_one_phase(call, row),
        }
    }

    /// Makes everything applied durable.
    pub(super) fn commit(self) -> rusqlite::Result<()> {
        self.tx.commit()
    }

    fn prepare(&self, call: &Call, row: Option<Row>) -> rusqlite::Result<(Verdict, bool)> {
        let Some(work) = &call.work else { return Ok((Verdict::No("there is nothing to prepare".into()), false)) };
        match row {
            Some(Row { state: State::RolledBack, .. }) => {
                Ok((Verdict::Conflict("rolled back before: too late to prepare".into()), false))
            }
            Some(Row { work: Some(before), .. }) if before != *work => {
                Ok((Verdict::Conflict("prepared before, with another payload".into()), false))
            }
            Some(_) => Ok((Verdict::Yes, false)),
            None => {
                if let Err(refusal) = self.room(work)? {
                    return Ok((Verdict::No(refusal), false));
                }
                self.tx
                    .prepare_cached("UPDATE accounts SET held = held + ?2 WHERE name = ?1")?
                    .execute(params![work.account, hold(work)])?;
                self.insert(call, State::Prepared)?;
                Ok((Verdict::Yes, true))
            }
        }
    }

    fn commit_branch(&self, call: &Call, row: Option<Row>) -> rusqlite::Result<(Verdict, bool)> {
        match row {
            Some(Row { state: State::Committed, .. }) => Ok((Verdict::Yes, false)),
            Some(Row { state: State::Prepared, work: Some(work) }) => {
                self.tx
                    .prepare_cached("UPDATE accounts SET balance = balance + ?2, held = held - ?3 WHERE name = ?1")?
                    .execute(params![work.account, work.amount, hold(&work)])?;
                self.finish(call, State::Committed)?;
                Ok((Verdict::Yes, true))
            }
            Some(Row { state: State::RolledBack, .. }) => Ok((Verdict::Conflict("rolled back before".into()), false)),
            Some(Row { state: State::Prepared, work: None }) | None => {
                Ok((Verdict::Conflict("never prepared here".into()), false))
            }
        }
    }

    fn rollback(&self, call: &Call, row: Option<Row>) -> rusqlite::Result<(Verdict, bool)> {
        match row {
            Some(Row { state: State::RolledBack, .. }) => Ok((Verdict::Yes, false)),
            Some(Row { state: State::Committed, .. }) => Ok((Verdict::Conflict("committed before".into()), false)),
            Some(Row { state: State::Prepared, work }) => {
                if let Some(work) = work {
                    self.tx
                        .prepare_cached("UPDATE accounts SET held = held - ?2 WHERE name = ?1")?
                        .execute(params![work.account, hold(&work)])?;
                }
                self.finish(call, State::RolledBack)?;
                Ok((Verdict::Yes, true))
            }
            None => {
                self.insert(call, State::RolledBack)?;
                Ok((Verdict::Yes, true))
            }
        }
    }

    fn commit_one_phase(&self, call: &Call, row: Option<Row>) -> rusqlite::Result<(Verdict, bool)> {
        match self.prepare(call, row)? {
            (Verdict::Yes, _) => self.commit_branch(call, self.row(call)?),
            refused => Ok(refused),
        }
    }

    /// Whether the account has what a prepare would reserve; else why not.
    fn room(&self, work: &Work) -> rusqlite::Result<Result<(), String>> {
        if work.amount.unsigned_abs() > AMOUNT_MAX.unsigned_abs() {
            return Ok(Err(format!("an amount is at most {AMOUNT_MAX}")));
        }
        let free: Option<i64> = self
            .tx
            .prepare_cached("SELECT balance - held FROM accounts WHERE name = ?1")?
            .query_row([&work.account], |row| row.get(0))
            .optional()?;
        Ok(match free {
            None => Err(format!("there is no account {:?}", work.account)),
            Some(free) if free < hold(work) => Err(format!("{} has {free} free, not {}", work.account, hold(work))),
            Some(_) => Ok(()),
        })
    }

    fn row(&self, call: &Call) -> rusqlite::Result<Option<Row>> {
        self.tx
            .prepare_cached("SELECT state, account, amount FROM branches WHERE gid = ?1 AND branch = ?2")?
            .query_row(params![call.gid, call.branch], |row| {
                let state = match row.get_ref(0)?.as_str()? {
                    "prepared" => State::Prepared,
                    "committed" => State::Committed,
                    _ => State::RolledBack,
                };
                let work = match (row.get(1)?, row.get(2)?) {
                    (Some(account), Some(amount)) => Some(Work { account, amount }),
                    (_, _) => None,
                };
                Ok(Row { state, work })
            })
            .optional()
    }

    fn insert(&self, call: &Call, state: State) -> rusqlite::Result<()> {
        let work = call.work.as_ref().filter(|_| state == State::Prepared);
        self.tx
            .prepare_cached(
                "INSERT INTO branches (gid, branch, state, account, amount, inquiry, prepared_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                call.gid,
                call.branch,
                state.word(),
                work.map(|work| &work.account),
                work.map(|work| work.amount),
                call.inquiry,
                now_ms(),
            ])?;
        Ok(())
    }

    fn finish(&self, call: &Call, state: State) -> rusqlite::Result<()> {
        self.tx.prepare_cached("UPDATE branches SET state = ?3 WHERE gid = ?1 AND branch = ?2")?.execute(params![
            call.gid,
            call.branch,
            state.word()
        ])?;
        Ok(())
    }
}

/// What a prepare takes out of reach: an amount that comes in holds nothing.
fn hold(work: &Work) -> i64 {
    (-work.amount).max(0)
}

/// Milliseconds since 1970, which also survive a restart.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64)
}
