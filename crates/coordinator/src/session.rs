//! How a session begins, by loading what is open, and how it ends.
use crate::batch::Held;
use crate::figures::Figures;
use crate::lane::{Lane, State};
use crate::open::Slot;
use crate::plant::{Bug, all_said_yes};
use crate::record::Stored;
use crate::request::{Loading, Output, Refusal, Ticket};
use crate::requests::refuse;
use crate::timers::Timers;
use unanim_engine::{Timestamp, Transaction};

impl Lane {
    /// Recovery is a late timer.
    pub(crate) fn loaded(&mut self, slice: Vec<Stored>, loading: Loading, now: Timestamp, out: &mut Vec<Output>) {
        for mut stored in slice {
            if self.plant.has(Bug::VotesSurviveCrash) {
                all_said_yes(&mut stored, now);
            }
            self.load(stored, now, out);
        }
        if loading == Loading::Over {
            self.state = State::Loaded;
            self.ended_while_loading.clear();
        }
    }

    fn load(&mut self, mut stored: Stored, now: Timestamp, out: &mut Vec<Output>) {
        let gid = &stored.body.gid;
        // Begun by this lane, or handed in twice: memory knows better.
        let known = matches!(self.slots.get(gid), Some(Slot::Open(_))) || self.ended_while_loading.contains(gid);
        self.texts.share(&mut stored.body.branches);
        let txn = Transaction::load(&stored.body, stored.history, now);
        if known || txn.finished() {
            return;
        }
        let gid = stored.body.gid;
        let finding = match self.slots.remove(&gid) {
            Some(Slot::Finding(finding)) => Some(finding),
            Some(Slot::Open(_)) | None => None,
        };
        self.figures.stuck += usize::from(txn.stuck);
        self.figures.loaded += 1;
        self.insert(txn, None);
        let Some(Slot::Open(open)) = self.slots.get_mut(&gid) else { return };
        open.finding = finding.is_some();
        self.timers.arm(&gid, &mut open.armed, Some(now));
        let waiting = finding.into_iter().flat_map(|f| f.asked.into_iter().chain(f.later));
        waiting.for_each(|(ticket, request)| self.request(ticket, gid.clone(), request, now, out));
    }

    /// The session is over: nothing more is saved or called, and everybody who waits is told to ask again.
    pub(crate) fn abandon(&mut self, out: &mut Vec<Output>) {
        self.state = State::Ended;
        let held = self.batches.abandon().into_iter();
        let mut tickets: Vec<Ticket> = held
            .filter_map(|h| match h {
                Held::Answer(ticket, _) => Some(ticket),
                Held::Call(_) => None,
            })
            .collect();
        for (_, slot) in self.slots.drain() {
            match slot {
                Slot::Finding(finding) => tickets.extend(finding.asked.iter().chain(&finding.later).map(|(t, _)| *t)),
                Slot::Open(_) if self.plant.has(Bug::DropWaiters) => {}
                Slot::Open(open) => tickets.extend(open.tickets()),
            }
        }
        self.timers = Timers::default();
        self.begins.clear();
        self.figures = Figures { open: 0, open_bytes: 0, stuck: 0, open_in: Default::default(), ..self.figures };
        tickets.sort();
        tickets.into_iter().for_each(|ticket| refuse(ticket, Refusal::Unavailable, out));
    }
}
