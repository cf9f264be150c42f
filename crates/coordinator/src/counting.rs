//! What a step changed that is counted, and what people are told of it.
use crate::lane::Lane;
use crate::open::Slot;
use crate::request::{Alert, Output};
use unanim_engine::{BranchIndex, Event, Gid, Outcome, Phase, Reply, Transaction};

/// Branches that an alert names.
const NAMED_MAX: usize = 10;

/// What is compared after a step.
pub(crate) struct Before {
    stuck: bool,
    finished: bool,
    decided: bool,
    phase: Phase,
    branches: usize,
    /// The branch that reports to have finished on its own, where it had not before.
    reporting: Option<BranchIndex>,
}

impl Before {
    pub(crate) fn of(txn: &Transaction, event: &Event) -> Before {
        let reporting = match event {
            Event::Replied { branch, reply: Reply::Heuristic(_), .. } => Some(*branch),
            Event::Resolved(id, _) => txn.find(id),
            Event::Replied { .. } | Event::Joined(_) | Event::Requested(..) | Event::Woke | Event::Retried => None,
        };
        let had_none = |index: &BranchIndex| txn.branches.get(*index as usize).is_some_and(|b| b.heuristic.is_none());
        Before {
            stuck: txn.stuck,
            finished: txn.finished(),
            decided: txn.decided_at.is_some(),
            phase: txn.phase,
            branches: txn.branches.len(),
            reporting: reporting.filter(had_none),
        }
    }
}

impl Lane {
    pub(crate) fn count(&mut self, gid: &Gid, before: &Before, out: &mut Vec<Output>) {
        let Some(Slot::Open(open)) = self.slots.get_mut(gid) else { return };
        let Before { stuck, finished, decided, phase, branches, reporting } = *before;
        if phase != open.txn.phase {
            self.figures.moved(Some(phase), Some(open.txn.phase));
            if !decided && open.txn.decided_at.is_some() {
                self.figures.decided(&open.txn);
            }
        }
        if let Some(branch) = reporting.and_then(|index| open.txn.branches.get(index as usize))
            && let Some(heuristic) = branch.heuristic
        {
            out.push(Output::Alert(gid.clone(), Alert::Heuristic(branch.spec.id.clone(), heuristic)));
        }
        match (stuck, open.txn.stuck) {
            (false, true) => {
                self.figures.stuck += 1;
                out.push(Output::Alert(gid.clone(), stuck_alert(&open.txn)));
            }
            (true, false) => self.figures.stuck -= 1,
            (true, true) | (false, false) => {}
        }
        if open.txn.branches.len() > branches {
            let more: usize = open.txn.branches[branches..].iter().map(|b| b.spec.bytes()).sum();
            open.bytes += more;
            open.unsaved_bytes += more;
            self.figures.open_bytes += more;
        }
        if !finished && open.txn.finished() {
            match open.txn.outcome() {
                Some(Outcome::Committed) => self.figures.committed += 1,
                Some(Outcome::Aborted) | None => self.figures.aborted += 1,
            }
            self.figures.heuristics += u64::from(open.txn.heuristic().is_some());
        }
    }
}

/// Who is waited for. Looks at all branches, once in a phase.
fn stuck_alert(txn: &Transaction) -> Alert {
    let (mut first, mut count) = (Vec::new(), 0);
    for (branch, index) in txn.branches.iter().zip(0..) {
        if txn.op().is_some_and(|op| txn.wants_call(index, op)) {
            count += 1;
            if first.len() < NAMED_MAX {
                first.push(branch.spec.id.clone());
            }
        }
    }
    Alert::Stuck { phase: txn.phase, first, count }
}
