//! When transactions are to be woken. In memory only: after a load everything open is due.
use std::collections::BTreeSet;
use unanim_engine::{Gid, Timestamp};

#[derive(Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Timestamp, Gid)>,
}

impl Timers {
    /// Moves a transaction's timer to an earlier instant. A later one is left for the wake to find: spurious wakes are
    /// harmless, and most transactions end before theirs.
    pub(crate) fn arm(&mut self, gid: &Gid, armed: &mut Option<Timestamp>, due: Option<Timestamp>) {
        match (*armed, due) {
            (_, None) => {}
            (Some(armed_at), Some(due)) if armed_at <= due => {}
            (_, Some(due)) => {
                self.disarm(gid, armed);
                self.due.insert((due, gid.clone()));
                *armed = Some(due);
            }
        }
    }

    pub(crate) fn disarm(&mut self, gid: &Gid, armed: &mut Option<Timestamp>) {
        if let Some(at) = armed.take() {
            self.due.remove(&(at, gid.clone()));
        }
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next one that is due by now.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<Gid> {
        if self.next()? > now {
            return None;
        }
        self.due.pop_first().map(|(_, gid)| gid)
    }
}
