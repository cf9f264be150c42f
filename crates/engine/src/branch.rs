//! One branch of a transaction: what its client gave, what is durable about it, and the call it may have under way.
use crate::{BranchId, Failure, Heuristic, Op, Participant, Reply, Resolution, RetryOverride, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Which protocol a participant speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dialect {
    /// `POST` to the endpoint, the operation in a header.
    V1,
    /// The small 2PC protocol: `POST /transaction/<gid>/<verb>`. Keeps no tombstones.
    Classic,
}

/// Where a branch's operations are called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Target {
    /// One URL for every operation.
    One(Arc<str>),
    /// A URL for each operation.
    Each(Box<[(Op, Arc<str>)]>),
}

impl Target {
    /// The URL for an operation; one-phase commit falls back to `commit`.
    pub fn url(&self, op: Op) -> Option<&str> {
        let find = |urls: &'_ [(Op, Arc<str>)], op| urls.iter().position(|(o, _)| *o == op);
        match self {
            Target::One(url) => Some(url),
            Target::Each(urls) => match (find(urls, op), op) {
                (None, Op::CommitOnePhase) => find(urls, Op::Commit),
                (found, _) => found,
            }
            .map(|i| &*urls[i].1),
        }
    }
}

/// A branch as its client gave it, defaults filled in; never changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BranchSpec {
    /// Its name within the transaction.
    pub id: BranchId,
    /// Whom its calls count against.
    pub participant: Participant,
    /// Where it is called.
    pub target: Target,
    /// How it is called.
    pub dialect: Dialect,
    /// Sent with every call; never shown.
    pub headers: Box<[(Box<str>, Box<str>)]>,
    /// The body of every call, byte for byte.
    pub payload: Option<Bytes>,
    /// How long one call may take, in milliseconds.
    pub call_timeout_ms: u32,
    /// Over the transaction's.
    pub retry: Option<Box<RetryOverride>>,
    /// Statuses that say no.
    pub refused_statuses: Box<[u16]>,
    /// Where it is the only branch, one call votes and commits.
    pub one_phase: bool,
    /// SHA-256 of the canonical form it was given in, where more branches may be added: the same id must come with the same.
    pub digest: Option<Box<[u8; 32]>>,
}

impl BranchSpec {
    /// Whether both were given alike: by digest where both have one, else by what they say.
    pub fn same(&self, other: &BranchSpec) -> bool {
        match (&self.digest, &other.digest) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self == other,
            (Some(_), None) => BranchSpec { digest: None, ..self.clone() } == *other,
            (None, Some(_)) => other.same(self),
        }
    }

    /// Its texts that other transactions have as well, so that equal ones can be kept once: its name, whom it calls, where.
    pub fn texts(&mut self) -> impl Iterator<Item = &mut Arc<str>> {
        let (one, each): (_, &mut [(Op, Arc<str>)]) = match &mut self.target {
            Target::One(url) => (Some(url), &mut []),
            Target::Each(urls) => (None, urls),
        };
        [self.id.text(), self.participant.text()].into_iter().chain(one).chain(each.iter_mut().map(|(_, url)| url))
    }

    /// Roughly how many bytes it takes in memory and in its record.
    pub fn bytes(&self) -> usize {
        let target = match &self.target {
            Target::One(url) => url.len(),
            Target::Each(urls) => urls.iter().map(|(_, url)| url.len() + 24).sum(),
        };
        let headers: usize = self.headers.iter().map(|(k, v)| k.len() + v.len() + 32).sum();
        let payload = self.payload.as_ref().map_or(0, Bytes::len);
        size_of::<BranchSpec>() + size_of::<Branch>() + self.id.as_str().len() + target + headers + payload
    }
}

/// A branch's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Vote {
    /// It will do what is decided.
    Yes,
    /// It has nothing to do.
    ReadOnly,
    /// It will not commit.
    Refused,
}

/// A branch's state as people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BranchState {
    /// Never asked.
    Waiting,
    /// Asked for its vote.
    Asked,
    /// Voted yes.
    Yes,
    /// Voted, with nothing to do.
    ReadOnly,
    /// Voted no.
    Refused,
    /// Has done what was decided.
    Done,
    /// A person has said how it ended.
    Resolved,
}

/// The one call that a branch may have under way. Never durable: after a load nothing is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallState {
    /// Not called now, and nothing planned.
    Idle,
    /// Under way; exactly one reply will come.
    Calling(Op),
    /// To be called again.
    Again(Timestamp),
}

/// How the last call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LastReply {
    /// When.
    pub at: Timestamp,
    /// How.
    pub code: ReplyCode,
}

/// A reply without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyCode {
    /// Yes, or done.
    Ok,
    /// Yes, and nothing to do.
    ReadOnly,
    /// No.
    Refused,
    /// Finished on its own.
    Heuristic,
    /// Still working.
    Ongoing,
    /// Nothing is known.
    Unknown(Failure),
}

impl From<&Reply> for ReplyCode {
    fn from(reply: &Reply) -> ReplyCode {
        match reply {
            Reply::Ok => ReplyCode::Ok,
            Reply::ReadOnly => ReplyCode::ReadOnly,
            Reply::Refused(_) => ReplyCode::Refused,
            Reply::Heuristic(_) => ReplyCode::Heuristic,
            Reply::Ongoing { .. } => ReplyCode::Ongoing,
            Reply::Unknown { failure, .. } => ReplyCode::Unknown(*failure),
        }
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReplyCode::Ok => "it said yes",
            ReplyCode::ReadOnly => "it had nothing to do",
            ReplyCode::Refused => "it refused",
            ReplyCode::Heuristic => "it had finished on its own",
            ReplyCode::Ongoing => "it was still working",
            ReplyCode::Unknown(Failure::Timeout) => "no answer in time",
            ReplyCode::Unknown(Failure::Connect) => "no connection",
            ReplyCode::Unknown(Failure::NotAllowed) => "its address is not allowed",
            ReplyCode::Unknown(Failure::Reset) => "the connection ended before the answer",
            ReplyCode::Unknown(Failure::Status(status)) => return write!(f, "it answered with status {status}"),
            ReplyCode::Unknown(Failure::Content) => "its answer means nothing here",
            ReplyCode::Unknown(Failure::TooLarge) => "its answer is too large",
            ReplyCode::Unknown(Failure::Unsent) => "it was not called in time",
        })
    }
}

/// A branch of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Branch {
    /// What its client gave.
    pub spec: Arc<BranchSpec>,
    /// Durable: its vote.
    pub vote: Option<Vote>,
    /// Durable: it has done what was decided.
    pub done: bool,
    /// Durable: it finished on its own.
    pub heuristic: Option<Heuristic>,
    /// Durable: what a person said of it.
    pub resolution: Option<Box<Resolution>>,
    /// The call under way.
    pub call: CallState,
    /// Calls since the transaction was begun or loaded.
    pub attempts: u32,
    /// Unknown replies in a row in this round.
    pub(crate) failures: u32,
    /// A call of this round has ended.
    pub(crate) heard: bool,
    /// How the last call ended.
    pub last: Option<LastReply>,
}

impl Branch {
    pub(crate) fn new(spec: Arc<BranchSpec>) -> Branch {
        Branch {
            spec,
            vote: None,
            done: false,
            heuristic: None,
            resolution: None,
            call: CallState::Idle,
            attempts: 0,
            failures: 0,
            heard: false,
            last: None,
        }
    }
}
