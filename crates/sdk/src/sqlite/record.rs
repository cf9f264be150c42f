//! What is on record about each branch, in the same database as the work: a row for each that was ever prepared, refused
//! or rolled back. The row of one that was refused or rolled back is its tombstone, and refuses a prepare that comes late.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::work::{Failure, Work};
use crate::participant::{Call, Error, InDoubt, Mark, Op, Vote};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS unanim_branches (
        gid TEXT NOT NULL,
        branch TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('prepared', 'committed', 'rolled_back')),
        payload BLOB,
        inquiry TEXT,
        store TEXT,
        fence INTEGER,
        attempt INTEGER,
        changed_at_ms INTEGER NOT NULL,
        PRIMARY KEY (gid, branch)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS unanim_prepared ON unanim_branches (changed_at_ms) WHERE state = 'prepared';";

pub(super) fn set_up(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(SCHEMA)
}

/// An answer, and whether anything changed for it.
pub(super) type Applied = (Result<Vote, Error>, bool);

struct Record {
    state: State,
    payload: Option<Bytes>,
    mark: Option<Mark>,
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

/// The open database transaction of a batch, and whose work it is.
pub(super) struct Batch<'a, W> {
    pub(super) db: &'a Connection,
    pub(super) work: &'a W,
}

impl<W: Work> Batch<'_, W> {
    /// Applies one call. An error ends the batch, and the store with it.
    pub(super) fn apply(&self, call: &Call) -> rusqlite::Result<Applied> {
        let record = self.record(call)?;
        if let Some(Record { state, mark: Some(seen), .. }) = &record
            && let Some(mark) = &call.mark
        {
            // What is rolled back already is so for everyone.
            if mark.store != seen.store && (call.op, *state) != (Op::Rollback, State::RolledBack) {
                return Ok((Err(Error::OtherCoordinator), false));
            }
            if mark.is_older_than(seen) {
                return Ok((Err(Error::Stale), false));
            }
        }
        match call.op {
            Op::Prepare => self.prepare(call, record),
            Op::Commit => self.commit(call, record),
            Op::Rollback => self.rollback(call, record),
            Op::CommitOnePhase => match self.prepare(call, record)? {
                (Ok(Vote::Yes), _) => match self.commit(call, self.record(call)?)? {
                    (Err(no), _) if no.refuses() => self.give_back(call, no),
                    other => Ok(other),
                },
                (Ok(Vote::ReadOnly), _) => Ok((Ok(Vote::Yes), false)),
                other => Ok(other),
            },
        }
    }

    /// The work prepared, and refused to commit at once. That is the decision, and no rollback follows.
    fn give_back(&self, call: &Call, no: Error) -> rusqlite::Result<Applied> {
        Ok(match self.rollback(call, self.record(call)?)? {
            (Ok(_), changed) => (Err(no), changed),
            // It is still held: then it may yet be asked again.
            (Err(error), changed) => {
                (Err(Error::Failed(format!("refused ({no}), and not given back: {error}"))), changed)
            }
        })
    }

    fn prepare(&self, call: &Call, record: Option<Record>) -> rusqlite::Result<Applied> {
        let told = match record {
            Some(Record { state: State::RolledBack, .. }) => {
                Err(Error::Conflict("refused or rolled back before: too late to prepare".into()))
            }
            Some(record) if record.payload.as_ref() != Some(&call.payload) => {
                Err(Error::Conflict("prepared before, with another payload".into()))
            }
            Some(_) => Ok(Vote::Yes),
            // It waited too long in line. A single call is its own decision, and knows no deadline.
            None if call.op == Op::Prepare && call.is_late() => {
                self.insert(call, State::RolledBack)?;
                return Ok((Ok(Vote::No("the transaction's deadline has passed".into())), true));
            }
            None => {
                let vote = self.guarded(|| self.work.prepare(self.db, call), |vote| *vote == Vote::Yes)?;
                let state = match &vote {
                    Ok(Vote::Yes) => Some(State::Prepared),
                    // It may be the end: an earlier call that comes late must not find everything changed.
                    Ok(Vote::No(_)) => Some(State::RolledBack),
                    Err(error) if error.refuses() => Some(State::RolledBack),
                    Ok(Vote::ReadOnly | Vote::Ongoing) | Err(_) => None,
                };
                if let Some(state) = state {
                    self.insert(call, state)?;
                }
                return Ok((vote, state.is_some()));
            }
        };
        Ok((told, false))
    }

    fn commit(&self, call: &Call, record: Option<Record>) -> rusqlite::Result<Applied> {
        match record {
            Some(Record { state: State::Committed, .. }) => Ok((Ok(Vote::Yes), false)),
            Some(Record { state: State::RolledBack, .. }) => {
                Ok((Err(Error::Conflict("rolled back before".into())), false))
            }
            None => Ok((Err(Error::Conflict("never prepared here".into())), false)),
            Some(Record { state: State::Prepared, payload, .. }) => {
                let prepared = as_prepared(call, payload);
                let done = self.guarded(|| self.work.commit(self.db, &prepared), |()| true)?;
                self.finish(call, State::Committed, done)
            }
        }
    }

    fn rollback(&self, call: &Call, record: Option<Record>) -> rusqlite::Result<Applied> {
        match record {
            Some(Record { state: State::RolledBack, .. }) => Ok((Ok(Vote::Yes), false)),
            Some(Record { state: State::Committed, .. }) => {
                Ok((Err(Error::Conflict("committed before".into())), false))
            }
            Some(Record { state: State::Prepared, payload, .. }) => {
                let prepared = as_prepared(call, payload);
                let done = self.guarded(|| self.work.rollback(self.db, &prepared), |()| true)?;
                self.finish(call, State::RolledBack, done)
            }
            None => {
                self.insert(call, State::RolledBack)?;
                Ok((Ok(Vote::Yes), true))
            }
        }
    }

    /// Runs work so that it leaves nothing behind unless it is to be kept. What it says about this call stays with this
    /// call; an error here means that the batch is lost.
    fn guarded<T>(
        &self,
        work: impl FnOnce() -> Result<T, Failure>,
        keep: impl FnOnce(&T) -> bool,
    ) -> rusqlite::Result<Result<T, Error>> {
        self.db.prepare_cached("SAVEPOINT unanim_work")?.execute([])?;
        // Whatever a panic leaves half done in the database is rolled back below.
        let done = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(Failure::Answer(Error::Failed("the work panicked".into()))));
        if !matches!(&done, Ok(done) if keep(done)) {
            // On a disk that fails, SQLite has rolled everything back by itself: then this is an error.
            self.db.prepare_cached("ROLLBACK TO unanim_work")?.execute([])?;
        }
        self.db.prepare_cached("RELEASE unanim_work")?.execute([])?;
        Ok(done.map_err(Failure::into_answer))
    }

    fn record(&self, call: &Call) -> rusqlite::Result<Option<Record>> {
        self.db
            .prepare_cached(
                "SELECT state, payload, store, fence, attempt FROM unanim_branches WHERE gid = ?1 AND branch = ?2",
            )?
            .query_row(params![call.gid, call.branch], read)
            .optional()
    }

    fn insert(&self, call: &Call, state: State) -> rusqlite::Result<()> {
        let payload = (state == State::Prepared).then_some(&call.payload[..]);
        let mark = call.mark.as_ref();
        self.db
            .prepare_cached(
                "INSERT INTO unanim_branches (gid, branch, state, payload, inquiry, store, fence, attempt, changed_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                call.gid,
                call.branch,
                state.word(),
                payload,
                call.inquiry,
                mark.map(|mark| &mark.store),
                mark.map(|mark| number(mark.fence)),
                mark.map(|mark| number(mark.attempt)),
                now_ms(),
            ])?;
        Ok(())
    }

    /// An inquiry's word has no mark: the one of the call before it stays.
    fn finish(&self, call: &Call, state: State, done: Result<(), Error>) -> rusqlite::Result<Applied> {
        if let Err(error) = done {
            return Ok((Err(error), false));
        }
        let mark = call.mark.as_ref();
        self.db
            .prepare_cached(
                "UPDATE unanim_branches SET state = ?3, store = coalesce(?4, store), fence = coalesce(?5, fence),
                 attempt = coalesce(?6, attempt), changed_at_ms = ?7 WHERE gid = ?1 AND branch = ?2",
            )?
            .execute(params![
                call.gid,
                call.branch,
                state.word(),
                mark.map(|mark| &mark.store),
                mark.map(|mark| number(mark.fence)),
                mark.map(|mark| number(mark.attempt)),
                now_ms(),
            ])?;
        Ok((Ok(Vote::Yes), true))
    }
}

/// The call, with what it is about: the payload that was prepared, whatever came with this one.
fn as_prepared(call: &Call, payload: Option<Bytes>) -> Call {
    Call { payload: payload.unwrap_or_default(), ..call.clone() }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Record> {
    let state = match row.get_ref(0)?.as_str()? {
        "prepared" => State::Prepared,
        "committed" => State::Committed,
        _ => State::RolledBack,
    };
    let payload = row.get::<_, Option<Vec<u8>>>(1)?.map(Bytes::from);
    let number = |at| row.get::<_, Option<i64>>(at).map(|number| number.and_then(|number| u64::try_from(number).ok()));
    let mark = match (row.get(2)?, number(3)?, number(4)?) {
        (Some(store), Some(fence), Some(attempt)) => Some(Mark { store, fence, attempt }),
        (_, _, _) => None,
    };
    Ok(Record { state, payload, mark })
}

/// The branches that have been prepared since before `before_ms`, at most `limit`, the oldest first.
pub(super) fn in_doubt(db: &Connection, before_ms: i64, limit: usize) -> rusqlite::Result<Vec<InDoubt>> {
    let mut statement = db.prepare_cached(
        "SELECT gid, branch, inquiry FROM unanim_branches WHERE state = 'prepared' AND changed_at_ms <= ?1
         ORDER BY changed_at_ms LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![before_ms, limit], |row| {
        Ok(InDoubt { gid: row.get(0)?, branch: row.get(1)?, inquiry: row.get(2)? })
    })?;
    rows.collect()
}

/// How each transaction stands here, by gid: `prepared`, `committed`, `rolled_back`; `mixed` when branches of one gid
/// ended differently.
pub fn states(db: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut states: BTreeMap<String, String> = BTreeMap::new();
    let mut statement = db.prepare_cached("SELECT gid, state FROM unanim_branches")?;
    for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
        let (gid, state) = row?;
        let seen = states.entry(gid).or_insert_with(|| state.clone());
        if *seen != state {
            let open = *seen == "prepared" || state == "prepared";
            *seen = if open { "prepared" } else { "mixed" }.to_owned();
        }
    }
    Ok(states)
}

/// Removes at most `limit` rows of branches that ended before then, tombstones too; how many.
pub(super) fn forget(db: &Connection, before_ms: i64, limit: usize) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM unanim_branches WHERE (gid, branch) IN (SELECT gid, branch FROM unanim_branches
         WHERE state <> 'prepared' AND changed_at_ms <= ?1 LIMIT ?2)",
    )?
    .execute(params![before_ms, i64::try_from(limit).unwrap_or(i64::MAX)])
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970, which also survive a restart.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64)
}
