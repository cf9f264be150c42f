//! Inserting many rows with few statements.
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// What one statement inserts at most: each costs something of its own.
const ROWS: usize = 8;

/// An insert of rows: its statements for one and for several, written out once.
pub(super) struct Insert<const COLUMNS: usize> {
    one: String,
    many: String,
}

impl<const COLUMNS: usize> Insert<COLUMNS> {
    /// `head` is what the statement begins with.
    pub(super) fn new(head: &str) -> Self {
        let row = format!("({})", ["?"; COLUMNS].join(", "));
        let sql = |rows| format!("{head} VALUES {}", vec![&*row; rows].join(", "));
        Insert { one: sql(1), many: sql(ROWS) }
    }

    /// As few statements as it takes.
    pub(super) fn all(&self, connection: &Connection, rows: &[[ValueRef<'_>; COLUMNS]]) -> rusqlite::Result<()> {
        let (many, few) = rows.split_at(rows.len() / ROWS * ROWS);
        each(connection, &self.many, many, ROWS)?;
        each(connection, &self.one, few, 1)
    }
}

/// One statement after the other, with so many rows each.
fn each<const COLUMNS: usize>(
    connection: &Connection,
    sql: &str,
    rows: &[[ValueRef<'_>; COLUMNS]],
    at_once: usize,
) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(sql)?;
    for rows in rows.chunks_exact(at_once) {
        for (value, at) in rows.as_flattened().iter().zip(1..) {
            insert.raw_bind_parameter(at, ToSqlOutput::Borrowed(*value))?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}
