//! What a step changed that is counted, and what people are told of it.
use crate::lane::Lane;
use crate::open::Slot;
use crate::request::{Alert, Output};
use unanim_engine::{BranchIndex, CallState, Event, Gid, Heuristic, Outcome, Phase, Reply, Transaction};

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
    /// What a branch says of its end otherwise than a person did; nothing is recorded of it.
    denying: Option<(BranchIndex, Heuristic)>,
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
            denying: denying(txn, event),
        }
    }
}

impl Lane {
    pub(crate) fn count(&mut self, gid: &Gid, before: &Before, out: &mut Vec<Output>) {
        let Some(Slot::Open(open)) = self.slots.get_mut(gid) else { return };
        let Before { stuck, finished, decided, phase, branches, reporting, denying } = *before;
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
        if let Some((index, heuristic)) = denying {
            let id = open.txn.branches[index as usize].spec.id.clone();
            out.push(Output::Alert(gid.clone(), Alert::Heuristic(id, heuristic)));
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

/// The answer to a call that was under way when a person said how its branch had ended, where the two differ.
fn denying(txn: &Transaction, event: &Event) -> Option<(BranchIndex, Heuristic)> {
    let Event::Replied { branch: index, op, attempt, reply: Reply::Heuristic(heuristic) } = event else { return None };
    let branch = txn.branches.get(*index as usize)?;
    let is_its_answer = branch.call == CallState::Calling(*op) && branch.attempts == *attempt;
    let said = match branch.resolution.as_ref()?.outcome {
        Outcome::Committed => Heuristic::Commit,
        Outcome::Aborted => Heuristic::Rollback,
    };
    (is_its_answer && *heuristic != said).then_some((*index, *heuristic))
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
