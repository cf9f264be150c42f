//! However large what has ended is, it leaves the store in short commits, and nobody sees a part of it.
#![cfg(feature = "embedded")]
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use unanim_adapters::store::Embedded;
use unanim_adapters::store::embedded::{CommitMode, OpenOptions};
use unanim_coordinator::{Batch, Record, Standing, Stored};
use unanim_engine::{BranchId, BranchSpec, Gid, Outcome, Recorded, Timestamp};
use unanim_node::conformance::store::{begun, body, changed, event};
use unanim_node::ports::{EndedCursor, Purged, Store};

fn open(dir: &Path) -> Embedded {
    let options = OpenOptions { commit: CommitMode::Inline, reserve_bytes: 0, ..OpenOptions::new(dir) };
    Embedded::open(options).expect("a store")
}

async fn save(store: &Embedded, number: u64, records: Vec<Record>) {
    store.save(Arc::new(Batch { number, records })).await.expect("a save");
}

/// A transaction of ten thousand branches with so many changes of an event each; ended at 100.
async fn write_large(store: &Embedded, changes: u64) -> u64 {
    let mut body = body("large", b"{}");
    let branch = |n: u64| {
        let id = BranchId::new(&format!("b{n}")).expect("a branch id");
        let mut spec = BranchSpec::clone(&body.branches[0]);
        spec.id = id;
        Arc::new(spec)
    };
    body.branches = (0..10_000).map(branch).collect();
    save(store, 1, vec![begun(&body, Standing::Preparing)]).await;
    let seqs: Vec<u64> = (3..3 + changes).collect();
    let mut number = 1;
    for some in seqs.chunks(1000) {
        number += 1;
        let stuck = |seq: &u64| changed("large", *seq, &[event(Recorded::Stuck)], Standing::Preparing);
        save(store, number, some.iter().map(stuck).collect()).await;
    }
    let end = [event(Recorded::Decided(Outcome::Committed, None)), event(Recorded::Finished)];
    save(store, number + 1, vec![changed("large", 3 + changes, &end, ended())]).await;
    number + 1
}

fn ended() -> Standing {
    Standing::Finished(Timestamp(100))
}

async fn find(store: &Embedded, gid: &str) -> Option<Stored> {
    store.find(&Gid::new(gid).expect("a gid")).await.expect("a find")
}

#[tokio::test]
async fn a_large_transaction_leaves_in_slices_and_at_once() {
    let folder = TempDir::new().expect("a folder");
    let store = open(folder.path());
    let number = write_large(&store, 50_000).await;
    assert_eq!(find(&store, "large").await.map(|stored| stored.history.len()), Some(50_003));
    assert_eq!(purge(&store).await, (1, Some(0)), "there is more to do");
    assert_eq!(find(&store, "large").await, None);
    let all = EndedCursor { at: Timestamp(u64::MAX), after: None };
    assert_eq!(store.ended(&all, 10).await.expect("a list").stored, []);
    // Its gid may begin again, also when the rest is left for the next session.
    save(&store, number + 1, vec![begun(&body("large", b"anew"), Standing::Preparing)]).await;
    drop(store);
    let store = open(folder.path());
    let mut slices = 1;
    while purge(&store).await != (0, None) {
        slices += 1;
        assert!(slices < 10, "it is done some time");
    }
    assert_eq!(slices, 2);
    assert_eq!(find(&store, "large").await.map(|stored| stored.history.len()), Some(1));
    drop(store);
    let database = rusqlite::Connection::open(folder.path().join("unanim.db")).expect("a database");
    let count = |table: &str| -> i64 {
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count")
    };
    assert_eq!(["transactions", "changes", "open", "finished"].map(count), [1, 0, 1, 0]);
}

async fn purge(store: &Embedded) -> (usize, Option<u64>) {
    let Purged { removed, next } = store.purge(Timestamp(101), 1000).await.expect("a purge");
    (removed, next.map(|at| at.0))
}

/// Ten thousand that ended, and some that are large. The bounds are ten times those of a release build on a quiet machine.
#[tokio::test]
async fn neither_a_purge_nor_a_read_takes_long() {
    let folder = TempDir::new().expect("a folder");
    let store = open(folder.path());
    let mut number = write_large(&store, 20_000).await;
    for some in (0..10_000).collect::<Vec<_>>().chunks(1000) {
        number += 1;
        let one = |n: &u64| begun(&body(&format!("order-{n}"), &[0; 200]), ended());
        save(&store, number, some.iter().map(one).collect()).await;
    }
    for some in (0..5_000).collect::<Vec<_>>().chunks(1000) {
        number += 1;
        let one = |n: &u64| begun(&body(&format!("open-{n}"), &[0; 4000]), Standing::Decided);
        let records: Vec<_> = some.iter().map(one).collect();
        for (offset, some) in records.chunks(500).enumerate() {
            save(&store, number * 10 + offset as u64, some.to_vec()).await;
        }
        number = number * 10 + 9;
    }
    assert!(find(&store, "large").await.is_some());
    let large = Gid::new("large").expect("a gid");
    for first_seq in [2, 19_000] {
        let excerpt = store.history(&large, first_seq, 1000).await.expect("a history").expect("it is there");
        assert_eq!((excerpt.events.len(), excerpt.more), (1000, true));
    }
    let mut loaded = 0;
    let mut next = Some(unanim_node::ports::LoadCursor { standing: Standing::OPEN[0], after: None });
    while let Some(cursor) = next {
        let slice = store.load(&cursor, 500).await.expect("a slice");
        loaded += slice.stored.len();
        next = slice.next;
    }
    assert_eq!(loaded, 5_000);
    let read = Duration::from_micros(store.figures().read_micros_max);
    let (mut longest, mut removed) = (Duration::ZERO, 0);
    loop {
        let began = Instant::now();
        let (some, next) = purge(&store).await;
        longest = longest.max(began.elapsed());
        removed += some;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(removed, 10_001);
    println!("the longest read took {read:?}, the longest purge {longest:?}");
    assert!(read < Duration::from_secs(1) && longest < Duration::from_millis(500), "{read:?} {longest:?}");
}
