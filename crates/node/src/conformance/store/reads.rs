//! What is read for people: histories, and what has ended.
use super::{begun, body, changed, event, save};
use crate::ports::{EndedCursor, Excerpt, LoadCursor, Store};
use std::collections::BTreeSet;
use unanim_coordinator::{Record, Standing};
use unanim_engine::{Gid, HistoryEvent, Recorded, Timestamp};

/// The events of one transaction from any number on, however they were written.
pub(super) async fn histories(store: &impl Store) {
    let stuck_at = |seq: u64| HistoryEvent { at: Timestamp(seq), what: Recorded::Stuck };
    let all: Vec<HistoryEvent> = (2..30).map(stuck_at).collect();
    let (first, rest) = all.split_at(3);
    let begin = Record { change: Record::encode_change(first), ..begun(&body("a", b"{}"), Standing::Active) };
    save(store, 1, vec![begin, begun(&body("b", b"{}"), Standing::Active)]).await;
    let (mut number, mut seq) = (2, 5);
    // Changes of one, two, three events, and so on.
    let mut left = rest;
    while !left.is_empty() {
        let (change, others) = left.split_at(left.len().min(number as usize - 1));
        let standing = if others.is_empty() { Standing::Finished(Timestamp(9)) } else { Standing::Preparing };
        save(store, number, vec![changed("a", seq, change, standing)]).await;
        (number, seq, left) = (number + 1, seq + change.len() as u64, others);
    }
    let excerpt = async |gid: &str, from, most| {
        store.history(&Gid::new(gid).expect("a gid"), from, most).await.expect("a history")
    };
    for from in 0..32_u64 {
        for most in [1, 2, 7, 100] {
            let first_seq = from.max(2);
            let mut events: Vec<_> = all.iter().filter(|event| event.at.0 >= first_seq).cloned().collect();
            let more = events.len() > most;
            events.truncate(most);
            let expected = Excerpt { first_seq, events, more, finished: true };
            assert_eq!(excerpt("a", from, most).await, Some(expected), "at most {most} from {from} on");
        }
    }
    let none = Excerpt { first_seq: 2, events: vec![], more: false, finished: false };
    assert_eq!(excerpt("b", 0, 10).await, Some(none), "nothing has happened since it began");
    assert_eq!(excerpt("c", 0, 10).await, None);
}

pub(super) async fn lists_what_has_ended(store: &impl Store) {
    // Three end at each instant; every second of them is one that had been open before.
    let ended_at = |n: u64| Timestamp(10 + n / 3);
    // Names as earlier versions let them in; no new one has such a mark.
    let gid = |n: u64| format!("order\u{202e}-{n:02}");
    let mut records: Vec<_> = (0..40).map(|n| begun(&body(&gid(n), b"{}"), Standing::Decided)).collect();
    records.push(begun(&body("open", b"{}"), Standing::Active));
    let records_max = store.limits().records_max;
    let mut number = 0;
    for records in records.chunks(records_max) {
        number += 1;
        save(store, number, records.to_vec()).await;
    }
    for n in 0..40 {
        number += 1;
        let end = changed(&gid(n), 3, &[event(Recorded::Stuck)], Standing::Finished(ended_at(n)));
        save(store, number, vec![end]).await;
    }
    let list = async |at: u64, most: usize| {
        let (mut listed, mut cursor) = (Vec::new(), EndedCursor { at: Timestamp(at), after: None });
        loop {
            let slice = store.ended(&cursor, most).await.expect("a slice");
            assert!(slice.stored.len() <= most, "{} in a slice of at most {most}", slice.stored.len());
            listed.extend(slice.stored.into_iter().map(|stored| stored.body.gid.as_str().to_owned()));
            let Some(next) = slice.next else { return listed };
            assert!(next != cursor && next.at <= cursor.at, "listing goes on");
            cursor = next;
        }
    };
    for (at, first) in [(u64::MAX, 40), (23, 40), (22, 39), (12, 9), (10, 3), (9, 0)] {
        for most in [1, 2, 3, 7, 100] {
            let listed = list(at, most).await;
            let expected: BTreeSet<String> = (0..first).map(gid).collect();
            assert_eq!((listed.len(), listed.iter().cloned().collect()), (first as usize, expected), "until {at}");
            let instants = listed.iter().map(|name| (0..40).find(|n| gid(*n) == *name).map(ended_at));
            assert!(instants.rev().is_sorted(), "those that ended last come first");
        }
    }
    let place = EndedCursor { at: Timestamp(11), after: Some(Gid::new(&gid(4)).expect("a gid")) };
    assert_eq!(store.purge(Timestamp(12), 100).await.expect("a purge").removed, 6);
    assert!(store.ended(&place, 10).await.expect("a slice").stored.is_empty(), "all before it is purged");
}

/// A place that was read last may have ended, been purged and begun again meanwhile: what is behind it comes all the same.
pub(super) async fn loads_past_what_began_again(store: &impl Store) {
    let begin = |gid: &str| begun(&body(gid, b"{}"), Standing::Preparing);
    save(store, 1, ["a", "b", "c", "d"].map(begin).into()).await;
    let mut cursor = LoadCursor { standing: Standing::Preparing, after: None };
    let mut loaded = Vec::new();
    for number in 1.. {
        let slice = store.load(&cursor, 1).await.expect("a slice");
        for gid in slice.stored.into_iter().map(|stored| stored.body.gid) {
            let end = changed(gid.as_str(), 3, &[event(Recorded::Finished)], Standing::Finished(Timestamp(number)));
            save(store, 2 * number, vec![end]).await;
            assert_eq!(store.purge(Timestamp(number + 1), 10).await.expect("a purge").removed, 1);
            if !loaded.contains(&gid) {
                save(store, 2 * number + 1, vec![begin(gid.as_str())]).await;
            }
            loaded.push(gid);
        }
        match slice.next {
            Some(next) if next.standing == Standing::Preparing => cursor = next,
            Some(_) | None => break,
        }
    }
    let loaded: BTreeSet<_> = loaded.iter().map(Gid::as_str).collect();
    assert_eq!(loaded, BTreeSet::from(["a", "b", "c", "d"]));
}
