//! What is done before a store says its first word: whatever it will read is durable then.
use super::plant::{Bug, Plant};
use super::{OpenError, room, schema};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use unanim_node::ports::Identity;

/// As the file is made with; larger ones gained nothing.
pub(super) const PAGE_BYTES: u32 = 4096;
/// The log is cut back to this after it grew beyond.
const LOG_KEPT_BYTES: i64 = 16 << 20;
/// Pages in memory, in KiB.
const CACHE_KIB: i64 = 16 << 10;
/// How long somebody who looks into the file with another program may be in the way.
const BUSY: Duration = Duration::from_secs(1);

/// Where the database is in its folder.
pub(super) fn database(dir: &Path) -> PathBuf {
    dir.join("unanim.db")
}

/// Where the write-ahead log of a database is.
pub(super) fn log(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// Makes the folder, readable by its owner only; one that is there stays as it is. Its name, and those of the folders that
/// it is in, are as durable as what it will hold.
pub(super) fn make_folder(dir: &Path, plant: Plant) -> Result<(), OpenError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
    if plant.has(Bug::StartForgetsNames) {
        return Ok(());
    }
    for above in dir.canonicalize().map_err(at(dir))?.ancestors().skip(1) {
        // One that may not be read was not made by us; and not every file system has such a flush.
        match File::open(above).and_then(|above| above.sync_all()) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                return Err(at(above)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether a start failed for want of room, however that was said.
pub(super) fn is_full(error: &OpenError, dir: &Path) -> bool {
    match error {
        OpenError::Full => true,
        OpenError::Io { source, .. } => room::is_full(source),
        OpenError::Database(error) => room::is_why(error, dir),
        OpenError::Locked { .. }
        | OpenError::Newer { .. }
        | OpenError::NotOurs
        | OpenError::NoLog
        | OpenError::Corrupt(_) => false,
    }
}

/// Opens the database as every connection needs it.
pub(super) fn connect(
    path: &Path,
    flags: OpenFlags,
    pages_max: Option<u32>,
    plant: Plant,
) -> Result<Connection, OpenError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    // Whoever closes after a failed flush must not try again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Else a statement is prepared anew whenever its parameters change, to look for a better plan: there is none.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    let synchronous = if plant.has(Bug::SynchronousOff) { "OFF" } else { "FULL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // A checkpoint that SQLite makes by itself hides its errors.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", LOG_KEPT_BYTES)?;
    if let Some(pages) = pages_max {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Makes or opens the database, brings its schema up to date, begins a session, and checkpoints.
///
/// An earlier process may have ended because a flush failed. What that flush should have written may still be in the
/// page cache, marked as clean: it reads as if it were there, and no later flush writes it. So the log is written anew
/// and flushed before anything reads it; then everything goes into the database, which is flushed as well.
pub(super) fn start(path: &Path, pages_max: Option<u32>, plant: Plant) -> Result<Identity, OpenError> {
    let log = log(path);
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    if !plant.has(Bug::StartTrustsLog) && !plant.has(Bug::RewritesNoLog) {
        rewrite(&log).map_err(at(&log))?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).open(path).map_err(at(path))?;

    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, pages_max, plant)?;
    use_log(&connection)?;
    schema::migrate(&mut connection)?;
    let identity = schema::begin_session(&mut connection)?;
    if plant.has(Bug::StartTrustsLog) {
        return Ok(identity);
    }
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        tracing::warn!("another program reads the database: the log stays as it is for now");
    }
    // Closed before the files are opened by other means: closing those would drop the connection's locks (fcntl).
    connection.close().map_err(|(_, error)| error)?;
    File::open(path).and_then(|file| file.sync_all()).map_err(at(path))?;
    if log.exists() {
        File::open(&log).and_then(|file| file.sync_all()).map_err(at(&log))?;
    }
    if plant.has(Bug::StartForgetsNames) {
        return Ok(identity);
    }
    let dir = path.parent().expect("a file in a folder");
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))?;
    Ok(identity)
}

/// Switches to the write-ahead log. The switch is a write that comes after the row which tells of it: so it is seen to its
/// end, where it may fail, and asked for again.
pub(super) fn use_log(connection: &Connection) -> Result<(), OpenError> {
    for sql in ["PRAGMA journal_mode = WAL", "PRAGMA journal_mode"] {
        let mut pragma = connection.prepare(sql)?;
        let modes: Vec<String> = pragma.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        if modes != ["wal"] {
            return Err(OpenError::NoLog);
        }
    }
    Ok(())
}

/// Writes the same bytes again, so that the flush that follows has something to write.
fn rewrite(path: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut block = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut block, at)?;
        if read == 0 {
            return file.sync_all();
        }
        file.write_all_at(&block[..read], at)?;
        at += read as u64;
    }
}
