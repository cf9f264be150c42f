//! What a folder may hold when a store is opened in it, and what is said of the rest.
#![cfg(feature = "embedded")]
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use unanim_adapters::store::Embedded;
use unanim_adapters::store::embedded::{CommitMode, OpenError, OpenOptions, SCHEMA_VERSION};
use unanim_coordinator::{Batch, Standing};
use unanim_engine::{Gid, Timestamp};
use unanim_node::conformance::store::{begun, body};
use unanim_node::ports::{EndedCursor, LoadCursor, ReadError, Store};

fn open(dir: &Path) -> Result<Embedded, OpenError> {
    Embedded::open(OpenOptions { commit: CommitMode::Inline, reserve_bytes: 1 << 20, ..OpenOptions::new(dir) })
}

fn refusal(dir: &Path) -> OpenError {
    open(dir).err().expect("a refusal")
}

fn database(dir: &Path) -> Connection {
    Connection::open(dir.join("unanim.db")).expect("a database")
}

#[test]
fn only_its_owner_may_read_it() {
    let folder = TempDir::new().expect("a folder");
    let dir = folder.path().join("some/where");
    let store = open(&dir).expect("a store");
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let mut files: Vec<_> =
        std::fs::read_dir(&dir).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    let names: Vec<_> = files.iter().map(|file| file.file_name().expect("a name").to_str().expect("text")).collect();
    assert_eq!(names, ["lock", "reserve", "unanim.db", "unanim.db-shm", "unanim.db-wal"]);
    drop(store);
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = TempDir::new().expect("a folder");
    drop(open(folder.path()).expect("a store"));
    let newer = SCHEMA_VERSION + 1;
    database(folder.path()).pragma_update(None, "user_version", newer).expect("set");
    let refused = refusal(folder.path());
    assert!(matches!(refused, OpenError::Newer { found, known: SCHEMA_VERSION } if found == newer), "{refused:?}");
    assert!(refused.to_string().contains("newer program"), "{refused}");
    database(folder.path()).pragma_update(None, "user_version", SCHEMA_VERSION).expect("set");
    open(folder.path()).expect("as before");
}

#[test]
fn something_else_is_refused_and_left_alone() {
    let folder = TempDir::new().expect("a folder");
    database(folder.path()).execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").expect("a table");
    assert!(matches!(refusal(folder.path()), OpenError::NotOurs));
    let theirs: i64 = database(folder.path()).query_row("SELECT x FROM theirs", [], |row| row.get(0)).expect("a row");
    assert_eq!(theirs, 1);

    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("unanim.db"), "no database at all, but long enough to be one".repeat(100))
        .expect("a file");
    let refused = refusal(folder.path());
    assert!(matches!(refused, OpenError::Corrupt(_)), "{refused:?}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "a refusal makes nothing");

    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    assert!(refusal(&file).to_string().contains("file"), "the path is named");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named() {
    let folder = TempDir::new().expect("a folder");
    let store = open(folder.path()).expect("a store");
    let records = ["order-1", "order-2"].map(|gid| begun(&body(gid, b"{}"), Standing::Preparing));
    store.save(Arc::new(Batch { number: 1, records: records.into() })).await.expect("a save");
    drop(store);
    let spoil = "UPDATE transactions SET body = substr(body, 1, 10) WHERE gid = 'order-2'";
    assert_eq!(database(folder.path()).execute(spoil, []).expect("an update"), 1);

    let store = open(folder.path()).expect("a store");
    let find = async |gid| store.find(&Gid::new(gid).expect("a gid")).await;
    assert!(find("order-1").await.expect("readable").is_some());
    let named = |error: &ReadError| matches!(error, ReadError::Corrupt(why) if why.contains("order-2"));
    let error = find("order-2").await.expect_err("unreadable");
    assert!(named(&error), "{error:?}");
    let cursor = LoadCursor { standing: Standing::Preparing, after: None };
    let error = store.load(&cursor, 10).await.expect_err("unreadable");
    assert!(named(&error), "{error:?}");
}

#[test]
fn the_way_to_commit_is_measured() {
    let folder = TempDir::new().expect("a folder");
    let store = Embedded::open(OpenOptions::new(folder.path())).expect("a store");
    assert!([CommitMode::Inline, CommitMode::Thread].contains(&store.commit_mode()));
    assert!(!folder.path().join("flush-probe").exists());
    for mode in [CommitMode::Auto, CommitMode::Inline, CommitMode::Thread] {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    assert!("fast".parse::<CommitMode>().expect_err("no mode").contains("inline"));
}

#[tokio::test]
async fn the_first_schema_is_brought_up_to_date() {
    let folder = TempDir::new().expect("a folder");
    let store = open(folder.path()).expect("a store");
    let records = vec![begun(&body("order-1", b"{}"), Standing::Preparing)];
    store.save(Arc::new(Batch { number: 1, records })).await.expect("a save");
    drop(store);
    let first = database(folder.path());
    first.execute_batch("DROP TABLE resolved; PRAGMA user_version = 1").expect("as the first one was");
    drop(first);
    let store = open(folder.path()).expect("a store");
    assert!(store.find(&Gid::new("order-1").expect("a gid")).await.expect("readable").is_some());
    let newest = EndedCursor { at: Timestamp(u64::MAX), after: None };
    assert!(store.ended(&newest, 10).await.expect("a list").stored.is_empty());
}
