//! One branch of a transaction: what its client gave, what is durable about it, and the call it may have under way.
use crate::{BranchId, Failure, Heuristic, Op, Participant, Reply, Resolution, RetryOverride, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
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

/// Whom a branch's calls go to, and how. Many branches have the same one, so that equal ones can be kept once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Callee {
    /// Whom the calls count against.
    pub participant: Participant,
    /// Where it is called.
    pub target: Target,
    /// How it is called.
    pub dialect: Dialect,
    /// How long one call may take, in milliseconds.
    pub call_timeout_ms: u32,
    /// Over the transaction's.
    pub retry: Option<Box<RetryOverride>>,
    /// Statuses that say no.
    pub refused_statuses: Box<[u16]>,
    /// Where it is the only branch, one call votes and commits.
    pub one_phase: bool,
}

impl Callee {
    /// Roughly how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let target = match &self.target {
            Target::One(url) => url.len(),
            Target::Each(urls) => urls.iter().map(|(_, url)| url.len() + 24).sum(),
        };
        size_of::<Callee>() + target
    }
}

/// A header: its name and its value.
pub type Header = (Box<str>, Box<str>);

/// A branch as its client gave it, defaults filled in; never changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Read")]
pub struct BranchSpec {
    /// Its name within the transaction.
    pub id: BranchId,
    /// Whom it calls, and how.
    pub callee: Arc<Callee>,
    /// The body of every call, byte for byte.
    pub payload: Option<Box<[u8]>>,
    /// What most have none of, apart: a million open transactions have twice as many branches.
    rare: Option<Box<Rare>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Rare {
    headers: Box<[Header]>,
    digest: Option<[u8; 32]>,
}

impl BranchSpec {
    /// Without headers and digest.
    pub fn new(id: BranchId, callee: Callee, payload: Option<Box<[u8]>>) -> BranchSpec {
        BranchSpec { id, callee: Arc::new(callee), payload, rare: None }
    }

    /// Sent with every call; never shown.
    pub fn headers(&self) -> &[Header] {
        self.rare.as_ref().map_or(&[], |rare| &rare.headers)
    }

    /// With these headers.
    pub fn with_headers(mut self, headers: Box<[Header]>) -> BranchSpec {
        if !headers.is_empty() {
            self.rare.get_or_insert_default().headers = headers;
        }
        self
    }

    /// SHA-256 of the canonical form it was given in, where more branches may be added: the same id must come with the
    /// same.
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.rare.as_ref()?.digest.as_ref()
    }

    /// With this digest.
    pub fn with_digest(mut self, digest: [u8; 32]) -> BranchSpec {
        self.set_digest(digest);
        self
    }

    /// Gives it this digest.
    pub fn set_digest(&mut self, digest: [u8; 32]) {
        self.rare.get_or_insert_default().digest = Some(digest);
    }

    /// Whether both were given alike: by digest where both have one, else by what they say.
    pub fn same(&self, other: &BranchSpec) -> bool {
        match (self.digest(), other.digest()) {
            (Some(a), Some(b)) => a == b,
            (Some(_), None) | (None, Some(_)) | (None, None) => {
                (&self.id, &self.callee, &self.payload, self.headers())
                    == (&other.id, &other.callee, &other.payload, other.headers())
            }
        }
    }

    /// Its name, which other transactions have as well, so that equal ones can be kept once.
    pub fn name(&mut self) -> &mut Arc<str> {
        self.id.text()
    }

    /// Roughly how many bytes it takes in memory and in its record.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers().iter().map(|(k, v)| k.len() + v.len() + 32).sum();
        let payload = self.payload.as_ref().map_or(0, |payload| payload.len());
        let own = size_of::<BranchSpec>() + size_of::<Branch>() + self.id.as_str().len();
        own + self.callee.bytes() + headers + payload
    }
}

/// A [`BranchSpec`] as it is stored: never changed.
#[derive(Serialize)]
struct Written<'a> {
    id: &'a BranchId,
    participant: &'a Participant,
    target: &'a Target,
    dialect: Dialect,
    headers: &'a [Header],
    payload: Option<Bytewise<'a>>,
    call_timeout_ms: u32,
    retry: &'a Option<Box<RetryOverride>>,
    refused_statuses: &'a [u16],
    one_phase: bool,
    digest: Option<&'a [u8; 32]>,
}

/// As bytes, not as a list of numbers.
struct Bytewise<'a>(&'a [u8]);

impl Serialize for Bytewise<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for BranchSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let callee = &*self.callee;
        let written = Written {
            id: &self.id,
            participant: &callee.participant,
            target: &callee.target,
            dialect: callee.dialect,
            headers: self.headers(),
            payload: self.payload.as_deref().map(Bytewise),
            call_timeout_ms: callee.call_timeout_ms,
            retry: &callee.retry,
            refused_statuses: &callee.refused_statuses,
            one_phase: callee.one_phase,
            digest: self.digest(),
        };
        written.serialize(serializer)
    }
}

/// What [`Written`] has written.
#[derive(Deserialize)]
struct Read {
    id: BranchId,
    participant: Participant,
    target: Target,
    dialect: Dialect,
    headers: Box<[Header]>,
    payload: Option<Bytes>,
    call_timeout_ms: u32,
    retry: Option<Box<RetryOverride>>,
    refused_statuses: Box<[u16]>,
    one_phase: bool,
    digest: Option<[u8; 32]>,
}

impl From<Read> for BranchSpec {
    fn from(read: Read) -> BranchSpec {
        let Read { participant, target, dialect, call_timeout_ms, retry, refused_statuses, one_phase, .. } = read;
        let callee = Callee { participant, target, dialect, call_timeout_ms, retry, refused_statuses, one_phase };
        let payload = read.payload.map(|payload| Vec::from(payload).into_boxed_slice());
        let spec = BranchSpec::new(read.id, callee, payload).with_headers(read.headers);
        match read.digest {
            Some(digest) => spec.with_digest(digest),
            None => spec,
        }
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
