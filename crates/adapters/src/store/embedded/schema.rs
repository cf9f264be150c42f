//! The tables, their versions, and who the store is.
//!
//! A transaction has a row with its body and the events that came with it, and a number by which everything else knows
//! it: its later changes, each keyed by its first event; its place among the open ones, or among those that ended, or
//! among those that ended with the help of a person and stay until one forgets them. So
//! only its begin touches the index of gids, whose order is the clients' choice; the rest goes to the ends of the tables.
use super::OpenError;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::{SystemTime, UNIX_EPOCH};
use unanim_coordinator::Standing;
use unanim_node::ports::Identity;
use uuid::Uuid;

/// "Unan" in ASCII: what `file` and other programs see in the header.
pub(super) const APPLICATION_ID: i32 = 0x556e_616e;

/// Each takes the schema one version on; the first one makes it. Never changed, only added to.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE transactions (
        id INTEGER PRIMARY KEY, gid TEXT NOT NULL UNIQUE, change BLOB NOT NULL, body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE changes (id INTEGER, seq INTEGER, change BLOB NOT NULL, PRIMARY KEY (id, seq)) WITHOUT ROWID, STRICT;
    CREATE TABLE open (id INTEGER PRIMARY KEY, standing INTEGER NOT NULL) STRICT;
    CREATE TABLE finished (at INTEGER, id INTEGER, PRIMARY KEY (at, id)) WITHOUT ROWID, STRICT;
",
    "
    CREATE TABLE resolved (at INTEGER, id INTEGER, PRIMARY KEY (at, id)) WITHOUT ROWID, STRICT;
",
];

/// The schema that this program writes.
pub const VERSION: i32 = MIGRATIONS.len() as i32;

/// How an open standing is written; none for an ended one. Stored: never changed.
pub(super) fn standing_number(standing: Standing) -> Option<i64> {
    match standing {
        Standing::Decided => Some(0),
        Standing::Preparing => Some(1),
        Standing::Active => Some(2),
        Standing::Finished(_) => None,
    }
}

/// SQLite's integers are signed; an instant or a number beyond is none that will come.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Refuses what is no store of ours or of a newer program; otherwise brings it up to [`VERSION`].
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version, tables) {
        (0, 0, 0) | (APPLICATION_ID, 1.., _) => {}
        _ => return Err(OpenError::NotOurs),
    }
    if version > VERSION {
        return Err(OpenError::Newer { found: version, known: VERSION });
    }
    for (done, migration) in MIGRATIONS.iter().enumerate().skip(version as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        if done == 0 {
            write_identity(&transaction)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        transaction.pragma_update(None, "user_version", done as i32 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

fn write_identity(connection: &Connection) -> Result<(), OpenError> {
    let mut secret = [0; 32];
    let drawn = rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty());
    assert_eq!(drawn, Ok(secret.len()), "the kernel gives so few random bytes whole");
    let mut insert = connection.prepare("INSERT INTO meta (key, value) VALUES (?1, ?2)")?;
    insert.execute(params!["uuid", Uuid::new_v4().as_bytes()])?;
    insert.execute(params!["secret", secret])?;
    Ok(())
}

/// Begins a session: its fence is written, so that every later one's is larger.
pub(super) fn begin_session(connection: &mut Connection) -> Result<Identity, OpenError> {
    let read = |key: &str| {
        let mut select = connection.prepare("SELECT value FROM meta WHERE key = ?1")?;
        let bytes: Option<Vec<u8>> = select.query_row([key], |row| row.get(0)).optional()?;
        bytes.ok_or_else(|| OpenError::Corrupt(format!("meta lacks {key}")))
    };
    let malformed = |key| OpenError::Corrupt(format!("meta has a malformed {key}"));
    let uuid = Uuid::from_slice(&read("uuid")?).map_err(|_| malformed("uuid"))?;
    let secret = <[u8; 32]>::try_from(read("secret")?).map_err(|_| malformed("secret"))?;

    // In a transaction: by itself this statement would commit after its row, and a failure of that be seen by nobody.
    let transaction = connection.transaction()?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let fence: i64 = transaction.query_row(
        "INSERT INTO meta (key, value) VALUES ('fence', ?1)
         ON CONFLICT (key) DO UPDATE SET value = max(value + 1, excluded.value) RETURNING value",
        [now_ms],
        |row| row.get(0),
    )?;
    transaction.commit()?;
    Ok(Identity { uuid, secret, fence: fence as u64 })
}
