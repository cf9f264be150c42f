//! Lists of what is open, page by page. Hints from memory, no promise; but what is said of a decision is durable.
use crate::lane::Lane;
use crate::open::{Decided, Open, OpenPlace, Slot};
use crate::view::View;
use std::ops::Bound;
use unanim_engine::{Gid, Mode, Outcome, Participant, Phase, Timestamp, Transaction};

/// Transactions and branches that one page looks at, about: under a millisecond, however many are open.
const LOOKED_AT_MAX: usize = 2_000;

/// Which transactions a list has; every part that is there must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Where it stands.
    pub phase: Option<Phase>,
    /// Its protocol.
    pub mode: Option<Mode>,
    /// It has a branch of this participant.
    pub participant: Option<Participant>,
    /// Whether it is marked stuck.
    pub stuck: Option<bool>,
    /// How it ends.
    pub outcome: Option<OutcomeIs>,
    /// Begun at this instant or later; of those that have ended, ended.
    pub since_at: Option<Timestamp>,
    /// Begun at this instant or before; of those that have ended, ended.
    pub until_at: Option<Timestamp>,
}

/// An outcome as a list is asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeIs {
    /// None yet.
    Undecided,
    /// This one.
    Decided(Outcome),
}

/// Some of the open transactions that a filter admits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenPage {
    /// Without their branches.
    pub views: Vec<View>,
    /// Where the next page begins; a page may be short, or empty, and not the last one.
    pub next: Option<OpenPlace>,
}

impl Filter {
    /// Whether it admits a transaction that is shown so, whatever the instants say.
    pub fn admits(&self, view: &View, txn: &Transaction) -> bool {
        let is = match view.outcome {
            None => OutcomeIs::Undecided,
            Some(outcome) => OutcomeIs::Decided(outcome),
        };
        let called = |participant: &Participant| {
            txn.branches.iter().any(|branch| branch.spec.callee.participant == *participant)
        };
        self.phase.is_none_or(|phase| phase == view.phase)
            && self.mode.is_none_or(|mode| mode == view.mode)
            && self.stuck.is_none_or(|stuck| stuck == view.stuck)
            && self.outcome.is_none_or(|outcome| outcome == is)
            && self.participant.as_ref().is_none_or(called)
    }

    /// Whether anything that has ended may be admitted.
    pub fn admits_ended(&self) -> bool {
        self.phase.is_none_or(|phase| matches!(phase, Phase::Committed | Phase::Aborted))
            && self.stuck != Some(true)
            && self.outcome != Some(OutcomeIs::Undecided)
    }
}

impl Lane {
    /// Open transactions after that place (from the first one without), at most `most`, oldest first. One that stays open
    /// from the first page to the last is in exactly one of them.
    pub fn list(&self, filter: &Filter, after: Option<&OpenPlace>, most: usize) -> OpenPage {
        let from = match (after, filter.since_at) {
            (Some(place), Some(since)) if place.created_at < since => first_of(since),
            (Some(place), _) => Bound::Excluded(place.clone()),
            (None, Some(since)) => first_of(since),
            (None, None) => Bound::Unbounded,
        };
        let mut page = OpenPage::default();
        let mut looked_at = 0;
        for place in self.begins.range((from, Bound::Unbounded)) {
            if filter.until_at.is_some_and(|until| place.created_at > until) {
                break;
            }
            let Some(Slot::Open(open)) = self.slots.get(&place.gid) else { continue };
            looked_at += 1 + open.txn.branches.len();
            // Nobody knows of it yet; or it is in memory only because somebody has just asked for it.
            if open.durable_seq > 0 && !open.has_ended_durably() {
                let view = self.summary(open);
                if filter.admits(&view, &open.txn) {
                    page.views.push(view);
                }
            }
            if page.views.len() >= most || looked_at >= LOOKED_AT_MAX {
                page.next = Some(place.clone());
                break;
            }
        }
        page
    }

    /// As a reader would be shown it: without a decision, or an end, that is still to be saved. What is saved for another
    /// reason takes no durable decision back.
    fn summary(&self, open: &Open) -> View {
        let view = View::summary(&open.txn, open.durable_seq);
        let Some(outcome) = view.outcome.filter(|_| !self.batches.is_applied(open.forced)) else { return view };
        if open.decided == Decided::Durably {
            let phase = match outcome {
                Outcome::Committed => Phase::Committing,
                Outcome::Aborted => Phase::Aborting,
            };
            return View { phase, finished_at: None, ..view };
        }
        let phase = if open.txn.asked { Phase::Preparing } else { Phase::Active };
        View { phase, outcome: None, reason: None, decided_at: None, finished_at: None, heuristic: None, ..view }
    }
}

/// No name is less than a space.
fn first_of(created_at: Timestamp) -> Bound<OpenPlace> {
    Bound::Included(OpenPlace { created_at, gid: Gid::new(" ").expect("a name") })
}
