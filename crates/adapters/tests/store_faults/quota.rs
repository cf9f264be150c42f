//! A quota that is used up shows in no figure of the file system, and SQLite calls it an error like any other.
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use unanim_adapters::store::Embedded;
use unanim_adapters::store::embedded::{CommitMode, OpenOptions};
use unanim_coordinator::{Batch, Standing};
use unanim_faulty_disk::{Disk, Fault};
use unanim_node::conformance::store::{begun, body};
use unanim_node::ports::{Room, SaveError, Store};

fn batch(number: u64) -> Arc<Batch> {
    let one = begun(&body(&format!("order-{number}"), &[0; 8000]), Standing::Preparing);
    Arc::new(Batch { number, records: vec![one] })
}

async fn is_a_full_disk(commit: CommitMode) {
    let folder = TempDir::new().expect("a folder");
    let disk = Disk::watch(folder.path(), 1).expect("a disk");
    let dir = folder.path().join("data");
    let options = OpenOptions { commit, reserve_bytes: 1 << 20, ..OpenOptions::new(&dir) };
    let store = Embedded::open(options.clone()).expect("a store");
    let reserve = || dir.join("reserve").metadata().expect("a reserve").len();
    store.save(batch(1)).await.expect("a save");
    assert_eq!((store.room(), reserve()), (Ok(Room::Enough), 1 << 20));

    disk.plan(Fault::Quota, 0);
    for _ in 0..2 {
        assert!(matches!(store.save(batch(2)).await, Err(SaveError::Full)));
        assert_eq!((store.room(), reserve()), (Ok(Room::Full), 0), "what was kept back counts for the quota too");
    }
    assert!(!dir.join("room-probe").exists());
    disk.mend();
    store.save(batch(2)).await.expect("there is room for the identical batch");
    let began = Instant::now();
    while store.room() != Ok(Room::Enough) {
        assert!(began.elapsed() < Duration::from_secs(20), "service resumes by itself");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(reserve(), 1 << 20);
    drop(store);

    // A write that fails while there is room is the end.
    let store = Embedded::open(options).expect("a store");
    disk.plan(Fault::Write, 0);
    assert!(matches!(store.save(batch(1)).await, Err(SaveError::Broken(_))));
}

#[tokio::test]
async fn a_quota_is_a_full_disk_inline() {
    is_a_full_disk(CommitMode::Inline).await;
}

#[tokio::test]
async fn a_quota_is_a_full_disk_on_a_thread() {
    is_a_full_disk(CommitMode::Thread).await;
}
