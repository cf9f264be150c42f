//! What people outside have seen, and how everything must have ended.
use crate::participants::Hold;
use crate::world::World;
use unanim_coordinator::{Answer, Refusal, Request};
use unanim_engine::{BranchId, Gid, Outcome, Phase, Transaction};

impl World {
    /// Somebody outside now knows this.
    pub(crate) fn learned(&mut self, asked: usize, answer: &Answer) {
        let (gid, invoked) = (self.asked[asked].gid.clone(), self.asked[asked].invoked);
        if let Some(outcome) = told(answer).filter(|_| !self.is_no_branch(asked)) {
            self.saw(&gid, outcome, || format!("{answer:?}"));
        }
        let promised = self.seen.promised.get(&gid).is_some_and(|at| *at < invoked);
        if promised && *answer == Answer::Refused(Refusal::NotFound) {
            self.violated("promise lost", format!("{gid}: not found after it was begun"));
        }
        if let Answer::Transaction(view) = answer {
            let tick = self.tick;
            self.seen.promised.entry(gid.clone()).or_insert(tick);
            self.seen.joined.extend(view.branches.iter().map(|b| (gid.clone(), b.id.clone())));
        }
    }

    /// What participants still hold, but for what a person has ended.
    pub(crate) fn holding(&self) -> Vec<(Gid, BranchId)> {
        let resolved = |(gid, id): &(Gid, BranchId)| {
            self.store
                .txn(gid)
                .is_some_and(|txn| txn.find(id).is_some_and(|index| txn.branches[index as usize].resolution.is_some()))
        };
        self.participants.holding().into_iter().filter(|held| !resolved(held)).collect()
    }

    /// An inquiry about a branch that never joined says nothing about the transaction.
    fn is_no_branch(&self, asked: usize) -> bool {
        let asked = &self.asked[asked];
        match (&asked.request, self.store.txn(&asked.gid)) {
            (Request::Inquire(Some(id)), Some(txn)) => txn.find(id).is_none(),
            _ => false,
        }
    }

    pub(crate) fn saw(&mut self, gid: &Gid, outcome: Outcome, how: impl FnOnce() -> String) {
        match self.seen.outcomes.insert(gid.clone(), outcome) {
            Some(before) if before != outcome => {
                self.violated("another outcome", format!("{gid} was {before:?}, now {}", how()));
            }
            Some(_) | None => {}
        }
    }

    /// Faults have stopped long ago.
    pub(crate) fn at_the_end(&mut self) {
        let txns: Vec<Transaction> = self.store.kept.values().map(|kept| kept.txn.clone()).collect();
        for txn in &txns {
            if !txn.finished() {
                self.violated("not ended", format!("{} is {:?}: {:?}", txn.gid, txn.phase, txn.branches));
            }
            for branch in &txn.branches {
                // What a person has ended may have ended otherwise; nothing else may.
                if branch.resolution.is_none() {
                    self.branch_ended(txn, &branch.spec.id, branch.heuristic.is_some());
                }
            }
        }
        for (gid, branch) in self.holding() {
            self.violated("still held", format!("{gid} {branch}"));
        }
        for (gid, outcome) in self.seen.outcomes.clone() {
            if self.store.txn(&gid).is_some_and(|t| t.outcome() != Some(outcome)) {
                self.violated("another outcome", format!("{gid} was seen {outcome:?}"));
            }
        }
        for gid in self.seen.promised.clone().keys() {
            if self.store.txn(gid).is_none() {
                self.violated("promise lost", format!("{gid} is in no store"));
            }
        }
        for (gid, branch) in self.seen.joined.clone() {
            if self.store.txn(&gid).is_some_and(|t| t.find(&branch).is_none()) {
                self.violated("promise lost", format!("{branch} had joined {gid}"));
            }
        }
        self.everybody_was_answered();
    }

    /// All do the same: what was committed is committed everywhere, and what was aborted nowhere. A branch that finished
    /// on its own is excused where the record says so.
    fn branch_ended(&mut self, txn: &Transaction, branch: &BranchId, reported: bool) {
        let hold = self.participants.hold(&txn.gid, branch);
        let right = match (hold, txn.phase) {
            (Hold::ReadOnly, _) => true,
            (Hold::OnItsOwn(_), _) => reported,
            (Hold::Committed, Phase::Committed) => true,
            (Hold::Free | Hold::RolledBack, Phase::Aborted) => true,
            (Hold::Free | Hold::Prepared | Hold::Committed | Hold::RolledBack, _) => !txn.finished(),
        };
        match (right, hold) {
            (true, _) => {}
            (false, Hold::OnItsOwn(_)) => self.violated("heuristic lost", format!("{} {branch} {hold:?}", txn.gid)),
            (false, _) => {
                self.violated("not atomic", format!("{} ended {:?}, {branch} is {hold:?}", txn.gid, txn.phase))
            }
        }
    }

    fn everybody_was_answered(&mut self) {
        let mut waiting = Vec::new();
        for node in &self.nodes {
            waiting.extend(node.tickets.values().filter(|d| !d.gone).map(|d| d.asked));
            if let Some(lane) = &node.lane
                && lane.open() > 0
            {
                let what = format!("{} of session {}", lane.open(), node.serial);
                self.violation.get_or_insert(crate::world::Violation { oracle: "still in memory", what });
            }
        }
        for asked in waiting {
            let what = format!("{} {:?}", self.asked[asked].gid, self.asked[asked].request);
            self.violated("waiter dropped", what);
        }
        for client in 0..self.clients.len() {
            if !self.clients[client].gone && !self.clients[client].ended {
                let what = format!("the client of {} never learned the end", self.clients[client].gid);
                self.violated("waiter dropped", what);
            }
        }
    }
}

/// The outcome that an answer tells.
fn told(answer: &Answer) -> Option<Outcome> {
    match answer {
        Answer::Transaction(view) => view.outcome,
        Answer::Outcome(outcome) => *outcome,
        Answer::Refused(Refusal::AlreadyDecided(outcome)) => Some(*outcome),
        Answer::Refused(Refusal::Closed(phase)) => match phase {
            Phase::Committing | Phase::Committed => Some(Outcome::Committed),
            Phase::Aborting | Phase::Aborted => Some(Outcome::Aborted),
            Phase::Active | Phase::Preparing => None,
        },
        Answer::History { .. } | Answer::Refused(_) => None,
    }
}
