//! Inserting many rows with few statements.
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// What one statement inserts at most: each costs something of its own.
const ROWS: usize = 8;

/// An insert of rows: what its statement begins with.
pub(super) struct Insert<const COLUMNS: usize>(pub(super) &'static str);

impl<const COLUMNS: usize> Insert<COLUMNS> {
    fn sql(&self, rows: usize) -> String {
        let row = format!("({})", ["?"; COLUMNS].join(", "));
        format!("{} VALUES {}", self.0, vec![row; rows].join(", "))
    }

    /// As few statements as it takes.
    pub(super) fn all(&self, connection: &Connection, rows: &[[ValueRef<'_>; COLUMNS]]) -> rusqlite::Result<()> {
        let (many, few) = rows.split_at(rows.len() / ROWS * ROWS);
        self.each(connection, many, ROWS)?;
        self.each(connection, few, 1)
    }

    /// One statement after the other, with so many rows each.
    fn each(&self, connection: &Connection, rows: &[[ValueRef<'_>; COLUMNS]], at_once: usize) -> rusqlite::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut insert = connection.prepare_cached(&self.sql(at_once))?;
        for rows in rows.chunks_exact(at_once) {
            for (value, at) in rows.as_flattened().iter().zip(1..) {
                insert.raw_bind_parameter(at, ToSqlOutput::Borrowed(*value))?;
            }
            insert.raw_execute()?;
        }
        Ok(())
    }
}
