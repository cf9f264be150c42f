//! Reading: one transaction, or the open ones in slices. Nothing here holds a read open when it returns.
use super::schema::{BODY_SEQ, standing_number};
use rusqlite::{Connection, ErrorCode};
use unanim_coordinator::{Standing, Stored};
use unanim_engine::Gid;
use unanim_node::ports::{LoadCursor, ReadError, Slice};

/// A slice ends when it holds so many bytes of records, however few they are.
const SLICE_BYTES_MAX: usize = 8 << 20;
/// Rows that one slice looks at for each that it may return, so that a standing that few have costs no long wait.
const LOOKED_AT_PER_FOUND: usize = 16;
const LOOKED_AT_MIN: usize = 1024;

/// What is stored under a gid, and how many bytes that took.
pub(super) fn find(connection: &Connection, gid: &Gid) -> Result<Option<(Stored, usize)>, ReadError> {
    let sql = "SELECT seq, body, change FROM records WHERE gid = ?1 ORDER BY seq";
    let mut select = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = select.query([gid.as_str()]).map_err(failed)?;
    let mut body: Option<Vec<u8>> = None;
    let mut changes: Vec<Vec<u8>> = Vec::new();
    let mut is_there = false;
    while let Some(row) = rows.next().map_err(failed)? {
        is_there = true;
        let corrupt = |error: rusqlite::Error| ReadError::Corrupt(format!("the record of {gid}: {error}"));
        if row.get::<_, i64>(0).map_err(corrupt)? == BODY_SEQ {
            body = row.get(1).map_err(corrupt)?;
        }
        let change: Vec<u8> = row.get(2).map_err(corrupt)?;
        if !change.is_empty() {
            changes.push(change);
        }
    }
    let corrupt = |why: String| Err(ReadError::Corrupt(format!("the record of {gid}: {why}")));
    let Some(body) = body else {
        return if is_there { corrupt("its body is missing".into()) } else { Ok(None) };
    };
    let bytes = body.len() + changes.iter().map(Vec::len).sum::<usize>();
    match Stored::decode(&body, changes.iter().map(Vec::as_slice)) {
        Ok(stored) if stored.body.gid == *gid => Ok(Some((stored, bytes))),
        Ok(stored) => corrupt(format!("it is the one of {}", stored.body.gid)),
        Err(error) => corrupt(error.to_string()),
    }
}

/// At most `most` open transactions from the cursor on, all seen at one instant.
pub(super) fn load(connection: &Connection, cursor: &LoadCursor, most: usize) -> Result<Slice, ReadError> {
    let snapshot = connection.unchecked_transaction().map_err(failed)?;
    let (gids, mut end) = scan(&snapshot, cursor, most)?;
    let mut stored = Vec::with_capacity(gids.len());
    let mut bytes = 0;
    for gid in gids {
        let Some((found, found_bytes)) = find(&snapshot, &gid)? else {
            return Err(ReadError::Corrupt(format!("{gid} is open and has no record")));
        };
        stored.push(found);
        bytes += found_bytes;
        if bytes >= SLICE_BYTES_MAX {
            end = Some(gid);
            break;
        }
    }
    snapshot.finish().map_err(failed)?;
    let next = match end {
        Some(gid) => Some(LoadCursor { standing: cursor.standing, after: Some(gid) }),
        None => following(cursor.standing).map(|standing| LoadCursor { standing, after: None }),
    };
    Ok(Slice { stored, next })
}

/// The gids of a standing after the cursor, and where the next slice begins unless this was the standing's last.
fn scan(connection: &Connection, cursor: &LoadCursor, most: usize) -> Result<(Vec<Gid>, Option<Gid>), ReadError> {
    let wanted =
        standing_number(cursor.standing).ok_or_else(|| ReadError::Corrupt("only what is open is loaded".into()))?;
    let after = cursor.after.as_ref().map_or("", Gid::as_str);
    let sql = "SELECT gid, standing FROM open WHERE gid > ?1 ORDER BY gid";
    let mut select = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = select.query([after]).map_err(failed)?;
    let mut gids = Vec::new();
    let looked_at_max = most.saturating_mul(LOOKED_AT_PER_FOUND).max(LOOKED_AT_MIN);
    for looked_at in 1.. {
        let Some(row) = rows.next().map_err(failed)? else { break };
        let text: String = row.get(0).map_err(failed)?;
        let gid = Gid::new(&text).map_err(|error| ReadError::Corrupt(format!("open gid {text:?}: {error}")))?;
        if row.get::<_, i64>(1).map_err(failed)? == wanted {
            gids.push(gid.clone());
        }
        if gids.len() >= most || looked_at >= looked_at_max {
            return Ok((gids, Some(gid)));
        }
    }
    Ok((gids, None))
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
