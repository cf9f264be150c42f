//! What is asked of a lane, and what it may say (protocol §3, §5).
use crate::lane::Lane;
use crate::open::{Finding, Slot};
use crate::plant::Bug;
use crate::record::Stored;
use crate::request::{Admission, Answer, Begin, Found, Output, Refusal, Request, Ticket, Wait};
use std::sync::Arc;
use unanim_engine::{
    Body, BranchId, BranchSpec, Decision, Durability, Event, Gid, Outcome, Phase, Rejection, Timestamp, Transaction,
};

/// Beyond so many unsaved bytes nothing joins a transaction until they are saved.
const RECORD_BYTES_MAX: usize = 32 << 20;

impl Lane {
    pub(crate) fn request(
        &mut self,
        ticket: Ticket,
        gid: Gid,
        request: Request,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        if self.ended() {
            return refuse(ticket, Refusal::Unavailable, out);
        }
        match (self.slots.get_mut(&gid), &request) {
            (Some(Slot::Open(_)), _) => self.apply(ticket, &gid, request, now, out),
            (Some(Slot::Finding(_)), _) if self.plant.has(Bug::NoFindQueue) => {
                self.absent(ticket, &gid, request, now, out)
            }
            (Some(Slot::Finding(finding)), _) => finding.later.push((ticket, request)),
            (None, Request::Begin(begin)) if begin.fresh => self.absent(ticket, &gid, request, now, out),
            (None, Request::Inquire(Some(_))) if self.plant.has(Bug::PresumeFromMemory) => {
                out.push(Output::Answer(ticket, Answer::Outcome(Some(Outcome::Aborted))));
            }
            (None, _) => {
                let finding = Finding { asked: vec![(ticket, request)], later: Vec::new() };
                self.slots.insert(gid.clone(), Slot::Finding(Box::new(finding)));
                out.push(Output::Find(gid));
            }
        }
    }

    /// Whoever held the ticket is gone.
    pub(crate) fn gone(&mut self, ticket: Ticket, gid: &Gid) {
        match self.slots.get_mut(gid) {
            Some(Slot::Open(open)) => {
                if let Some(watchers) = open.watchers() {
                    watchers.waiters.remove(&ticket);
                    watchers.followers.remove(&ticket);
                }
            }
            // What it asked for still happens, as if it had been gone a moment later.
            Some(Slot::Finding(_)) | None => {}
        }
    }

    /// Whoever holds the ticket wants its answer now; where it waits for nothing, that is on its way.
    pub(crate) fn hurry(&mut self, ticket: Ticket, gid: &Gid, now: Timestamp, out: &mut Vec<Output>) {
        let waited = match self.slots.get_mut(gid) {
            Some(Slot::Open(open)) => {
                let Some(watchers) = open.watchers() else { return };
                if watchers.followers.remove(&ticket).is_some() {
                    return self.follow(ticket, gid, 0, now, out);
                }
                watchers.waiters.remove(&ticket).is_some()
            }
            Some(Slot::Finding(finding)) => {
                let mut all = finding.asked.iter_mut().chain(&mut finding.later);
                if let Some((_, request)) = all.find(|(held, _)| *held == ticket) {
                    request.without_waiting();
                }
                false
            }
            None => false,
        };
        if waited {
            self.tell_all(&[ticket], gid, now, out);
        }
    }

    pub(crate) fn found(&mut self, gid: &Gid, found: Found, now: Timestamp, out: &mut Vec<Output>) {
        let finding = match self.slots.get_mut(gid) {
            // Loaded meanwhile.
            Some(Slot::Open(open)) => {
                open.finding = false;
                return self.forget(gid);
            }
            Some(Slot::Finding(finding)) => std::mem::take(&mut **finding),
            None => return,
        };
        match found {
            Found::Unreadable => {
                self.slots.remove(gid);
                let all = finding.asked.into_iter().chain(finding.later);
                all.for_each(|(ticket, _)| refuse(ticket, Refusal::Unavailable, out));
            }
            Found::Record(stored) => self.found_record(gid, *stored, finding, now, out),
            Found::Absent => self.found_nothing(gid, finding, now, out),
        }
    }

    /// Once all open ones are in memory, what the store has is finished; the same code answers from it.
    fn found_record(&mut self, gid: &Gid, stored: Stored, finding: Finding, now: Timestamp, out: &mut Vec<Output>) {
        let txn = Transaction::load(&stored.body, stored.history, now);
        let all = finding.asked.into_iter().chain(finding.later);
        if !txn.finished() {
            // Not loaded yet; or, after loading, somebody else's by now.
            let refusal = if self.is_loading() { Refusal::Loading } else { Refusal::Unavailable };
            self.slots.remove(gid);
            return all.for_each(|(ticket, _)| refuse(ticket, refusal.clone(), out));
        }
        self.insert(txn, None);
        all.for_each(|(ticket, request)| self.apply(ticket, gid, request, now, out));
        self.forget(gid);
    }

    fn found_nothing(&mut self, gid: &Gid, finding: Finding, now: Timestamp, out: &mut Vec<Output>) {
        self.slots.remove(gid);
        for (ticket, request) in finding.asked {
            match self.slots.get(gid) {
                Some(_) => self.apply(ticket, gid, request, now, out),
                None => self.absent(ticket, gid, request, now, out),
            }
        }
        if finding.later.is_empty() {
            return;
        }
        match self.slots.get(gid) {
            Some(_) => {
                finding.later.into_iter().for_each(|(ticket, request)| self.apply(ticket, gid, request, now, out))
            }
            None => {
                let again = Finding { asked: finding.later, later: Vec::new() };
                self.slots.insert(gid.clone(), Slot::Finding(Box::new(again)));
                out.push(Output::Find(gid.clone()));
            }
        }
    }

    /// Neither in memory nor in the store.
    fn absent(&mut self, ticket: Ticket, gid: &Gid, request: Request, now: Timestamp, out: &mut Vec<Output>) {
        match request {
            Request::Begin(begin) => self.begin(ticket, gid, *begin, now, out),
            // Presumed abort: the store was asked, and nobody ever promised anything about this gid.
            Request::Inquire(Some(_)) => out.push(Output::Answer(ticket, Answer::Outcome(Some(Outcome::Aborted)))),
            Request::Join(..)
            | Request::Decide { .. }
            | Request::Read
            | Request::Retry
            | Request::Resolve(..)
            | Request::Follow { .. }
            | Request::Inquire(None) => {
                refuse(ticket, Refusal::NotFound, out);
            }
        }
    }

    fn begin(&mut self, ticket: Ticket, gid: &Gid, begin: Begin, now: Timestamp, out: &mut Vec<Output>) {
        if self.admission != Admission::Open {
            return refuse(ticket, Refusal::NotAdmitted(self.admission), out);
        }
        if begin.start && begin.branches.is_empty() {
            return refuse(ticket, Refusal::NoBranches, out);
        }
        let Begin { mode, digest, timeout_ms, retry, mut branches, start, wait, fresh: _ } = begin;
        self.texts.share(&mut branches);
        let body = Body {
            gid: gid.clone(),
            mode,
            digest,
            created_at: now,
            deadline_at: now.after(timeout_ms),
            retry,
            branches,
        };
        let txn = match Transaction::begin(&body, &self.settings.transaction) {
            Ok(txn) => txn,
            Err(rejection) => return refuse(ticket, Refusal::from(rejection), out),
        };
        if !self.has_room_for(1, txn.bytes()) {
            return refuse(ticket, Refusal::TooManyOpen, out);
        }
        self.insert(txn, Some(Box::new(body)));
        self.changed(gid, Durability::Forced, now, out);
        if start {
            self.step(gid, Event::Requested(Decision::Commit, None), now, out)
                .expect("an active transaction with branches commits");
        }
        self.wait_or_tell(ticket, gid, wait, now, out);
    }

    fn apply(&mut self, ticket: Ticket, gid: &Gid, request: Request, now: Timestamp, out: &mut Vec<Output>) {
        if self.entry(gid).txn.forgotten {
            return self.tell_what_is_left(ticket, gid, &request, now, out);
        }
        match request {
            Request::Begin(begin) => {
                if self.entry(gid).txn.digest != begin.digest && !self.plant.has(Bug::DigestIgnored) {
                    return self.tell_refusal(ticket, gid, Refusal::GidConflict, now, out);
                }
                self.wait_or_tell(ticket, gid, begin.wait, now, out);
            }
            Request::Join(branches, wait) => match self.join(gid, branches, now, out) {
                Ok(()) => self.wait_or_tell(ticket, gid, wait, now, out),
                Err(refusal) => self.tell_refusal(ticket, gid, refusal, now, out),
            },
            Request::Decide { decision, branches, timeout_ms, wait } => {
                let deadline_at = timeout_ms.map(|ms| now.after(ms));
                let done = self.join(gid, branches, now, out).and_then(|()| {
                    self.step(gid, Event::Requested(decision, deadline_at), now, out).map_err(Refusal::from)
                });
                match done {
                    Ok(()) => self.wait_or_tell(ticket, gid, wait, now, out),
                    Err(refusal @ Refusal::NoBranches) => {
                        // A session that is over without knowing may lack branches; only a save tells (an empty one).
                        self.changed(gid, Durability::Forced, now, out);
                        self.tell_refusal(ticket, gid, refusal, now, out);
                    }
                    Err(refusal) => self.tell_refusal(ticket, gid, refusal, now, out),
                }
            }
            Request::Read => self.wait_or_tell(ticket, gid, None, now, out),
            Request::Retry => {
                self.step(gid, Event::Retried, now, out).expect("a retry is never rejected");
                self.wait_or_tell(ticket, gid, None, now, out);
            }
            Request::Resolve(id, resolution) => {
                match self.step(gid, Event::Resolved(id, resolution), now, out).map_err(Refusal::from) {
                    Ok(()) => self.wait_or_tell(ticket, gid, None, now, out),
                    Err(refusal) => self.tell_refusal(ticket, gid, refusal, now, out),
                }
            }
            Request::Follow { after, wait } => self.follow(ticket, gid, if wait { after } else { 0 }, now, out),
            Request::Inquire(branch) => self.inquire(ticket, gid, branch.as_ref(), now, out),
        }
    }

    fn join(
        &mut self,
        gid: &Gid,
        branches: Vec<Arc<BranchSpec>>,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        if branches.is_empty() {
            return Ok(());
        }
        let open = self.entry(gid);
        let new = branches.iter().filter(|spec| open.txn.find(&spec.id).is_none());
        let bytes: usize = new.map(|spec| spec.bytes()).sum();
        let unsaved_bytes = open.unsaved_bytes;
        if open.txn.phase == Phase::Active && bytes > 0 {
            if self.admission == Admission::DiskFull {
                return Err(Refusal::NotAdmitted(Admission::DiskFull));
            }
            // What joins while a batch is being written goes into one record, and no store takes one of any size.
            if unsaved_bytes > RECORD_BYTES_MAX || !self.has_room_for(0, bytes) {
                return Err(Refusal::TooManyOpen);
            }
        }
        Ok(self.step(gid, Event::Joined(branches), now, out)?)
    }

    /// Active: undecided. Past Active, a branch that the record does not list was never part of it.
    fn inquire(&mut self, ticket: Ticket, gid: &Gid, branch: Option<&BranchId>, now: Timestamp, out: &mut Vec<Output>) {
        let txn = &self.entry(gid).txn;
        let never_was = branch.is_some_and(|id| txn.phase != Phase::Active && txn.find(id).is_none());
        let outcome = if never_was { Some(Outcome::Aborted) } else { txn.outcome() };
        self.tell(ticket, gid, Answer::Outcome(outcome), now, out);
    }

    fn wait_or_tell(&mut self, ticket: Ticket, gid: &Gid, wait: Option<Wait>, now: Timestamp, out: &mut Vec<Output>) {
        let open = self.entry(gid);
        match wait {
            Some(wait) if !open.reached(wait) => drop(open.watch().waiters.insert(ticket, wait)),
            Some(_) | None => self.tell_all(&[ticket], gid, now, out),
        }
    }

    fn tell_refusal(&mut self, ticket: Ticket, gid: &Gid, refusal: Refusal, now: Timestamp, out: &mut Vec<Output>) {
        self.tell(ticket, gid, Answer::Refused(refusal), now, out);
    }
}

pub(crate) fn refuse(ticket: Ticket, refusal: Refusal, out: &mut Vec<Output>) {
    out.push(Output::Answer(ticket, Answer::Refused(refusal)));
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Refusal {
        match rejection {
            Rejection::Closed(phase) => Refusal::Closed(phase),
            Rejection::OnePhase => Refusal::OnePhase,
            Rejection::AlreadyDecided(outcome) => Refusal::AlreadyDecided(outcome),
            Rejection::BranchConflict(id) => Refusal::BranchConflict(id),
            Rejection::TooManyBranches(max) => Refusal::TooManyBranches(max),
            Rejection::PayloadTooLarge(id, max) => Refusal::PayloadTooLarge(id, max),
            Rejection::NotDecided(phase) => Refusal::NotDecided(phase),
            Rejection::NoSuchBranch(id) => Refusal::NoSuchBranch(id),
            Rejection::BranchEnded(id, outcome) => Refusal::BranchEnded(id, outcome),
            Rejection::NoBranches => Refusal::NoBranches,
        }
    }
}
