//! Whether a history could have happened: what a store hands back is input like any other.
use crate::{Body, HistoryEvent, Op, Outcome, Phase, Recorded, Transaction};

impl Transaction {
    /// Checks a history against its body, so that [`Transaction::load`] can rely on it.
    ///
    /// # Errors
    /// The number of the first event that cannot have happened.
    pub fn check(body: &Body, history: &[HistoryEvent]) -> Result<(), u64> {
        let mut txn = Transaction::new(body);
        for event in history {
            if !txn.can_record(&event.what) {
                return Err(txn.seq + 1);
            }
            txn.apply(event);
        }
        Ok(())
    }

    fn can_record(&self, what: &Recorded) -> bool {
        let branch = |index: &u32| self.branches.get(*index as usize);
        match what {
            Recorded::BranchAdded(_) => self.phase == Phase::Active,
            Recorded::Phase(phase, _) => *phase == Phase::Preparing && self.phase.may_become(*phase),
            Recorded::Voted(index, _) => {
                self.phase == Phase::Preparing && branch(index).is_some_and(|b| b.vote.is_none() && !b.done)
            }
            Recorded::Decided(Outcome::Committed, _) => self.phase.may_become(Phase::Committing),
            Recorded::Decided(Outcome::Aborted, reason) => {
                let refusing = reason.as_ref().and_then(|r| r.branch);
                self.phase.may_become(Phase::Aborting) && refusing.is_none_or(|index| branch(&index).is_some())
            }
            Recorded::Acknowledged(index) => {
                // A vote is no acknowledgement; one-phase, the answer is both.
                let op = self.op().filter(|op| *op != Op::Prepare);
                op.is_some_and(|op| branch(index).is_some_and(|b| self.mode.needs(self, op, b)))
            }
            Recorded::Resolved(index, _) => {
                let decides = self.one_phase() && self.stuck;
                let op = self.op().filter(|op| *op != Op::Prepare && (*op != Op::CommitOnePhase || decides));
                op.is_some_and(|op| branch(index).is_some_and(|b| self.mode.needs(self, op, b)))
            }
            Recorded::Heuristic(index, _) => !self.finished() && branch(index).is_some(),
            Recorded::Stuck => !self.finished(),
            Recorded::Forgotten => self.finished() && !self.forgotten,
            Recorded::Finished => matches!(self.phase, Phase::Committing | Phase::Aborting),
        }
    }
}
