//! Reading: one transaction, or the open ones in slices. Nothing here holds a read open when it returns; while it runs,
//! the statement that is stepped through keeps all that is read beside it at one instant.
use super::schema::standing_number;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};
use std::fmt::Display;
use std::time::{Duration, Instant};
use unanim_coordinator::{Record, Standing, Stored};
use unanim_engine::{Gid, Timestamp};
use unanim_node::ports::{EndedCursor, Excerpt, LoadCursor, ReadError};

/// A slice ends when it holds so many bytes of records, however few they are.
const SLICE_BYTES_MAX: usize = 8 << 20;
/// And when it took so long: the thread has other work, and the log cannot begin anew while it is read.
const SLICE_FOR_MAX: Duration = Duration::from_millis(20);
/// Rows that one slice looks at for each that it may return, so that a standing that few have costs no long wait.
const LOOKED_AT_PER_FOUND: usize = 16;
const LOOKED_AT_MIN: usize = 1024;

const BY_GID: &str = "SELECT id, gid, change, body FROM transactions WHERE gid = ?1";
const BY_ID: &str = "SELECT id, gid, change, body FROM transactions WHERE id = ?1";
const CHANGES: &str = "SELECT change FROM changes WHERE id = ?1 ORDER BY seq";
const ID_OF: &str = "SELECT id FROM transactions WHERE gid = ?1";
const OPEN_AFTER: &str = "SELECT id, standing FROM open WHERE id > ?1 ORDER BY id";

/// Changes that may hold this event or a later one: the last one that begins at it or before, and all that follow. The
/// first one is in the transaction's own row, and begins at 2.
const CHANGES_FROM: &str = "SELECT seq, change FROM changes WHERE id = ?1 AND seq >=
    coalesce((SELECT max(seq) FROM changes WHERE id = ?1 AND seq <= ?2), 0) ORDER BY seq";
const FIRST_CHANGE: &str = "SELECT id, change, EXISTS (SELECT 1 FROM open WHERE open.id = transactions.id),
    (SELECT min(seq) FROM changes WHERE changes.id = transactions.id) FROM transactions WHERE gid = ?1";
const FIRST_SEQ: u64 = 2;

/// As pairs, so that the key of each table is one range; the two are merged as they are read.
const ENDED_BEFORE: &str = "SELECT at, id FROM finished WHERE (at, id) < (?1, ?2)
    UNION ALL SELECT at, id FROM resolved WHERE (at, id) < (?1, ?2) ORDER BY at DESC, id DESC";

/// Some of the events under a gid.
pub(super) fn history(
    connection: &Connection,
    gid: &Gid,
    first_seq: u64,
    most: usize,
) -> Result<Option<Excerpt>, ReadError> {
    let first_seq = first_seq.max(FIRST_SEQ);
    let from = i64::try_from(first_seq).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(FIRST_CHANGE).map_err(failed)?;
    let mut rows = select.query([gid.as_str()]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
    let (id, open): (i64, bool) = (row.get(0).map_err(failed)?, row.get(2).map_err(failed)?);
    let second: Option<i64> = row.get(3).map_err(failed)?;
    let mut excerpt = Excerpt { first_seq, events: Vec::new(), more: false, finished: !open };
    if second.is_none_or(|second| from < second) {
        let change: Vec<u8> = row.get(1).map_err(failed)?;
        take_events(gid, &mut excerpt, FIRST_SEQ, &change, most)?;
    }
    let mut select = connection.prepare_cached(CHANGES_FROM).map_err(failed)?;
    let mut changes = select.query([id, from]).map_err(failed)?;
    while !excerpt.more
        && let Some(change) = changes.next().map_err(failed)?
    {
        let seq: i64 = change.get(0).map_err(failed)?;
        take_events(gid, &mut excerpt, seq as u64, &change.get::<_, Vec<u8>>(1).map_err(failed)?, most)?;
    }
    Ok(Some(excerpt))
}

/// Of a change that begins at `seq`, what the excerpt still takes.
fn take_events(gid: &Gid, excerpt: &mut Excerpt, seq: u64, change: &[u8], most: usize) -> Result<(), ReadError> {
    if change.is_empty() {
        return Ok(());
    }
    let corrupt = |error| ReadError::Corrupt(format!("the record of {gid}: {error}"));
    let events = Record::decode_change(change).map_err(corrupt)?;
    let before = excerpt.first_seq.saturating_sub(seq) as usize;
    for event in events.into_iter().skip(before) {
        if excerpt.events.len() == most {
            excerpt.more = true;
            return Ok(());
        }
        excerpt.events.push(event);
    }
    Ok(())
}

/// What is stored under a gid.
pub(super) fn find(connection: &Connection, gid: &Gid) -> Result<Option<Raw>, ReadError> {
    let mut select = connection.prepare_cached(BY_GID).map_err(failed)?;
    let mut rows = select.query([gid.as_str()]).map_err(failed)?;
    match rows.next().map_err(failed)? {
        Some(row) => Raw::read(connection, row).map(Some),
        None => Ok(None),
    }
}

/// At most `most` open transactions from the cursor on, in the order in which they began.
pub(super) fn load(connection: &Connection, cursor: &LoadCursor, most: usize) -> Result<RawSlice, ReadError> {
    let wanted =
        standing_number(cursor.standing).ok_or_else(|| ReadError::Unavailable("only what is open is loaded".into()))?;
    let after = cursor.after.map_or(i64::MIN, |after| i64::try_from(after).unwrap_or(i64::MAX));
    let (began, looked_at_max) = (Instant::now(), most.saturating_mul(LOOKED_AT_PER_FOUND).max(LOOKED_AT_MIN));

    let mut select = connection.prepare_cached(OPEN_AFTER).map_err(failed)?;
    let mut rows = select.query([after]).map_err(failed)?;
    let (mut stored, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
    while let Some(row) = rows.next().map_err(failed)? {
        let (id, standing) = (row.get(0).map_err(failed)?, row.get::<_, i64>(1).map_err(failed)?);
        looked_at += 1;
        if standing == wanted {
            let one = by_id(connection, id)?;
            bytes += one.bytes();
            stored.push(one);
        }
        let is_long = bytes >= SLICE_BYTES_MAX || began.elapsed() >= SLICE_FOR_MAX;
        if stored.len() >= most || looked_at >= looked_at_max || is_long {
            let after = Some(id as u64);
            return Ok((stored, Some(LoadCursor { standing: cursor.standing, after })));
        }
    }
    let next = following(cursor.standing).map(|standing| LoadCursor { standing, after: None });
    Ok((stored, next))
}

/// At most `most` that have ended, those that ended last first.
///
/// A cursor whose gid is no longer stored goes on before its instant: what ended then is being purged.
pub(super) fn ended(connection: &Connection, cursor: &EndedCursor, most: usize) -> Result<RawEnded, ReadError> {
    let at = i64::try_from(cursor.at.0).unwrap_or(i64::MAX);
    let before = match &cursor.after {
        Some(gid) => id_of(connection, gid)?.unwrap_or(i64::MIN),
        None => i64::MAX,
    };
    let mut select = connection.prepare_cached(ENDED_BEFORE).map_err(failed)?;
    let mut rows = select.query([at, before]).map_err(failed)?;
    let (mut stored, mut bytes, mut next) = (Vec::new(), 0, None);
    let began = Instant::now();
    while let Some(row) = rows.next().map_err(failed)? {
        let is_long = bytes >= SLICE_BYTES_MAX || began.elapsed() >= SLICE_FOR_MAX;
        if stored.len() >= most || (is_long && !stored.is_empty()) {
            return Ok((stored, next));
        }
        let at: i64 = row.get(0).map_err(failed)?;
        let one = by_id(connection, row.get(1).map_err(failed)?)?;
        let gid = Gid::new(&one.gid).map_err(|why| ReadError::Corrupt(format!("a gid {:?}: {why}", one.gid)))?;
        next = Some(EndedCursor { at: Timestamp(at as u64), after: Some(gid) });
        bytes += one.bytes();
        stored.push(one);
    }
    Ok((stored, None))
}

fn id_of(connection: &Connection, gid: &Gid) -> Result<Option<i64>, ReadError> {
    let mut select = connection.prepare_cached(ID_OF).map_err(failed)?;
    select.query_row([gid.as_str()], |row| row.get(0)).optional().map_err(failed)
}

fn by_id(connection: &Connection, id: i64) -> Result<Raw, ReadError> {
    let mut select = connection.prepare_cached(BY_ID).map_err(failed)?;
    let mut rows = select.query([id]).map_err(failed)?;
    match rows.next().map_err(failed)? {
        Some(row) => Raw::read(connection, row),
        None => Err(ReadError::Corrupt(format!("transaction number {id} is open and has no record"))),
    }
}

/// A transaction's row and its later changes as they are stored: read at one instant, and decoded when the read is over.
pub(super) struct Raw {
    gid: String,
    body: Vec<u8>,
    history: Vec<Vec<u8>>,
}

pub(super) type RawSlice = (Vec<Raw>, Option<LoadCursor>);
pub(super) type RawEnded = (Vec<Raw>, Option<EndedCursor>);

impl Raw {
    fn read(connection: &Connection, row: &Row<'_>) -> Result<Raw, ReadError> {
        let gid: String = row.get(1).map_err(failed)?;
        let corrupt = |error: rusqlite::Error| ReadError::Corrupt(format!("the record of {gid}: {error}"));
        let mut select = connection.prepare_cached(CHANGES).map_err(failed)?;
        let mut changes = select.query([row.get::<_, i64>(0).map_err(failed)?]).map_err(failed)?;
        let mut history: Vec<Vec<u8>> = vec![row.get(2).map_err(corrupt)?];
        while let Some(change) = changes.next().map_err(failed)? {
            history.push(change.get(0).map_err(corrupt)?);
        }
        let body = row.get(3).map_err(corrupt)?;
        Ok(Raw { gid, body, history })
    }

    fn bytes(&self) -> usize {
        self.body.len() + self.history.iter().map(Vec::len).sum::<usize>()
    }

    pub(super) fn decode(self) -> Result<Stored, ReadError> {
        let corrupt = |why: &dyn Display| ReadError::Corrupt(format!("the record of {}: {why}", self.gid));
        let written = self.history.iter().filter(|change| !change.is_empty());
        match Stored::decode(&self.body, written.map(Vec::as_slice)) {
            Ok(stored) if stored.body.gid.as_str() == self.gid => Ok(stored),
            Ok(stored) => Err(corrupt(&format!("it is the one of {}", stored.body.gid))),
            Err(error) => Err(corrupt(&error)),
        }
    }
}

fn following(standing: Standing) -> Option<Standing> {
    let place = Standing::OPEN.iter().position(|open| *open == standing)?;
    Standing::OPEN.get(place + 1).copied()
}

fn failed(error: rusqlite::Error) -> ReadError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => ReadError::Corrupt(error.to_string()),
        Some(_) => ReadError::Unavailable(error.to_string()),
    }
}
