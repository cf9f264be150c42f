//! A store that finds no room for a batch applies nothing of it, and goes on when there is room.
#![cfg(feature = "embedded")]
use std::sync::Arc;
use tempfile::TempDir;
use unanim_adapters::store::Embedded;
use unanim_adapters::store::embedded::{CommitMode, OpenOptions};
use unanim_coordinator::{Batch, Standing};
use unanim_engine::{Gid, Timestamp};
use unanim_node::conformance::store::{begun, body};
use unanim_node::ports::{Room, SaveError, Store};

fn batch(number: u64) -> Arc<Batch> {
    let one = |part| begun(&body(&gid(number, part), &[b'x'; 4000]), Standing::Finished(Timestamp(number)));
    Arc::new(Batch { number, records: (0..8).map(one).collect() })
}

fn gid(number: u64, part: u64) -> String {
    format!("order-{number}-{part}")
}

async fn is_there(store: &Embedded, number: u64, part: u64) -> bool {
    store.find(&Gid::new(&gid(number, part)).expect("a gid")).await.expect("a find").is_some()
}

async fn fills_and_goes_on(commit: CommitMode) {
    let folder = TempDir::new().expect("a folder");
    let options =
        OpenOptions { commit, pages_max: Some(200), reserve_bytes: 1 << 20, ..OpenOptions::new(folder.path()) };
    let store = Embedded::open(options).expect("a store");
    let reserve = || std::fs::metadata(folder.path().join("reserve")).expect("a reserve").len();
    assert_eq!((store.room(), reserve()), (Ok(Room::Enough), 1 << 20));

    let mut full = 1;
    loop {
        match store.save(batch(full)).await {
            Ok(()) => full += 1,
            Err(SaveError::Full) => break,
            Err(other) => panic!("{other:?}"),
        }
        assert!(full < 100, "200 pages hold fewer batches");
    }
    assert_eq!((store.room(), reserve()), (Ok(Room::Full), 0), "what was kept back is for those that are open");
    for part in 0..8 {
        assert!(!is_there(&store, full, part).await, "nothing of it was applied");
        assert!(is_there(&store, full - 1, part).await);
    }
    assert!(matches!(store.save(batch(full)).await, Err(SaveError::Full)), "still none");

    assert_eq!(store.purge(Timestamp(3), 100).await.expect("a purge").removed, 16);
    store.save(batch(full)).await.expect("now there is room for the identical batch");
    for part in 0..8 {
        assert!(is_there(&store, full, part).await);
    }
}

#[tokio::test]
async fn a_full_store_refuses_whole_batches_inline() {
    fills_and_goes_on(CommitMode::Inline).await;
}

#[tokio::test]
async fn a_full_store_refuses_whole_batches_on_a_thread() {
    fills_and_goes_on(CommitMode::Thread).await;
}
