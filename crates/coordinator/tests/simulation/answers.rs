//! What justifies an answer.
use crate::agenda::Place;
use crate::nodes::Delivery;
use crate::store::Kept;
use crate::world::World;
use std::sync::Arc;
use unanim_coordinator::{Answer, Refusal, Request, View, Wait};
use unanim_engine::{Branch, BranchSpec, BranchState, Decision, Gid, Heuristic, Op, Outcome, Phase, Transaction, Vote};

type Justified = Result<(), &'static str>;

fn ensure(holds: bool, otherwise: &'static str) -> Justified {
    if holds { Ok(()) } else { Err(otherwise) }
}

impl World {
    pub(crate) fn justified(&self, place: Place, delivery: &Delivery, answer: &Answer) -> Justified {
        let asked = &self.asked[delivery.asked];
        let kept = self.store.kept.get(&asked.gid);
        // It was not there at some instant since the request came in.
        let was_absent = kept.is_none_or(|kept| kept.appeared > delivery.handed);
        let decided = kept.is_some_and(|kept| kept.decided.is_some_and(|at| at < delivery.handed));
        ensure(!decided || !self.store.lives(place.serial) || !is_open(answer), "the owner withholds the outcome")?;
        match answer {
            Answer::Transaction(view) => {
                let kept = kept.ok_or("nothing is stored")?;
                self.view_is_stored(view, kept)?;
                self.view_answers(place, delivery.hurried, &asked.gid, &asked.request, view, &kept.txn)
            }
            Answer::Outcome(outcome) => outcome_is_stored(*outcome, &asked.request, kept, was_absent),
            Answer::History { seq, finished } => {
                let txn = &kept.ok_or("nothing is stored")?.txn;
                let Request::Follow { after, wait } = asked.request else { return Err("nobody follows") };
                ensure(*seq <= txn.seq, "its seq is not durable")?;
                ensure(!finished || (txn.finished() && txn.seq == *seq), "its end is not durable")?;
                ensure(!wait || delivery.hurried || *finished || *seq > after, "there is no news")
            }
            Answer::Refused(refusal) => self.refusal_is_right(place, delivery, refusal, kept, was_absent),
        }
    }

    fn view_is_stored(&self, view: &View, kept: &Kept) -> Justified {
        let txn = &kept.txn;
        let ended = matches!(view.phase, Phase::Committed | Phase::Aborted);
        ensure(view.seq <= txn.seq, "its seq is not durable")?;
        ensure(reached(txn, view.phase), "its phase is not durable")?;
        ensure(view.outcome.is_none() || view.outcome == txn.outcome(), "its outcome is not durable")?;
        ensure((view.gid == txn.gid) && (view.created_at == txn.created_at), "it is another one")?;
        ensure(view.branches.len() <= txn.branches.len(), "its branches are not durable")?;
        ensure(ended || !view.stuck || kept.was_stuck, "stuck is not durable")?;
        for (shown, stored) in view.branches.iter().zip(&txn.branches) {
            ensure(shown.id == stored.spec.id, "its branches are others")?;
            let durable = match shown.state {
                BranchState::Waiting | BranchState::Asked => true,
                BranchState::Yes => stored.vote == Some(Vote::Yes),
                BranchState::ReadOnly => stored.vote == Some(Vote::ReadOnly),
                BranchState::Refused => stored.vote == Some(Vote::Refused),
                // The end is told once the decision is durable.
                BranchState::Done => stored.done || ended,
                BranchState::Resolved => stored.resolution.is_some(),
            };
            ensure(durable, "a branch's state is not durable")?;
            ensure(shown.heuristic.is_none() || shown.heuristic == stored.heuristic, "a heuristic is not durable")?;
        }
        ensure(
            view.reason.as_ref().map(|r| r.code) == view.outcome.and(txn.reason.as_ref()).map(|r| r.code),
            "its reason is not durable",
        )
    }

    /// It is what was asked for, and what was waited for.
    fn view_answers(
        &self,
        place: Place,
        hurried: bool,
        gid: &Gid,
        request: &Request,
        view: &View,
        txn: &Transaction,
    ) -> Justified {
        let listed = |specs: &[Arc<BranchSpec>]| {
            specs.iter().all(|spec| {
                view.branches.iter().any(|b| b.id == spec.id)
                    && txn.find(&spec.id).is_some_and(|i| txn.branches[i as usize].spec.same(spec))
            })
        };
        let wait = match request {
            Request::Begin(begin) => {
                ensure(txn.digest == begin.digest, "it was begun with another body")?;
                ensure(!begin.start || view.phase != Phase::Active, "it was not started")?;
                begin.wait
            }
            Request::Join(specs, _) => return ensure(listed(specs), "the branch is not stored"),
            Request::Decide { decision, branches, wait, .. } => {
                ensure(listed(branches), "the branch is not stored")?;
                ensure(view.phase != Phase::Active, "nothing was decided")?;
                let rollback = *decision == Decision::Rollback;
                ensure(!rollback || view.outcome == Some(Outcome::Aborted), "it was not rolled back")?;
                *wait
            }
            Request::Read | Request::Retry => None,
            Request::Resolve(id, said) => {
                let stored = txn.find(id).map(|index| &txn.branches[index as usize]).ok_or("no such branch")?;
                let ended = branch_ended(txn, stored);
                return ensure(ended.contains(&said.outcome), "the resolution is not durable");
            }
            Request::Inquire(_) => return Err("an inquiry is answered with an outcome"),
            Request::Follow { .. } => return Err("whoever follows is told how far"),
        };
        match wait.filter(|_| !hurried) {
            None => Ok(()),
            Some(Wait::Decided) => ensure(view.outcome.is_some(), "it is not decided"),
            Some(Wait::Finished) => ensure(matches!(view.phase, Phase::Committed | Phase::Aborted), "it has not ended"),
            Some(Wait::Heard) => {
                ensure(view.outcome.is_some(), "it is not decided")?;
                ensure(self.all_heard(place, gid, view, txn), "a branch was not heard")
            }
        }
    }

    fn all_heard(&self, place: Place, gid: &Gid, view: &View, txn: &Transaction) -> bool {
        let op = match view.phase {
            Phase::Committing => Op::Commit,
            Phase::Aborting => Op::Rollback,
            Phase::Active | Phase::Preparing | Phase::Committed | Phase::Aborted => return true,
        };
        let ended = &self.nodes[place.node].watch.ended_calls;
        view.branches.iter().zip(0..).all(|(branch, index)| {
            let asked_no_more =
                matches!(branch.state, BranchState::Done | BranchState::ReadOnly | BranchState::Resolved);
            asked_no_more || !txn.asked || ended.contains(&(gid.clone(), index, op))
        })
    }

    fn refusal_is_right(
        &self,
        place: Place,
        delivery: &Delivery,
        refusal: &Refusal,
        kept: Option<&Kept>,
        was_absent: bool,
    ) -> Justified {
        let request = &self.asked[delivery.asked].request;
        let specs = specs(request);
        let txn = kept.map(|kept| &kept.txn);
        let known = |spec: &BranchSpec| {
            txn.and_then(|t| t.find(&spec.id)).map(|i| &*txn.expect("found in it").branches[i as usize].spec)
        };
        match refusal {
            Refusal::GidConflict => match (request, txn) {
                (Request::Begin(begin), Some(txn)) => ensure(begin.digest != txn.digest, "it conflicts with itself"),
                _ => Err("there is nothing to conflict with"),
            },
            Refusal::BranchConflict(id) => {
                let conflicting =
                    specs.iter().any(|spec| spec.id == *id && known(spec).is_some_and(|other| !other.same(spec)));
                ensure(conflicting, "no such branch is stored")
            }
            Refusal::Closed(phase) => {
                ensure(*phase != Phase::Active, "active is not closed")?;
                ensure(txn.is_some_and(|txn| reached(txn, *phase)), "that phase is not durable")
            }
            Refusal::OnePhase => ensure(
                txn.is_some_and(|txn| txn.one_phase() && reached(txn, Phase::Preparing)),
                "no one call is under way",
            ),
            Refusal::AlreadyDecided(outcome) => {
                ensure(txn.is_some_and(|txn| txn.outcome() == Some(*outcome)), "that outcome is not durable")
            }
            Refusal::NotDecided(phase) => {
                ensure(matches!(phase, Phase::Active | Phase::Preparing), "that phase is decided")?;
                ensure(txn.is_some_and(|txn| reached(txn, *phase)), "that phase is not durable")
            }
            Refusal::NoSuchBranch(id) => ensure(
                txn.is_some_and(|txn| txn.phase != Phase::Active && txn.find(id).is_none()),
                "it has that branch",
            ),
            Refusal::BranchEnded(id, outcome) => {
                let txn = txn.ok_or("nothing is stored")?;
                let stored = txn.find(id).map(|index| &txn.branches[index as usize]).ok_or("no such branch")?;
                ensure(branch_ended(txn, stored).contains(outcome), "that end is not durable")
            }
            Refusal::NotFound => {
                let begins = matches!(request, Request::Begin(_) | Request::Inquire(Some(_)));
                ensure(was_absent && !begins, "it was there all the time")
            }
            Refusal::NoBranches => {
                let none = |kept: &Kept| kept.joined.is_none_or(|at| at > delivery.handed);
                ensure(specs.is_empty() && kept.is_none_or(none), "it has branches")
            }
            Refusal::TooManyBranches(max) => {
                let new = specs.iter().filter(|spec| known(spec).is_none()).count();
                let all = txn.map_or(0, |txn| txn.branches.len()) + new;
                ensure(*max == self.settings.transaction.branches_max && all > *max, "they are not too many")
            }
            Refusal::PayloadTooLarge(id, max) => {
                let too_large = |spec: &&Arc<BranchSpec>| spec.payload.as_ref().is_some_and(|p| p.len() > *max);
                ensure(specs.iter().filter(too_large).any(|spec| spec.id == *id), "it is not too large")
            }
            Refusal::TooManyOpen => self.is_full(place, delivery, was_absent),
            Refusal::NotAdmitted(_) => self.is_closed_to_new_ones(place, delivery, was_absent),
            Refusal::Loading => {
                let over = self.nodes[place.node].watch.loading_over;
                ensure(over.is_none_or(|at| at >= delivery.handed), "loading is over")
            }
            Refusal::Unavailable => self.is_unavailable(place, delivery),
        }
    }

    fn is_full(&self, place: Place, delivery: &Delivery, was_absent: bool) -> Justified {
        let request = &self.asked[delivery.asked].request;
        let begins = matches!(request, Request::Begin(_)) && was_absent;
        let few_bytes = self.settings.open_bytes_max < 1 << 30;
        let full = few_bytes || self.nodes[place.node].watch.most_open >= self.settings.open_max;
        let adds_bytes = few_bytes && !specs(request).is_empty();
        ensure((begins && full) || adds_bytes, "it is not full, or it is known")
    }

    fn is_closed_to_new_ones(&self, place: Place, delivery: &Delivery, was_absent: bool) -> Justified {
        let request = &self.asked[delivery.asked].request;
        let closed = self.nodes[place.node].watch.refused_new_ones(delivery.handed);
        ensure(closed, "new ones are admitted")?;
        let adds = !specs(request).is_empty();
        ensure(adds || (matches!(request, Request::Begin(_)) && was_absent), "it is known")
    }

    fn is_unavailable(&self, place: Place, delivery: &Delivery) -> Justified {
        let node = &self.nodes[place.node];
        let ended = node.lane.as_ref().is_some_and(|lane| lane.ended());
        let gid = &self.asked[delivery.asked].gid;
        let found = node.watch.useless_finds.get(gid).is_some_and(|at| *at >= delivery.handed);
        ensure(ended || found, "nothing is in the way")
    }
}

fn specs(request: &Request) -> &[Arc<BranchSpec>] {
    match request {
        Request::Begin(begin) => &begin.branches,
        Request::Join(specs, _) | Request::Decide { branches: specs, .. } => specs,
        Request::Read | Request::Retry | Request::Resolve(..) | Request::Follow { .. } | Request::Inquire(_) => &[],
    }
}

fn is_open(answer: &Answer) -> bool {
    match answer {
        Answer::Transaction(view) => view.outcome.is_none(),
        Answer::Outcome(outcome) => outcome.is_none(),
        Answer::History { .. } | Answer::Refused(_) => false,
    }
}

/// How a branch has ended, as far as that is durable. The end of all is told once the decision is, so that one which is
/// not known to have acknowledged may have.
fn branch_ended(txn: &Transaction, branch: &Branch) -> Vec<Outcome> {
    if let Some(resolution) = &branch.resolution {
        return vec![resolution.outcome];
    }
    let own = branch.heuristic.and_then(|heuristic| match heuristic {
        Heuristic::Commit => Some(Outcome::Committed),
        Heuristic::Rollback => Some(Outcome::Aborted),
        Heuristic::Mixed => None,
    });
    own.into_iter().chain(txn.outcome()).collect()
}

/// Whether a transaction is in that phase or was. The end is told once its decision is durable.
fn reached(txn: &Transaction, phase: Phase) -> bool {
    match phase {
        Phase::Active => true,
        Phase::Preparing => txn.asked,
        Phase::Committing | Phase::Committed => txn.outcome() == Some(Outcome::Committed),
        Phase::Aborting | Phase::Aborted => txn.outcome() == Some(Outcome::Aborted),
    }
}

fn outcome_is_stored(outcome: Option<Outcome>, request: &Request, kept: Option<&Kept>, was_absent: bool) -> Justified {
    let Request::Inquire(branch) = request else { return Err("only an inquiry is answered with an outcome") };
    let stored = kept.and_then(|kept| kept.txn.outcome());
    let never_was = branch
        .as_ref()
        .is_some_and(|id| kept.is_some_and(|k| k.txn.phase != Phase::Active && k.txn.find(id).is_none()));
    let presumed = branch.is_some() && was_absent;
    match outcome {
        None => ensure(kept.is_some(), "nothing is stored"),
        Some(Outcome::Aborted) if never_was || presumed => Ok(()),
        Some(outcome) => ensure(stored == Some(outcome), "that outcome is not durable"),
    }
}
