//! What a person has resolved stays, until a person forgets it; and then its gid and outcome do.
use super::{Opens, begun, body, changed, decided, event, found, load_all, save};
use crate::ports::{EndedCursor, Store};
use unanim_coordinator::{Record, Standing};
use unanim_engine::{Gid, Outcome, Recorded, Resolution, Timestamp, Transaction};

fn gid(name: &str) -> Gid {
    Gid::new(name).expect("a gid")
}

/// Ended at that instant, with the help of a person.
fn resolved(name: &str, at: u64) -> [Record; 2] {
    let said = Resolution::new(Outcome::Committed, Some("seen"), Some("ops")).expect("short enough");
    let end = [decided(), event(Recorded::Resolved(0, said)), event(Recorded::Finished)];
    let standing = Standing::Finished(Timestamp(at));
    [begun(&body(name, b"{}"), Standing::Preparing), Record { resolved: true, ..changed(name, 3, &end, standing) }]
}

async fn ended(store: &impl Store) -> Vec<String> {
    let newest = EndedCursor { at: Timestamp(u64::MAX), after: None };
    let slice = store.ended(&newest, 100).await.expect("a slice");
    slice.stored.iter().map(|stored| stored.body.gid.as_str().to_owned()).collect()
}

pub(super) async fn forgets<O: Opens>(opens: &mut O) {
    let store = opens.fresh().await;
    let [begin, end] = resolved("resolved", 5);
    let plain = |name: &str, at| begun(&body(name, b"{}"), Standing::Finished(Timestamp(at)));
    save(&store, 1, vec![begin, plain("old", 4), plain("older", 3), plain("late", 6)]).await;
    save(&store, 2, vec![end, begun(&body("open", b"{}"), Standing::Active)]).await;
    let whole = found(&store, "resolved").await;
    assert_eq!(ended(&store).await, ["late", "resolved", "old", "older"]);
    assert_eq!(store.purge(Timestamp(u64::MAX), 2).await.expect("a purge").removed, 2);
    assert_eq!(ended(&store).await, ["late", "resolved"]);
    assert_eq!(store.purge(Timestamp(u64::MAX), 100).await.expect("a purge").removed, 1, "not the resolved one");

    let store = opens.reopen(store).await;
    assert_eq!(store.purge(Timestamp(u64::MAX), 100).await.expect("a purge").removed, 0);
    assert_eq!((ended(&store).await, found(&store, "resolved").await), (vec!["resolved".to_owned()], whole.clone()));

    let stored = whole.expect("it is there");
    let txn = Transaction::load(&stored.body, stored.history, Timestamp(9));
    let left = Record::left_of(&txn, Timestamp(9));
    let forget = async |name: &str, at, left| store.forget(&gid(name), Timestamp(at), left).await.expect("no failure");
    assert!(!forget("unknown", 5, None).await);
    assert!(!forget("open", 5, None).await, "it has not ended");
    assert!(!forget("resolved", 4, left.clone()).await, "not then");
    assert!(forget("resolved", 5, left.clone()).await);
    assert!(!forget("resolved", 5, left).await, "once");
    save(&store, 1, vec![plain("plain", 7)]).await;
    assert!(forget("plain", 7, None).await);
    assert_eq!(found(&store, "plain").await, None);
    save(&store, 2, vec![begun(&body("plain", b"{}"), Standing::Active)]).await;

    let store = opens.reopen(store).await;
    assert!(found(&store, "plain").await.is_some(), "it has begun again");
    assert_eq!(ended(&store).await, Vec::<String>::new());
    assert_eq!(store.purge(Timestamp(u64::MAX), 100).await.expect("a purge").removed, 0);
    assert_eq!(load_all(&store, 10).await.len(), 2, "nothing but what is open is loaded");
    let stored = found(&store, "resolved").await.expect("what is left");
    assert!(stored.body.branches.is_empty());
    let txn = Transaction::load(&stored.body, stored.history, Timestamp(9));
    assert_eq!((txn.outcome(), txn.forgotten, txn.digest), (Some(Outcome::Committed), true, [0xda; 32]));
}
