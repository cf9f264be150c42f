//! Between a node and the store: saves that are sent again until their outcome is known, look-ups, slices.
use crate::agenda::{Event, Place};
use crate::store::{Cursor, LaneKey};
use crate::world::World;
use std::rc::Rc;
use unanim_coordinator::{Batch, Found, Input, Loading, Saved, Stored};
use unanim_engine::Gid;

/// After so long without an answer the identical batch is sent again.
const SAVE_TIMEOUT: u64 = 300;

impl World {
    pub(crate) fn save(&mut self, place: Place, batch: Rc<Batch>) {
        let (seen, number) = (self.nodes[place.node].seen, batch.number);
        self.send(Event::Save { place, seen, batch });
        self.after(SAVE_TIMEOUT, Event::SaveTimeout { place, number });
    }

    pub(crate) fn save_arrives(&mut self, place: Place, seen: u64, batch: &Batch) {
        let result = self.store.save(place.serial, seen, batch, self.tick, self.scenario.flaws);
        match self.hop() {
            Some(ms) => self.after(ms, Event::Saved { place, number: batch.number, result }),
            None => self.count("lost save answers"),
        }
    }

    pub(crate) fn saved_arrives(&mut self, place: Place, number: u64, result: Result<u64, Option<LaneKey>>) {
        if !self.is_current(place) || self.nodes[place.node].saving.as_ref().is_none_or(|b| b.number != number) {
            return;
        }
        let revision = match result {
            Ok(revision) => Some(revision),
            // Its own number is there: it was applied, and that answer was lost.
            Err(Some(key)) if key.batch == number => Some(key.mod_revision),
            Err(_) => None,
        };
        let batch = self.nodes[place.node].saving.take();
        match (revision, batch) {
            (Some(revision), Some(batch)) => {
                self.nodes[place.node].seen = revision;
                self.nodes[place.node].watch.applied(&batch);
                self.hand(place, Input::Saved(Saved::Applied));
            }
            _ => {
                self.count("fenced saves");
                self.hand(place, Input::Saved(Saved::Fenced));
            }
        }
    }

    pub(crate) fn save_timeout(&mut self, place: Place, number: u64) {
        if self.is_current(place)
            && let Some(batch) = self.nodes[place.node].saving.clone()
            && batch.number == number
        {
            self.save(place, batch);
        }
    }

    pub(crate) fn find_arrives(&mut self, place: Place, gid: Gid) {
        let stored = match self.scenario.flaws.stale_find {
            true => self.nodes[place.node].old.get(&gid).cloned(),
            false => self.store.kept.get(&gid).map(|kept| kept.stored()),
        };
        let found = match stored {
            _ if self.faulty() && self.choices.permille(10) => Found::Unreadable,
            Some(stored) => Found::Record(Box::new(stored)),
            None => Found::Absent,
        };
        let ms = self.delay();
        self.after(ms, Event::Found { place, gid, found });
    }

    pub(crate) fn found_arrives(&mut self, place: Place, gid: Gid, found: Found) {
        if self.is_current(place) {
            self.nodes[place.node].finds -= 1;
            self.hand(place, Input::Found(gid, found));
        }
    }

    pub(crate) fn load_arrives(&mut self, place: Place, cursor: &Cursor) {
        let most = 1 + self.choices.below(4) as usize;
        let (slice, next) = self.store.slice(cursor, most, self.scenario.flaws);
        let ms = 1 + self.choices.below(60);
        self.after(ms, Event::Loaded { place, slice, next });
    }

    pub(crate) fn loaded_arrives(&mut self, place: Place, slice: Vec<Stored>, next: Option<Cursor>) {
        if !self.is_current(place) {
            return;
        }
        self.count("slices");
        let loading = if next.is_some() { Loading::More } else { Loading::Over };
        let (tick, node) = (self.tick, &mut self.nodes[place.node]);
        node.loading = next.is_some();
        node.watch.loaded(tick, &slice, loading);
        // A read that was repeated may bring the same twice.
        if self.choices.permille(50) {
            self.hand(place, Input::Loaded(slice.clone(), Loading::More));
        }
        self.hand(place, Input::Loaded(slice, loading));
        if let Some(cursor) = next {
            let ms = 1 + self.choices.below(30);
            self.after(ms, Event::Load { place, cursor });
        }
    }
}
