//! Removing what has ended, in commits that are short however large it is.
use super::schema::integer;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::{Duration, Instant};
use unanim_coordinator::Record;
use unanim_engine::{Gid, Timestamp};
use unanim_node::ports::Purged;

/// Changes that one commit removes at most.
const CHANGES_MAX: usize = 20_000;
/// And how long it takes for it at most; what a commit flushes comes on top.
const FOR_MAX: Duration = Duration::from_millis(15);

const OLDEST: &str = "SELECT at, id FROM finished ORDER BY at, id LIMIT 1";
/// The first change that stays when so many go.
const CHANGE_AFTER: &str = "SELECT seq FROM changes WHERE id = ?1 ORDER BY seq LIMIT 1 OFFSET ?2";
const FORGET_CHANGES: &str = "DELETE FROM changes WHERE id = ?1";
const FORGET_CHANGES_BEFORE: &str = "DELETE FROM changes WHERE id = ?1 AND seq < ?2";
const FORGET_TRANSACTION: &str = "DELETE FROM transactions WHERE id = ?1";
const ID_OF: &str = "SELECT id FROM transactions WHERE gid = ?1";
const REPLACE: &str = "UPDATE transactions SET change = ?2, body = ?3 WHERE id = ?1";
const FORGET_RESOLVED: &str = "DELETE FROM resolved WHERE at = ?1 AND id = ?2";
const FORGET_FINISHED: &str = "DELETE FROM finished WHERE at = ?1 AND id = ?2";
/// A gid has no control characters: under this one nobody finds what is left, its own gid may begin again, and its number
/// is not given to another.
const SET_ASIDE: &str = "UPDATE transactions SET gid = char(1) || id, change = x'', body = x'' WHERE id = ?1";
const ASIDE: &str = "SELECT id FROM transactions WHERE gid >= char(1) AND gid < char(2) LIMIT 1";

/// Removes at most `most` that ended before that instant, those that ended first before others.
pub(super) fn purge(connection: &Connection, before: Timestamp, most: usize) -> rusqlite::Result<Purged> {
    let (began, mut changes) = (Instant::now(), CHANGES_MAX);
    let mut removed = 0;
    let mut aside = aside(connection)?;
    while let Some(id) = aside {
        if !forget_changes(connection, id, &mut changes)? {
            break;
        }
        connection.prepare_cached(FORGET_TRANSACTION)?.execute([id])?;
        aside = self::aside(connection)?;
    }
    let mut oldest = oldest(connection)?;
    while let Some((at, id)) = oldest {
        if aside.is_some() || changes == 0 || removed == most || at >= integer(before.0) || began.elapsed() >= FOR_MAX {
            break;
        }
        if forget_changes(connection, id, &mut changes)? {
            connection.prepare_cached(FORGET_TRANSACTION)?.execute([id])?;
        } else {
            connection.prepare_cached(SET_ASIDE)?.execute([id])?;
            aside = Some(id);
        }
        connection.prepare_cached(FORGET_FINISHED)?.execute([at, id])?;
        removed += 1;
        oldest = self::oldest(connection)?;
    }
    let next = if aside.is_some() { Some(Timestamp(0)) } else { oldest.map(|(at, _)| Timestamp(at as u64)) };
    Ok(Purged { removed, next })
}

/// Removes what ended under a gid at that instant, and keeps what is left of it; whether there was anything. At once, how
/// large it is: a person has asked for it.
pub(super) fn forget(
    connection: &Connection,
    gid: &Gid,
    ended_at: Timestamp,
    left: Option<&Record>,
) -> rusqlite::Result<bool> {
    let mut select = connection.prepare_cached(ID_OF)?;
    let Some(id) = select.query_row([gid.as_str()], |row| row.get::<_, i64>(0)).optional()? else { return Ok(false) };
    let place = [integer(ended_at.0), id];
    let finished = connection.prepare_cached(FORGET_FINISHED)?.execute(place)?;
    let resolved = connection.prepare_cached(FORGET_RESOLVED)?.execute(place)?;
    if finished + resolved == 0 {
        return Ok(false);
    }
    connection.prepare_cached(FORGET_CHANGES)?.execute([id])?;
    match left {
        None => connection.prepare_cached(FORGET_TRANSACTION)?.execute([id])?,
        Some(left) => connection.prepare_cached(REPLACE)?.execute(params![id, left.change, left.body])?,
    };
    Ok(true)
}

/// Whether all changes of a transaction are gone; where not, as many as there were left to take.
fn forget_changes(connection: &Connection, id: i64, left: &mut usize) -> rusqlite::Result<bool> {
    let mut after = connection.prepare_cached(CHANGE_AFTER)?;
    let after: Option<i64> = after.query_row(params![id, *left as i64], |row| row.get(0)).optional()?;
    let gone = match after {
        None => connection.prepare_cached(FORGET_CHANGES)?.execute([id])?,
        Some(seq) => connection.prepare_cached(FORGET_CHANGES_BEFORE)?.execute([id, seq])?,
    };
    *left = left.saturating_sub(gone);
    Ok(after.is_none())
}

fn oldest(connection: &Connection) -> rusqlite::Result<Option<(i64, i64)>> {
    let mut select = connection.prepare_cached(OLDEST)?;
    select.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

fn aside(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached(ASIDE)?.query_row([], |row| row.get(0)).optional()
}
