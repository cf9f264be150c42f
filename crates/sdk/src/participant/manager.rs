//! What a service implements to take part: four operations, and the list of what it holds.

use std::future::Future;
use std::time::Duration;

use super::call::Call;

/// The part of a service that can prepare, commit and roll back. It owes what the book calls a participant's duties
/// (`docs/two-phase-commit.md`):
///
/// - what it answers is durable before it returns, a yes above all;
/// - every operation may come more than once, and changes something once;
/// - a rollback is remembered, also of a branch that it never saw: a `prepare` that comes later is refused;
/// - so is a no: after one to `commit_one_phase` no rollback follows, and an earlier call that comes late must not commit;
/// - after a yes it holds, for however long it takes, and for the coordinator that it was said to: a call with the store
///   of another one in its [`mark`](Call::mark) changes nothing.
///
/// A branch is known by gid *and* branch id. `Ok` is an answer that a coordinator acts on; of an [`Error`], only a
/// conflict or a bad payload in reply to `prepare` is one (a no): after all others it asks again.
///
/// The feature `sqlite` has one that keeps these duties for work in SQLite; the feature `testing` has a driver that
/// repeats, reorders and interrupts the operations of yours.
pub trait ResourceManager: Send + Sync + 'static {
    /// Do the work so far that it can neither fail nor be seen, and hold it; or say no, and keep nothing.
    fn prepare(&self, call: &Call) -> impl Future<Output = Result<Vote, Error>> + Send;

    /// Make what was prepared visible. A conflict if it was never prepared, or rolled back. The call that comes of asking
    /// in doubt has no payload: keep it, or what follows from it, with what is prepared.
    fn commit(&self, call: &Call) -> impl Future<Output = Result<Ack, Error>> + Send;

    /// Give back what was prepared, and remember that it was rolled back, whether it was prepared or not. A conflict if
    /// it is committed. The call that comes of asking in doubt has no payload: keep it, or what follows from it, with what
    /// is prepared.
    fn rollback(&self, call: &Call) -> impl Future<Output = Result<Ack, Error>> + Send;

    /// Both phases in one call, for a transaction of a single branch. A no is the end, and must be remembered as a rollback
    /// is. Unless you can do better: one after the other, with a rollback before a no is told. (A conflict in `prepare` is
    /// told as it is: it says that something is on record.)
    fn commit_one_phase(&self, call: &Call) -> impl Future<Output = Result<Vote, Error>> + Send {
        async move {
            let no = match self.prepare(call).await {
                Ok(Vote::Yes) => match self.commit(call).await {
                    Ok(Ack::Done) => return Ok(Vote::Yes),
                    Ok(Ack::Ongoing) => return Ok(Vote::Ongoing),
                    Ok(Ack::Heuristic(_)) => return Err(ended_alone()),
                    Err(error) if error.refuses() => Err(error),
                    Err(error) => return Err(error),
                },
                // Nothing to commit is as good as committed.
                Ok(Vote::ReadOnly) => return Ok(Vote::Yes),
                no @ (Ok(Vote::No(_)) | Err(Error::Payload(_))) => no,
                other => return other,
            };
            match self.rollback(call).await {
                Ok(Ack::Done) => no,
                Ok(Ack::Ongoing) => Ok(Vote::Ongoing),
                Ok(Ack::Heuristic(_)) => Err(ended_alone()),
                // A no that is not remembered, or contradicts what is, must not be heard as one.
                Err(error) if error.refuses() => Err(Error::Failed(error.to_string())),
                Err(error) => Err(error),
            }
        }
    }

    /// At most `limit` branches that have been prepared for longer than `age`, the oldest first.
    fn in_doubt(&self, age: Duration, limit: usize) -> impl Future<Output = Result<Vec<InDoubt>, Error>> + Send;
}

fn ended_alone() -> Error {
    Error::Failed("it ended on its own between prepare and commit".into())
}

/// The answer to `prepare`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vote {
    /// Prepared: durable, held, and ready for either outcome. Also for what was prepared or committed before.
    Yes,
    /// There is nothing to commit, and nothing is held: there will be no further call.
    ReadOnly,
    /// No, and why. Nothing is kept.
    No(String),
    /// Still at it: ask again.
    Ongoing,
}

/// The answer to `commit` and `rollback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Done, now or before.
    Done,
    /// Still at it: ask again.
    Ongoing,
    /// It had ended on its own, against its promise; a person must put that right.
    Heuristic(Heuristic),
}

/// How a branch ended on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heuristic {
    /// It committed.
    Commit,
    /// It rolled back.
    Rollback,
    /// In part.
    Mixed,
}

/// No answer, or one that contradicts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call contradicts what is on record (409): a no to `prepare`; after the decision a matter for a person.
    #[error("{0}")]
    Conflict(String),
    /// A call about a branch that another coordinator prepared, committed or was refused (409): its [`Mark`](super::Mark)
    /// has another store. Two coordinators were given the same gid.
    #[error("the branch of this name is another coordinator's")]
    OtherCoordinator,
    /// The payload is no work for this service (422): a no to `prepare`.
    #[error("the payload: {0}")]
    Payload(String),
    /// A call that an earlier one of the same coordinator has overtaken (412).
    #[error("a later call has been worked on")]
    Stale,
    /// Not now (503): ask again, after this time if it is known.
    #[error("{why}")]
    Unavailable {
        /// The reason, for people.
        why: String,
        /// When to ask again.
        retry_after: Option<Duration>,
    },
    /// Something went wrong (500), and nobody knows how far the work came: ask again.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// Not now, for this reason.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Error::Unavailable { why: why.into(), retry_after: None }
    }

    /// Whether a coordinator that asks for a vote hears a no.
    pub(crate) fn refuses(&self) -> bool {
        match self {
            Error::Conflict(_) | Error::OtherCoordinator | Error::Payload(_) => true,
            Error::Stale | Error::Unavailable { .. } | Error::Failed(_) => false,
        }
    }
}

/// A branch that was prepared and waits for its decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InDoubt {
    /// The transaction.
    pub gid: String,
    /// The branch.
    pub branch: String,
    /// Whom to ask: [`Call::inquiry`], as it was when it was prepared.
    pub inquiry: Option<String>,
}
