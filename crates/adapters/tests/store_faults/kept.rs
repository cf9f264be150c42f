//! What a store must hold: how far each transaction has come.
use std::collections::BTreeMap;
use unanim_adapters::store::Embedded;
use unanim_coordinator::{Record, Standing};
use unanim_engine::{Gid, Outcome, Phase, Recorded, Timestamp};
use unanim_faulty_disk::Rng;
use unanim_node::conformance::store::{begun, body, changed, event};
use unanim_node::ports::{LoadCursor, Store};

/// By gid, how many events it has: collecting votes, decided, finished.
pub(crate) type Kept = BTreeMap<String, usize>;

pub(crate) const FINISHED: usize = 3;

/// Some of what a lane does at once: new transactions, and steps of old ones. What is kept afterwards.
pub(crate) fn batch(rng: &mut Rng, kept: &Kept, name: &str) -> (Vec<Record>, Kept) {
    let mut after = kept.clone();
    let mut records = Vec::new();
    for (gid, events) in kept.iter().filter(|(_, events)| **events < FINISHED) {
        if records.len() < 4 && rng.permille(200) {
            let (what, standing) = match events {
                1 => (Recorded::Decided(Outcome::Committed, None), Standing::Decided),
                _ => (Recorded::Finished, Standing::Finished(Timestamp(5))),
            };
            records.push(changed(gid, 2 + *events as u64, &[event(what)], standing));
            after.insert(gid.clone(), events + 1);
        }
    }
    for number in 0..=rng.below(3) {
        let gid = format!("{name}-{number}");
        let payload = vec![b'x'; rng.below(6000) as usize];
        records.push(begun(&body(&gid, &payload), Standing::Preparing));
        after.insert(gid, 1);
    }
    (records, after)
}

/// What a store holds of all that it could hold; an error where it contradicts itself.
pub(crate) async fn read(store: &Embedded, possible: &[Kept]) -> Result<Kept, String> {
    let mut kept = Kept::new();
    for gid in possible.iter().flat_map(Kept::keys) {
        let found = store.find(&Gid::new(gid).expect("a gid")).await.map_err(|error| format!("{gid}: {error}"))?;
        let Some(found) = found else { continue };
        assert_eq!(found.history[0].what, Recorded::Phase(Phase::Preparing, None));
        kept.insert(gid.clone(), found.history.len());
    }
    let open: Kept = kept.clone().into_iter().filter(|(_, events)| *events < FINISHED).collect();
    let loaded = load(store).await?;
    if loaded != open {
        return Err(format!("open are {open:?}, and it loads {loaded:?}"));
    }
    Ok(kept)
}

async fn load(store: &Embedded) -> Result<Kept, String> {
    let mut loaded = Kept::new();
    let mut next = Some(LoadCursor { standing: Standing::OPEN[0], after: None });
    while let Some(cursor) = next {
        let slice = store.load(&cursor, 100).await.map_err(|error| format!("loading: {error}"))?;
        for stored in slice.stored {
            let events = stored.history.len();
            if (cursor.standing == Standing::Decided) != (events == 2) {
                return Err(format!("{} has {events} events and is {:?}", stored.body.gid, cursor.standing));
            }
            loaded.insert(stored.body.gid.as_str().to_owned(), events);
        }
        next = slice.next;
    }
    Ok(loaded)
}
