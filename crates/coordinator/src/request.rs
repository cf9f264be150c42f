//! What goes into a lane and what comes out.
use crate::{Batch, Stored, View};
use std::sync::Arc;
use unanim_engine::{
    BranchId, BranchIndex, BranchSpec, Decision, Gid, Heuristic, Limits, Mode, Op, Outcome, Participant, Phase, Reply,
    Resolution, RetryPolicy,
};

/// A request that is owed exactly one [`Answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What a client or a participant asks of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Begin it; answered with the transaction.
    Begin(Box<Begin>),
    /// Add branches; answered with the transaction, when this is reached; at once without.
    Join(Vec<Arc<BranchSpec>>, Option<Wait>),
    /// Commit or roll back; answered with the transaction.
    Decide {
        /// Which.
        decision: Decision,
        /// To be added first.
        branches: Vec<Arc<BranchSpec>>,
        /// With a commit: the votes have so many milliseconds from now.
        timeout_ms: Option<u64>,
        /// Answer when this is reached; at once without.
        wait: Option<Wait>,
    },
    /// Answered with the transaction.
    Read,
    /// Whatever waits for its next call is called now; answered with the transaction. One that has ended stays as it is.
    Retry,
    /// A person says how a branch ended, whose participant is not asked any more; answered with the transaction. Refused
    /// before the decision, but for a one-phase transaction that is stuck: there it is the decision. The same outcome
    /// again changes nothing.
    Resolve(BranchId, Resolution),
    /// Answered with how far its history is durable, and whether that is all of it.
    Follow {
        /// The number of the last event that the asker knows: with `wait` it is told as soon as there are more, or there
        /// will be none.
        after: u64,
        /// At once without.
        wait: bool,
    },
    /// Answered with the outcome. A branch: its participant is in doubt, and an unknown gid is aborted. None: a client
    /// asks, and an unknown gid is not found.
    Inquire(Option<BranchId>),
}

impl Request {
    /// Asks for the same without waiting for anything.
    pub(crate) fn without_waiting(&mut self) {
        match self {
            Request::Begin(begin) => begin.wait = None,
            Request::Join(_, wait) | Request::Decide { wait, .. } => *wait = None,
            Request::Follow { wait, .. } => *wait = false,
            Request::Read | Request::Retry | Request::Resolve(..) | Request::Inquire(_) => {}
        }
    }
}

/// A transaction to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Its protocol.
    pub mode: Mode,
    /// SHA-256 of the canonical request: the same gid must come with the same.
    pub digest: [u8; 32],
    /// Its deadline is so many milliseconds from now.
    pub timeout_ms: u64,
    /// How its branches are asked again.
    pub retry: RetryPolicy,
    /// The branches it begins with.
    pub branches: Vec<Arc<BranchSpec>>,
    /// Commit at once.
    pub start: bool,
    /// This process has just made the gid, so no store knows it.
    pub fresh: bool,
    /// Answer when this is reached; at once without.
    pub wait: Option<Wait>,
}

/// What an answer may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The decision.
    Decided,
    /// The decision, and every branch has answered its first call since, or that call has timed out.
    Heard,
    /// The end.
    Finished,
}

/// A call to a participant: what comes back is handed in with the same id, exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId {
    /// Which transaction.
    pub gid: Gid,
    /// Which branch.
    pub branch: BranchIndex,
    /// What it is asked.
    pub op: Op,
    /// The number of the attempt.
    pub attempt: u32,
    /// Whose place in line it holds.
    pub participant: Participant,
}

/// A call as it is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What to hand in with the reply.
    pub id: CallId,
    /// Where and how, and the body.
    pub spec: Arc<BranchSpec>,
    /// `Unanim-Mode`.
    pub mode: Mode,
    /// `Unanim-Fence`.
    pub fence: u64,
    /// `Unanim-Deadline`: milliseconds that remain until the transaction's deadline.
    pub deadline_ms: u64,
}

/// How a save ended. One whose outcome is unknown has not ended: the identical batch is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is durable.
    Applied,
    /// The session is over.
    Fenced,
}

/// What the store has under a gid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing, and nothing in history within retention.
    Absent,
    /// This.
    Record(Box<Stored>),
    /// It could not be read now.
    Unreadable,
}

/// Whether new transactions may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Open,
    /// No: the store has no room; what is open goes on.
    DiskFull,
    /// No: the node is about to stop.
    Draining,
}

/// Everything that a lane is told.
#[derive(Debug)]
pub enum Input {
    /// Somebody asks.
    Request(Ticket, Gid, Request),
    /// Whoever held this ticket is gone; nothing else changes.
    Gone(Ticket, Gid),
    /// Whoever holds this ticket has waited long enough: it is answered as if it had not asked to wait.
    Hurry(Ticket, Gid),
    /// A call has ended.
    Replied(CallId, Reply),
    /// The batch in flight has ended.
    Saved(Saved),
    /// Open transactions from the store, decided ones first; with the last slice loading is over.
    Loaded(Vec<Stored>, Loading),
    /// The answer to a look-up.
    Found(Gid, Found),
    /// Whether new transactions may begin.
    Admit(Admission),
    /// The instant of `next_due` has come; late or spurious is harmless.
    Due,
}

/// Whether more slices follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loading {
    /// They do.
    More,
    /// All that is open is in memory.
    Over,
}

/// Everything that a lane orders.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Make this durable and hand in how it ended. One at a time.
    Save(Batch),
    /// Call a participant and hand in the reply.
    Call(Call),
    /// Answer a ticket.
    Answer(Ticket, Answer),
    /// Look this gid up and hand in what was found. The read must begin after this output.
    Find(Gid),
    /// Tell people; nothing waits for it, and nothing is handed in.
    Alert(Gid, Alert),
}

/// What people should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alert {
    /// It has been open for too long.
    Stuck {
        /// In this phase.
        phase: Phase,
        /// The first ones of the branches that are waited for.
        first: Vec<BranchId>,
        /// How many those are in all.
        count: usize,
    },
    /// This branch has finished on its own, or a person has resolved it against the decision.
    Heuristic(BranchId, Heuristic),
}

/// What is said to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The transaction.
    Transaction(Arc<View>),
    /// Its outcome, or none yet.
    Outcome(Option<Outcome>),
    /// Its history up to this event is durable.
    History {
        /// The number of that event; the begin is 1.
        seq: u64,
        /// It has ended, and no event will follow.
        finished: bool,
    },
    /// No, and why.
    Refused(Refusal),
}

/// Why a request is refused. Nothing has changed, except after [`Refusal::Unavailable`]: then nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The gid is known with another body.
    GidConflict,
    /// The branch is known with another body.
    BranchConflict(BranchId),
    /// Too late for that, in this phase.
    Closed(Phase),
    /// Not to be rolled back: its one call may have committed already.
    OnePhase,
    /// The other outcome is decided.
    AlreadyDecided(Outcome),
    /// Not decided yet: there is nothing that a person could resolve.
    NotDecided(Phase),
    /// No branch has this id.
    NoSuchBranch(BranchId),
    /// The branch has ended this way, and not as the person says: it has acknowledged, or it was resolved.
    BranchEnded(BranchId, Outcome),
    /// Unknown.
    NotFound,
    /// A commit needs a branch.
    NoBranches,
    /// More branches than so many.
    TooManyBranches(usize),
    /// A payload over so many bytes.
    PayloadTooLarge(BranchId, usize),
    /// The bound on open transactions, or on their bytes, is reached.
    TooManyOpen,
    /// New transactions are refused.
    NotAdmitted(Admission),
    /// Not loaded yet: ask again.
    Loading,
    /// The session is over, or the store did not answer: ask again.
    Unavailable,
}

/// What bounds a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What bounds one transaction.
    pub transaction: Limits,
    /// Open transactions.
    pub open_max: usize,
    /// Bytes of open transactions, roughly.
    pub open_bytes_max: usize,
    /// Calls in flight to one participant.
    pub in_flight_max: usize,
    /// What one batch may hold: the store's to say.
    pub batch: BatchLimits,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            transaction: Limits::default(),
            open_max: 1_000_000,
            open_bytes_max: 1 << 30,
            in_flight_max: 64,
            batch: BatchLimits { records_max: 127, bytes_max: 1 << 20 },
        }
    }
}

/// What one batch may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records.
    pub records_max: usize,
    /// Bytes of records, beyond which no further record is added; one record alone may be larger.
    pub bytes_max: usize,
}
