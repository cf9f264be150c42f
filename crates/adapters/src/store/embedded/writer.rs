//! The one connection that writes.
use super::Shared;
use super::insert::Insert;
use super::plant::{Bug, Plant};
use super::schema::{integer, standing_number};
use super::start::PAGE_BYTES;
use super::{purge, room};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use unanim_coordinator::{Batch, Record, Standing};
use unanim_engine::{Gid, Timestamp};
use unanim_node::ports::{Purged, SaveError};

/// The log goes into the database when it has grown by so many frames at most, and at least.
const CHECKPOINT_FRAMES_MAX: u64 = 1000;
const CHECKPOINT_FRAMES_MIN: u64 = 50;

/// Open transactions whose place need not be looked up; a look-up takes some microseconds.
const KNOWN_MAX: usize = 65_536;

const PLACE_OF: &str = "SELECT id, (SELECT standing FROM open WHERE open.id = transactions.id) FROM transactions
    WHERE gid = ?1";
const LAST_ID: &str = "SELECT max(id) FROM transactions";
const CLOSE: &str = "DELETE FROM open WHERE id = ?1";

struct Inserts {
    begin: Insert<4>,
    append: Insert<3>,
    open: Insert<2>,
    finish: Insert<2>,
    finish_resolved: Insert<2>,
}

impl Inserts {
    fn new() -> Inserts {
        Inserts {
            begin: Insert::new("INSERT INTO transactions (id, gid, change, body)"),
            append: Insert::new("INSERT INTO changes (id, seq, change)"),
            open: Insert::new("INSERT OR REPLACE INTO open (id, standing)"),
            finish: Insert::new("INSERT OR IGNORE INTO finished (at, id)"),
            finish_resolved: Insert::new("INSERT OR IGNORE INTO resolved (at, id)"),
        }
    }
}

/// Makes batches durable, on whichever thread has it.
pub(super) struct Writer {
    connection: Connection,
    inserts: Inserts,
    shared: Arc<Shared>,
    /// The last batch that was applied: it may be sent again, and is not applied again.
    applied: u64,
    /// Open transactions that this session has written lately; others are looked up.
    known: HashMap<Gid, Place>,
    /// The largest number that a transaction has had.
    last_id: i64,
    /// Frames in the log after the last commit.
    frames: Arc<AtomicU64>,
    checkpoint_frames: u64,
    checkpoint_at: u64,
    plant: Plant,
}

/// Where an open transaction is in the tables: its number, and how its standing is written.
#[derive(Clone, Copy)]
struct Place {
    id: i64,
    standing: Option<i64>,
}

impl Writer {
    pub(super) fn new(mut connection: Connection, shared: Arc<Shared>, plant: Plant) -> rusqlite::Result<Writer> {
        let frames = Arc::new(AtomicU64::new(0));
        let counted = frames.clone();
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            counted.store(pages as u64, Ordering::Relaxed);
            Ok(())
        }))?;
        let known = HashMap::new();
        // On a full disk the reserve holds what the log grows by, and what the database grows by from it.
        let checkpoint_frames = match shared.room.reserve_bytes() / 4 / u64::from(PAGE_BYTES) {
            0 => CHECKPOINT_FRAMES_MAX,
            frames => frames.clamp(CHECKPOINT_FRAMES_MIN, CHECKPOINT_FRAMES_MAX),
        };
        let last_id = connection.query_row(LAST_ID, [], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0);
        let writer = Writer {
            connection,
            inserts: Inserts::new(),
            shared,
            applied: 0,
            known,
            last_id,
            frames,
            checkpoint_frames,
            checkpoint_at: checkpoint_frames,
            plant,
        };
        writer.count_reusable();
        Ok(writer)
    }

    /// For reads on the same thread.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// All of it or nothing, durable when this returns. [`Writer::tidy`] is due afterwards.
    pub(super) fn save(&mut self, batch: &Batch) -> Result<(), SaveError> {
        self.shared.refuse_when_broken()?;
        if batch.number == self.applied {
            return Ok(());
        }
        if batch.number < self.applied {
            let why = format!("batch {} came after batch {}", batch.number, self.applied);
            return Err(self.shared.broke(why));
        }
        let began = Instant::now();
        let (places, last_id) =
            self.transaction(|connection| write(connection, &self.inserts, &self.known, self.last_id, batch))?;
        (self.applied, self.last_id) = (batch.number, last_id);
        for (Record { gid, .. }, place) in batch.records.iter().zip(places) {
            match (self.known.get_mut(gid), place.standing) {
                (Some(known), Some(_)) => *known = place,
                (None, Some(_)) => {
                    if self.known.len() >= KNOWN_MAX {
                        self.known.clear();
                    }
                    self.known.insert(gid.clone(), place);
                }
                (_, None) => drop(self.known.remove(gid)),
            }
        }
        self.shared.count(batch, began.elapsed());
        Ok(())
    }

    /// Removes at most `most` that ended before that instant, and no more than fit into a short commit.
    pub(super) fn purge(&mut self, before: Timestamp, most: usize) -> Result<Purged, SaveError> {
        self.shared.refuse_when_broken()?;
        let purged = self.transaction(|connection| purge::purge(connection, before, most))?;
        if purged.removed > 0 {
            self.count_reusable();
        }
        Ok(purged)
    }

    /// Removes what ended under a gid at that instant, and keeps what is left of it; whether there was anything.
    pub(super) fn forget(&mut self, gid: &Gid, at: Timestamp, left: Option<&Record>) -> Result<bool, SaveError> {
        self.shared.refuse_when_broken()?;
        let forgotten = self.transaction(|connection| purge::forget(connection, gid, at, left))?;
        self.count_reusable();
        Ok(forgotten)
    }

    /// Takes the log into the database when it has grown. SQLite would do it by itself, and keep its errors to itself.
    pub(super) fn tidy(&mut self) -> Result<(), SaveError> {
        let frames = self.frames.load(Ordering::Relaxed);
        if frames < self.checkpoint_at {
            // The log began anew.
            self.checkpoint_at = self.checkpoint_at.min(frames + self.checkpoint_frames);
            return Ok(());
        }
        self.checkpoint_at = frames + self.checkpoint_frames;
        self.count_reusable();
        self.checkpoint()
    }

    fn count_reusable(&self) {
        let pragma = self.connection.prepare_cached("PRAGMA freelist_count");
        // It is for the view of the room only: where it fails, the next write says more.
        if let Ok(pages) = pragma.and_then(|mut pragma| pragma.query_row([], |row| row.get::<_, u32>(0))) {
            self.shared.room.set_reusable(u64::from(pages) * u64::from(PAGE_BYTES));
        }
    }

    /// What cannot be done now is done later; only what breaks the store is an error.
    fn checkpoint(&self) -> Result<(), SaveError> {
        let sql = "PRAGMA wal_checkpoint(PASSIVE)";
        let done = self.out_of_the_reserve(|| {
            let done = self.connection.prepare_cached(sql).and_then(|mut pragma| pragma.query_row([], |_| Ok(())));
            done.map_err(|error| self.classify(error))
        });
        match done {
            Ok(()) | Err(SaveError::Full | SaveError::Unknown(_) | SaveError::Fenced) => Ok(()),
            Err(SaveError::Broken(why)) => Err(SaveError::Broken(why)),
        }
    }

    fn transaction<T>(&self, work: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T, SaveError> {
        let run = |sql| self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        let result = self.out_of_the_reserve(|| {
            let result = run("BEGIN IMMEDIATE").and_then(|_| work(&self.connection)).and_then(|done| {
                run("COMMIT")?;
                Ok(done)
            });
            if result.is_err() && !self.connection.is_autocommit() {
                run("ROLLBACK").map_err(|error| self.shared.broke(error.to_string()))?;
            }
            result.map_err(|error| self.classify(error))
        });
        if matches!(result, Err(SaveError::Full)) {
            // A log that begins anew needs no more room.
            self.checkpoint()?;
        }
        result
    }

    /// Work that found no room is done again as long as some is released for it: at once, before anybody else takes it.
    fn out_of_the_reserve<T>(&self, work: impl Fn() -> Result<T, SaveError>) -> Result<T, SaveError> {
        loop {
            let held = self.shared.room.held_bytes();
            match work() {
                Err(SaveError::Full) if self.shared.room.held_bytes() < held => {}
                result => return result,
            }
        }
    }

    /// What a failure means after the rollback: then nothing of it was applied.
    fn classify(&self, error: rusqlite::Error) -> SaveError {
        if room::is_why(&error, self.shared.room.dir()) {
            self.shared.room.found_full();
            return SaveError::Full;
        }
        match (error.sqlite_error_code(), error.sqlite_extended_error_code()) {
            (Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OutOfMemory), _) => {
                SaveError::Unknown(error.to_string())
            }
            (_, Some(rusqlite::ffi::SQLITE_IOERR_FSYNC)) if self.plant.has(Bug::FlushTriedAgain) => {
                SaveError::Unknown(error.to_string())
            }
            _ if matches!(error, rusqlite::Error::QueryReturnedNoRows) => {
                self.shared.broke("a change came for a transaction that is not stored".into())
            }
            _ => self.shared.broke(error.to_string()),
        }
    }
}

/// Where the batch's transactions are afterwards, in its order, and the last number that was given.
fn write(
    connection: &Connection,
    inserts: &Inserts,
    known: &HashMap<Gid, Place>,
    mut last_id: i64,
    batch: &Batch,
) -> rusqlite::Result<(Vec<Place>, i64)> {
    use ValueRef::{Blob, Integer, Text};
    let count = batch.records.len();
    let (mut begun, mut appended) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut open, mut finished, mut resolved) = (Vec::with_capacity(count), Vec::with_capacity(count), Vec::new());
    let mut places = Vec::with_capacity(count);
    let mut close = connection.prepare_cached(CLOSE)?;
    for record in &batch.records {
        let before = match (&record.body, known.get(&record.gid)) {
            (Some(body), _) => {
                last_id += 1;
                let gid = Text(record.gid.as_str().as_bytes());
                begun.push([Integer(last_id), gid, Blob(&record.change), Blob(body)]);
                Place { id: last_id, standing: None }
            }
            (None, Some(place)) => *place,
            (None, None) => connection
                .prepare_cached(PLACE_OF)?
                .query_row([record.gid.as_str()], |row| Ok(Place { id: row.get(0)?, standing: row.get(1)? }))?,
        };
        let (id, standing) = (before.id, standing_number(record.standing));
        if record.body.is_none() && !record.change.is_empty() {
            appended.push([Integer(id), Integer(integer(record.first_seq)), Blob(&record.change)]);
        }
        match (before.standing, standing) {
            (was, Some(number)) if was != standing => open.push([Integer(id), Integer(number)]),
            (Some(_), None) => drop(close.execute([id])?),
            (_, _) => {}
        }
        if let Standing::Finished(at) = record.standing {
            let ended = if record.resolved { &mut resolved } else { &mut finished };
            ended.push([Integer(integer(at.0)), Integer(id)]);
        }
        places.push(Place { id, standing });
    }
    inserts.begin.all(connection, &begun)?;
    inserts.append.all(connection, &appended)?;
    inserts.open.all(connection, &open)?;
    inserts.finish.all(connection, &finished)?;
    inserts.finish_resolved.all(connection, &resolved)?;
    Ok((places, last_id))
}
