//! What every store must do: [`suite`] runs against each adapter. Shows by panicking what one does not.
mod forgetting;
mod reads;

use crate::ports::{LoadCursor, Purged, SaveError, Store};
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use unanim_coordinator::{Batch, Record, Standing, Stored};
use unanim_engine::{
    Body, BranchId, BranchSpec, Callee, Dialect, Gid, Heuristic, HistoryEvent, Mode, Outcome, Participant, Phase,
    Recorded, RetryPolicy, Target, Timestamp,
};

/// Opens the stores that the suite tries.
pub trait Opens {
    /// The adapter.
    type Store: Store;

    /// The first session on a store with nothing in it.
    fn fresh(&mut self) -> impl Future<Output = Self::Store>;

    /// Ends a session and begins the next one on the same store.
    fn reopen(&mut self, store: Self::Store) -> impl Future<Output = Self::Store>;
}

/// Everything that the port promises.
///
/// # Panics
/// Where the store does not keep it.
pub async fn suite(mut opens: impl Opens) {
    round_trip(&opens.fresh().await).await;
    many_in_one_batch(&opens.fresh().await).await;
    repeated_batches(&opens.fresh().await).await;
    standings_move(&opens.fresh().await).await;
    reads::histories(&opens.fresh().await).await;
    reads::lists_what_has_ended(&opens.fresh().await).await;
    loads_in_slices(&opens.fresh().await).await;
    reads::loads_past_what_began_again(&opens.fresh().await).await;
    odd_gids(&opens.fresh().await).await;
    large_records(&opens.fresh().await).await;
    purges_in_slices(&opens.fresh().await).await;
    counts(&opens.fresh().await).await;
    forgetting::forgets(&mut opens).await;
    keeps_everything(&mut opens).await;
}

/// A transaction's body as a lane writes it.
pub fn body(gid: &str, payload: &[u8]) -> Body {
    let branch = |id: &str| {
        Arc::new(BranchSpec::new(
            BranchId::new(id).expect("a branch id"),
            Callee {
                participant: Participant::new("http://127.0.0.1:5001").expect("a participant"),
                target: Target::One("http://127.0.0.1:5001/accounts".into()),
                dialect: Dialect::V1,
                call_timeout_ms: 10_000,
                retry: None,
                refused_statuses: [409, 422].into(),
                one_phase: false,
            },
            Some(payload.to_vec().into()),
        ))
    };
    Body {
        gid: Gid::new(gid).expect("a gid"),
        mode: Mode::TwoPhase,
        digest: [0xda; 32],
        created_at: Timestamp(1_000),
        deadline_at: Timestamp(61_000),
        retry: RetryPolicy::default(),
        branches: vec![branch("stock"), branch("payment")],
    }
}

/// The record that begins a transaction and, where it is more than begun, enters Preparing.
pub fn begun(body: &Body, standing: Standing) -> Record {
    let events: &[HistoryEvent] = match standing {
        Standing::Active => &[],
        Standing::Preparing | Standing::Decided | Standing::Finished(_) => {
            &[event(Recorded::Phase(Phase::Preparing, None))]
        }
    };
    Record { body: Some(Record::encode_body(body)), ..changed(body.gid.as_str(), 2, events, standing) }
}

/// A record of events alone.
pub fn changed(gid: &str, first_seq: u64, events: &[HistoryEvent], standing: Standing) -> Record {
    let change = if events.is_empty() { Vec::new() } else { Record::encode_change(events) };
    Record { gid: Gid::new(gid).expect("a gid"), body: None, first_seq, change, standing, resolved: false }
}

/// An event at some instant.
pub fn event(what: Recorded) -> HistoryEvent {
    HistoryEvent { at: Timestamp(2_000), what }
}

fn decided() -> HistoryEvent {
    event(Recorded::Decided(Outcome::Committed, None))
}

async fn save(store: &impl Store, number: u64, records: Vec<Record>) {
    store.save(Arc::new(Batch { number, records })).await.expect("a save");
}

async fn found(store: &impl Store, gid: &str) -> Option<Stored> {
    store.find(&Gid::new(gid).expect("a gid")).await.expect("a find")
}

/// Everything open, slice by slice, as (standing, gid); panics where a slice is too large.
async fn load_all(store: &impl Store, most: usize) -> Vec<(Standing, String)> {
    let mut loaded = Vec::new();
    let mut cursor = LoadCursor { standing: Standing::OPEN[0], after: None };
    loop {
        let slice = store.load(&cursor, most).await.expect("a slice");
        assert!(slice.stored.len() <= most, "{} in a slice of at most {most}", slice.stored.len());
        loaded.extend(slice.stored.into_iter().map(|stored| (cursor.standing, stored.body.gid.as_str().to_owned())));
        let Some(next) = slice.next else { return loaded };
        assert!(next != cursor, "loading goes on");
        cursor = next;
    }
}

async fn round_trip(store: &impl Store) {
    let body = body("order-17", b"{\"account\":\"widgets\"}");
    assert_eq!(found(store, "order-17").await, None);
    save(store, 1, vec![begun(&body, Standing::Active)]).await;
    assert_eq!(found(store, "order-17").await, Some(Stored { body: body.clone(), history: vec![] }));

    // More than nine events: a key is a number, not its text.
    let mut history = Vec::new();
    for number in 2..30 {
        let events = [event(Recorded::Stuck), event(Recorded::Heuristic(number as u32 % 2, Heuristic::Mixed))];
        save(store, number, vec![changed("order-17", 2 + history.len() as u64, &events, Standing::Preparing)]).await;
        history.extend(events);
    }
    assert_eq!(found(store, "order-17").await, Some(Stored { body, history }));
    assert_eq!(found(store, "order-1").await, None);
}

async fn many_in_one_batch(store: &impl Store) {
    let records_max = store.limits().records_max;
    let gid = |n: usize| format!("order-{n:05}");
    let records = (0..records_max).map(|n| begun(&body(&gid(n), b"{}"), Standing::Preparing)).collect();
    save(store, 1, records).await;
    let loaded = load_all(store, 50).await;
    assert_eq!(loaded, (0..records_max).map(|n| (Standing::Preparing, gid(n))).collect::<Vec<_>>());
}

async fn repeated_batches(store: &impl Store) {
    let body = body("order-1", b"{}");
    let batches = [
        vec![begun(&body, Standing::Preparing)],
        vec![changed("order-1", 3, &[decided()], Standing::Decided)],
        vec![changed("order-1", 4, &[event(Recorded::Finished)], Standing::Finished(Timestamp(5)))],
    ];
    for (number, records) in (1..).zip(batches) {
        let batch = Arc::new(Batch { number, records });
        store.save(batch.clone()).await.expect("a save");
        let once = found(store, "order-1").await;
        // Whoever heard nothing of the first one sends it again.
        store.save(batch).await.expect("the same again");
        assert_eq!(found(store, "order-1").await, once);
    }
    let history = vec![event(Recorded::Phase(Phase::Preparing, None)), decided(), event(Recorded::Finished)];
    assert_eq!(found(store, "order-1").await, Some(Stored { body, history }));
    assert_eq!(load_all(store, 10).await, []);
    assert_eq!(store.purge(Timestamp(6), 10).await.expect("a purge"), Purged { removed: 1, next: None });
}

async fn standings_move(store: &impl Store) {
    save(store, 1, vec![begun(&body("order-1", b"{}"), Standing::Active)]).await;
    let moves = [
        (Standing::Active, event(Recorded::Stuck)),
        (Standing::Preparing, event(Recorded::Phase(Phase::Preparing, None))),
        (Standing::Decided, decided()),
        (Standing::Decided, event(Recorded::Acknowledged(0))),
    ];
    for (number, (standing, what)) in (2..).zip(moves) {
        save(store, number, vec![changed("order-1", number, &[what], standing)]).await;
        assert_eq!(load_all(store, 10).await, [(standing, "order-1".to_owned())]);
    }
    save(store, 6, vec![changed("order-1", 6, &[event(Recorded::Finished)], Standing::Finished(Timestamp(9)))]).await;
    assert_eq!(load_all(store, 10).await, []);
    assert_eq!(found(store, "order-1").await.map(|stored| stored.history.len()), Some(5));
}

async fn loads_in_slices(store: &impl Store) {
    let mut expected = Vec::new();
    let mut records = Vec::new();
    for n in 0..90 {
        let gid = format!("order-{n:02}");
        let standing = [Standing::Decided, Standing::Preparing, Standing::Active, Standing::Finished(Timestamp(n))]
            [n as usize % 4];
        records.push(begun(&body(&gid, b"{}"), standing));
        if Standing::OPEN.contains(&standing) {
            expected.push((standing, gid));
        }
    }
    // In no order at all.
    records.sort_by_key(|record| record.gid.as_str().bytes().rev().collect::<Vec<_>>());
    let records_max = store.limits().records_max;
    for (number, records) in (1..).zip(records.chunks(records_max)) {
        save(store, number, records.to_vec()).await;
    }
    expected.sort();
    for most in [1, 7, 500] {
        let mut loaded = load_all(store, most).await;
        assert!(loaded.is_sorted_by_key(|(standing, _)| *standing), "decided ones first, then preparing, then active");
        loaded.sort();
        assert_eq!(loaded, expected, "in slices of {most}");
    }
}

async fn odd_gids(store: &impl Store) {
    let long = "ü".repeat(Gid::BYTES_MAX / 2);
    let gids = [
        "a",
        "A",
        "a/",
        "a/b",
        "a%2Fb",
        "aa",
        "a'b",
        "a\"b",
        "a\\b",
        "a b",
        "a%",
        "a_",
        "%",
        "_",
        "*",
        "?",
        "/",
        "-",
        "--",
        ";",
        "0",
        "00",
        "null",
        "...",
        "ä",
        "a\u{308}",
        "\u{1f980}",
        "\u{10ffff}",
        "\u{fffd}",
        "\u{200b}",
        "' OR 1=1 --",
        &long,
    ];
    let records: Vec<_> = gids.iter().map(|gid| begun(&body(gid, gid.as_bytes()), Standing::Preparing)).collect();
    save(store, 1, records).await;
    save(store, 2, vec![changed("a", 3, &[decided()], Standing::Decided)]).await;
    for gid in gids {
        let stored = found(store, gid).await.unwrap_or_else(|| panic!("{gid:?} is lost"));
        assert_eq!(stored.body, body(gid, gid.as_bytes()));
        assert_eq!(stored.history.len(), if gid == "a" { 2 } else { 1 }, "{gid:?} has its own history only");
    }
    for most in [1, 3, 100] {
        let loaded: Vec<String> = load_all(store, most).await.into_iter().map(|(_, gid)| gid).collect();
        assert_eq!(loaded.len(), gids.len(), "each once, in slices of {most}");
        assert_eq!(loaded.iter().map(String::as_str).collect::<BTreeSet<_>>(), gids.into_iter().collect());
    }
}

async fn large_records(store: &impl Store) {
    let body = body("large", &vec![0xff; store.limits().bytes_max]);
    let events = vec![event(Recorded::Heuristic(1, Heuristic::Mixed)); 50_000];
    save(store, 1, vec![begun(&body, Standing::Preparing)]).await;
    save(store, 2, vec![changed("large", 3, &events, Standing::Decided)]).await;
    let stored = found(store, "large").await.expect("it is there");
    assert!(stored.body == body && stored.history[1..] == events, "every byte comes back");
    assert_eq!(load_all(store, 10).await, [(Standing::Decided, "large".to_owned())]);
}

async fn purges_in_slices(store: &impl Store) {
    let finished = |n: u64| begun(&body(&format!("order-{n}"), b"{}"), Standing::Finished(Timestamp(100 + n)));
    save(store, 1, (0..10).map(finished).chain([begun(&body("open", b"{}"), Standing::Preparing)]).collect()).await;
    let purge = async |before, most| {
        let purged = store.purge(Timestamp(before), most).await.expect("a purge");
        (purged.removed, purged.next.map(|at| at.0))
    };
    assert_eq!(purge(100, 10).await, (0, Some(100)), "nothing that ended at that instant or later");
    assert_eq!(purge(107, 3).await, (3, Some(103)));
    assert_eq!(found(store, "order-2").await, None, "the oldest first");
    assert!(found(store, "order-3").await.is_some());
    assert_eq!(purge(107, 3).await, (3, Some(106)));
    assert_eq!(purge(107, 3).await, (1, Some(107)));
    assert_eq!(purge(107, 3).await, (0, Some(107)));
    assert!(found(store, "order-7").await.is_some());
    assert_eq!(purge(u64::MAX, 100).await, (3, None));
    assert_eq!(load_all(store, 10).await, [(Standing::Preparing, "open".to_owned())]);
    assert!(found(store, "open").await.is_some());
}

async fn counts(store: &impl Store) {
    let batch = Batch { number: 1, records: vec![begun(&body("order-1", b"{}"), Standing::Preparing)] };
    let bytes = batch.bytes() as u64;
    save(store, 1, batch.records.clone()).await;
    save(store, 1, batch.records).await;
    let figures = store.figures();
    assert_eq!((figures.batches, figures.records, figures.bytes), (1, 1, bytes));
}

async fn keeps_everything<O: Opens>(opens: &mut O) {
    let store = opens.fresh().await;
    let first = store.identity().clone();
    save(
        &store,
        1,
        vec![begun(&body("open", b"{}"), Standing::Active), begun(&body("done", b"{}"), Standing::Preparing)],
    )
    .await;
    save(&store, 2, vec![changed("done", 3, &[decided()], Standing::Finished(Timestamp(7)))]).await;
    let (open, done) = (found(&store, "open").await, found(&store, "done").await);
    assert!(open.is_some() && done.is_some());

    let mut store = opens.reopen(store).await;
    let mut fence = first.fence;
    for _ in 0..3 {
        let identity = store.identity();
        assert_eq!((identity.uuid, identity.secret), (first.uuid, first.secret));
        assert!(identity.fence > fence, "{} after {fence}", identity.fence);
        fence = identity.fence;
        store = opens.reopen(store).await;
    }
    assert_eq!((found(&store, "open").await, found(&store, "done").await), (open, done));
    assert_eq!(load_all(&store, 10).await, [(Standing::Active, "open".to_owned())]);

    // A session counts its batches from 1.
    save(&store, 1, vec![changed("open", 2, &[event(Recorded::Phase(Phase::Preparing, None))], Standing::Preparing)])
        .await;
    let store = opens.reopen(store).await;
    assert_eq!(load_all(&store, 10).await, [(Standing::Preparing, "open".to_owned())]);
    assert_eq!(found(&store, "open").await.map(|stored| stored.history.len()), Some(1));
    assert_eq!(store.purge(Timestamp(8), 10).await.expect("a purge").removed, 1);

    let other = opens.fresh().await;
    assert_ne!(other.identity().uuid, first.uuid, "another store is another");
    let stale = Batch { number: 1, records: vec![] };
    assert!(matches!(other.save(Arc::new(stale)).await, Ok(()) | Err(SaveError::Fenced)));
}
