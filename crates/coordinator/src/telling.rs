//! What is said, and what it waits for (protocol §2, §5).
use crate::batch::{Held, Unsaved};
use crate::lane::Lane;
use crate::open::{Decided, Slot};
use crate::plant::Bug;
use crate::request::{Answer, Output, Refusal, Request, Ticket};
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

    /// A person has forgotten it, but for its gid, which must not begin again, and its outcome, which a participant may ask.
    pub(crate) fn tell_what_is_left(
        &mut self,
        ticket: Ticket,
        gid: &Gid,
        request: &Request,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let answer = match request {
            Request::Inquire(_) => Answer::Outcome(self.entry(gid).txn.outcome()),
            Request::Begin(_) => Answer::Refused(Refusal::GidConflict),
            Request::Join(..) | Request::Decide { .. } | Request::Read => Answer::Refused(Refusal::NotFound),
            Request::Retry | Request::Resolve(..) | Request::Follow { .. } => Answer::Refused(Refusal::NotFound),
        };
        self.tell(ticket, gid, answer, now, out);
    }

    /// Tells how far its history is durable, once that is further than this: beyond 0 as soon as anything may be said.
    pub(crate) fn follow(&mut self, ticket: Ticket, gid: &Gid, after: u64, now: Timestamp, out: &mut Vec<Output>) {
        let open = self.entry(gid);
        if !open.is_news(after) {
            open.watch().followers.insert(ticket, after);
            return;
        }
        let answer = Answer::History { seq: open.durable_seq, finished: open.has_ended_durably() };
        self.hold(0, Held::Answer(ticket, answer), now, out);
    }

    /// A batch has made more of its history durable.
    pub(crate) fn tell_followers(&mut self, gid: &Gid, now: Timestamp, out: &mut Vec<Output>) {
        let Some(Slot::Open(open)) = self.slots.get_mut(gid) else { return };
        open.durable_seq = open.txn.taken_seq();
        if open.decided == Decided::Taken {
            open.decided = Decided::Durably;
        }
        if open.watchers().is_some() {
            let news = open.take_followers();
            news.into_iter().for_each(|ticket| self.follow(ticket, gid, 0, now, out));
        }
    }

    /// Saying something about a transaction forces what was lazy. One exception: the end, after a durable decision.
    fn force_before_telling(&mut self, gid: &Gid, now: Timestamp, out: &mut Vec<Output>) {
        let open = self.entry(gid);
        if matches!(open.unsaved, Unsaved::Lazy(_)) && !open.txn.finished() {
            self.changed(gid, Durability::Forced, now, out);
        }
    }
}
