//! What is said, and what it waits for (protocol §2, §5).
use crate::batch::{Held, Unsaved};
use crate::lane::Lane;
use crate::plant::Bug;
use crate::request::{Answer, Output, Ticket};
use crate::view::View;
use std::sync::Arc;
use unanim_engine::{Durability, Gid, Timestamp};

impl Lane {
    /// Tells the whole transaction as it stands, to all of them the same.
    pub(crate) fn tell_all(&mut self, tickets: &[Ticket], gid: &Gid, now: Timestamp, out: &mut Vec<Output>) {
        self.force_before_telling(gid, now, out);
        let open = self.entry(gid);
        let view = Arc::new(View::new(&open.txn, open.told_seq()));
        tickets.iter().for_each(|ticket| self.tell(*ticket, gid, Answer::Transaction(view.clone()), now, out));
    }

    /// Whatever is said about a transaction is durable first.
    pub(crate) fn tell(&mut self, ticket: Ticket, gid: &Gid, answer: Answer, now: Timestamp, out: &mut Vec<Output>) {
        if self.plant.has(Bug::ReadUnsaved) {
            return out.push(Output::Answer(ticket, answer));
        }
        self.force_before_telling(gid, now, out);
        let gate = self.entry(gid).gate();
        self.hold(gate, Held::Answer(ticket, answer), now, out);
    }

    /// Saying something about a transaction forces what was lazy. One exception: the end, after a durable decision.
    fn force_before_telling(&mut self, gid: &Gid, now: Timestamp, out: &mut Vec<Output>) {
        let open = self.entry(gid);
        if matches!(open.unsaved, Unsaved::Lazy(_)) && !open.txn.finished() {
            self.changed(gid, Durability::Forced, now, out);
        }
    }
}
