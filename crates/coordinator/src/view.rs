//! A transaction as it is shown.
use unanim_engine::{
    BranchId, BranchIndex, BranchState, CallState, Gid, Heuristic, HistoryEvent, LastReply, Mode, Op, Outcome,
    Participant, Phase, Reason, ReasonCode, Recorded, Resolution, Timestamp, Transaction, Vote,
};

/// What an answer says of a transaction. Attempts, last replies and next tries are hints from memory, no promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub gid: Gid,
    /// Its protocol.
    pub mode: Mode,
    /// SHA-256 of the request that began it; never shown.
    pub digest: [u8; 32],
    /// Where it stands.
    pub phase: Phase,
    /// Its outcome, once decided.
    pub outcome: Option<Outcome>,
    /// Why it aborted.
    pub reason: Option<ReasonView>,
    /// Open in one phase for too long.
    pub stuck: bool,
    /// How branches finished on their own, taken together.
    pub heuristic: Option<Heuristic>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it aborts unless it is past its point of no return.
    pub deadline_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The number of its last durable history event.
    pub seq: u64,
    /// Its branches, in the order in which they joined.
    pub branches: Vec<BranchView>,
}

/// Why a transaction aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonView {
    /// What kind.
    pub code: ReasonCode,
    /// Whose refusal, or the first one that had not voted in time.
    pub branch: Option<BranchId>,
    /// In the participant's words; how its last call ended; or in the words of the person who resolved it.
    pub detail: Option<Box<str>>,
}

/// A branch as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchView {
    /// Its name.
    pub id: BranchId,
    /// Whom its calls go to.
    pub participant: Participant,
    /// What is known of it.
    pub state: BranchState,
    /// What it is being asked.
    pub op: Option<Op>,
    /// Calls since this start.
    pub attempts: u32,
    /// How the last call ended.
    pub last: Option<LastReply>,
    /// When it is asked again.
    pub next_at: Option<Timestamp>,
    /// How it finished on its own.
    pub heuristic: Option<Heuristic>,
    /// What a person said of it.
    pub resolution: Option<Box<Resolution>>,
}

/// One durable event of a transaction as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventView {
    /// Its number; the begin is 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Happened,
}

/// What has happened, branches by their names. The order is the one of `wire/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It began.
    Begun,
    /// A branch joined after the begin.
    BranchAdded(BranchId),
    /// A phase was entered that is no decision; the client's request may have set a new deadline with it.
    Phase(Phase, Option<Timestamp>),
    /// A branch voted.
    Voted(BranchId, Vote),
    /// The decision, with the reason of an abort.
    Decided(Outcome, Option<ReasonView>),
    /// A branch has done what was decided.
    Acknowledged(BranchId),
    /// Open in one phase for too long.
    Stuck,
    /// A branch finished on its own.
    Heuristic(BranchId, Heuristic),
    /// It ended.
    Finished,
    /// A person has said how a branch ended.
    Resolved(BranchId, Resolution),
}

impl EventView {
    /// The begin, which is in no record of its own.
    pub fn begun(txn: &Transaction) -> EventView {
        EventView { seq: 1, at: txn.created_at, what: Happened::Begun }
    }

    /// The event of that number of this transaction; none where it is an event of another one.
    pub fn new(txn: &Transaction, seq: u64, event: &HistoryEvent) -> Option<EventView> {
        let id = |index: &BranchIndex| txn.branches.get(*index as usize).map(|branch| branch.spec.id.clone());
        let what = match &event.what {
            Recorded::BranchAdded(spec) => Happened::BranchAdded(spec.id.clone()),
            Recorded::Phase(phase, deadline_at) => Happened::Phase(*phase, *deadline_at),
            Recorded::Voted(index, vote) => Happened::Voted(id(index)?, *vote),
            Recorded::Decided(outcome, reason) => {
                Happened::Decided(*outcome, reason.as_ref().map(|reason| ReasonView::new(txn, reason)))
            }
            Recorded::Acknowledged(index) => Happened::Acknowledged(id(index)?),
            Recorded::Stuck => Happened::Stuck,
            Recorded::Heuristic(index, heuristic) => Happened::Heuristic(id(index)?, *heuristic),
            Recorded::Finished => Happened::Finished,
            // Nothing is shown of what is forgotten.
            Recorded::Forgotten => return None,
            Recorded::Resolved(index, resolution) => Happened::Resolved(id(index)?, resolution.clone()),
        };
        Some(EventView { seq, at: event.at, what })
    }
}

impl ReasonView {
    fn new(txn: &Transaction, reason: &Reason) -> ReasonView {
        let branch = reason.branch.and_then(|index| txn.branches.get(index as usize));
        ReasonView {
            code: reason.code,
            branch: branch.map(|branch| branch.spec.id.clone()),
            detail: reason.detail.clone(),
        }
    }
}

impl View {
    /// What is to be said of a transaction; `seq` counts only what is durable when it is said.
    pub(crate) fn new(txn: &Transaction, seq: u64) -> View {
        let open = |state: BranchState| {
            !txn.finished() && !matches!(state, BranchState::Done | BranchState::ReadOnly | BranchState::Resolved)
        };
        let branches = txn.branches.iter().map(|b| {
            let state = txn.branch_state(b);
            BranchView {
                id: b.spec.id.clone(),
                participant: b.spec.callee.participant.clone(),
                state,
                op: txn.op().filter(|_| open(state)),
                attempts: b.attempts,
                last: b.last,
                next_at: match b.call {
                    CallState::Again(at) if open(state) => Some(at),
                    CallState::Again(_) | CallState::Idle | CallState::Calling(_) => None,
                },
                heuristic: b.heuristic,
                resolution: b.resolution.clone(),
            }
        });
        View { branches: branches.collect(), ..View::summary(txn, seq) }
    }

    /// The same without the branches, for lists.
    pub fn summary(txn: &Transaction, seq: u64) -> View {
        View {
            gid: txn.gid.clone(),
            mode: txn.mode,
            digest: txn.digest,
            phase: txn.phase,
            outcome: txn.outcome(),
            reason: txn.reason.as_deref().map(|reason| ReasonView::new(txn, reason)),
            stuck: txn.stuck,
            heuristic: txn.heuristic(),
            created_at: txn.created_at,
            deadline_at: txn.deadline_at,
            decided_at: txn.decided_at,
            finished_at: txn.finished_at,
            seq,
            branches: Vec::new(),
        }
    }
}
