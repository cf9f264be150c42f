//! The write-ahead log stays small, and becomes small again after somebody held it up.
#![cfg(feature = "embedded")]
use rusqlite::{Connection, OpenFlags};
use std::sync::Arc;
use tempfile::TempDir;
use unanim_adapters::store::Embedded;
use unanim_adapters::store::embedded::{CommitMode, OpenOptions};
use unanim_coordinator::{Batch, Standing};
use unanim_node::conformance::store::{begun, body};
use unanim_node::ports::Store;

const MIB: u64 = 1 << 20;
const LOG_MAX: u64 = 16 * MIB;

/// Saves so many bytes, in batches of a megabyte; the largest size of the log meanwhile.
async fn write(store: &Embedded, number: &mut u64, bytes: u64) -> u64 {
    let mut largest = 0;
    for _ in 0..bytes / MIB {
        *number += 1;
        let one = |n: u64| begun(&body(&format!("order-{number}-{n}"), &[0; 8 << 10]), Standing::Preparing);
        let records = (0..64).map(one).collect();
        store.save(Arc::new(Batch { number: *number, records })).await.expect("a save");
        largest = largest.max(store.figures().wal_bytes);
    }
    largest
}

async fn the_log_is_capped(commit: CommitMode) {
    let folder = TempDir::new().expect("a folder");
    let store = Embedded::open(OpenOptions { commit, reserve_bytes: 0, ..OpenOptions::new(folder.path()) });
    let (store, mut number) = (store.expect("a store"), 0);
    let largest = write(&store, &mut number, 40 * MIB).await;
    assert!(largest < LOG_MAX, "{largest}");

    let reader = Connection::open_with_flags(folder.path().join("unanim.db"), OpenFlags::SQLITE_OPEN_READ_ONLY);
    let reader = reader.expect("a reader");
    reader.execute_batch("BEGIN; SELECT count(*) FROM open").expect("a read that lasts");
    let largest = write(&store, &mut number, 30 * MIB).await;
    assert!(largest > LOG_MAX, "{largest}: it waits for the reader");
    reader.execute_batch("COMMIT").expect("its end");
    write(&store, &mut number, 10 * MIB).await;
    let after = store.figures().wal_bytes;
    assert!(after <= LOG_MAX, "{after}");
}

#[tokio::test]
async fn the_log_is_capped_inline() {
    the_log_is_capped(CommitMode::Inline).await;
}

#[tokio::test]
async fn the_log_is_capped_on_a_thread() {
    the_log_is_capped(CommitMode::Thread).await;
}
