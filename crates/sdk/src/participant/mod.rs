//! A participant: a [`ResourceManager`] behind HTTP, and the task that asks in doubt.

mod answer;
mod call;
mod inquiry;
mod manager;
mod notice;
#[cfg(feature = "axum")]
mod router;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, Response};

use crate::http::Http;

pub use self::call::{Call, Mark, Op};
pub use self::manager::{Ack, Error, Heuristic, InDoubt, ResourceManager, Vote};
pub use self::notice::Notice;

/// The largest payload, as the protocol has it.
pub const PAYLOAD_MAX: usize = 1 << 20;

/// How long a branch is prepared before its coordinator is asked.
const INQUIRE_AFTER: Duration = Duration::from_secs(2);

type OnNotice = Arc<dyn Fn(&Notice) + Send + Sync>;

/// A resource manager as coordinators see it. Clones are the same participant.
///
/// [`router`](Participant::router) is an axum router; [`answer`](Participant::answer) is the same for any other
/// framework. [`inquire`](Participant::inquire) must run beside it.
///
/// ```no_run
/// # #[cfg(all(feature = "axum", feature = "sqlite"))]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use unanim::Participant;
/// use unanim::http::Http;
/// use unanim::sqlite::{Accounts, Branches};
///
/// let accounts = Branches::open("stock.db".as_ref(), Accounts::new([("widgets", 100)]))?;
/// let participant = Participant::new(accounts);
/// tokio::spawn(participant.clone().inquire(Http::new(None)?));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:5001").await?;
/// axum::serve(listener, axum::Router::new().nest("/tx", participant.router())).await?;
/// # Ok(())
/// # }
/// ```
pub struct Participant<R> {
    manager: Arc<R>,
    inquire_after: Duration,
    on_notice: OnNotice,
}

impl<R: ResourceManager> Participant<R> {
    /// A participant with this resource manager. It logs by `tracing`.
    pub fn new(manager: R) -> Self {
        Self { manager: Arc::new(manager), inquire_after: INQUIRE_AFTER, on_notice: Arc::new(Notice::log) }
    }

    /// For how long a branch is held before its coordinator is asked; 2 s unless given.
    #[must_use]
    pub fn inquire_after(mut self, age: Duration) -> Self {
        self.inquire_after = age;
        self
    }

    /// Is told what a person should know, instead of the log.
    #[must_use]
    pub fn on_notice(mut self, told: impl Fn(&Notice) + Send + Sync + 'static) -> Self {
        self.on_notice = Arc::new(told);
        self
    }

    /// The resource manager.
    pub fn manager(&self) -> &R {
        &self.manager
    }

    /// The answer to a v1 call (`POST`) with these headers and this body. It is durable when this returns, and worked out
    /// even if the future is dropped: a caller that hangs up takes nothing back.
    pub async fn answer(&self, headers: &HeaderMap, payload: Bytes) -> Response<Bytes> {
        match Call::read(headers, payload) {
            Ok(call) => self.answer_call(call).await,
            Err(why) => answer::bad_request(&why),
        }
    }

    /// The answer to this call, however it came.
    pub async fn answer_call(&self, call: Call) -> Response<Bytes> {
        let participant = self.clone();
        // In a task of its own, so that it is not left half done.
        let working = tokio::spawn(async move { participant.work(&call).await });
        working.await.unwrap_or_else(|_| answer::of_error(&Error::Failed("the resource manager panicked".into())))
    }

    /// Asks coordinators about what has been prepared for long, for ever: run it as a task.
    pub async fn inquire(self, http: Http) {
        inquiry::run(self, http).await;
    }

    async fn work(&self, call: &Call) -> Response<Bytes> {
        let manager = &self.manager;
        match call.op {
            // It would abort anyway, and be told to; what is held now would be held for nothing.
            Op::Prepare if call.is_late() => answer::of_vote(&Vote::No("the transaction's deadline has passed".into())),
            Op::Prepare => self.voted(call, manager.prepare(call).await),
            Op::CommitOnePhase => self.voted(call, manager.commit_one_phase(call).await),
            Op::Commit | Op::Rollback => {
                let ended = self.end(call).await;
                if let Err(Error::Conflict(why)) = &ended {
                    self.tell(&contradiction(call, why));
                }
                ended.map_or_else(|error| self.failed(call, &error), answer::of_ack)
            }
        }
    }

    fn voted(&self, call: &Call, vote: Result<Vote, Error>) -> Response<Bytes> {
        vote.map_or_else(|error| self.failed(call, &error), |vote| answer::of_vote(&vote))
    }

    fn failed(&self, call: &Call, error: &Error) -> Response<Bytes> {
        if *error == Error::OtherCoordinator {
            let (gid, branch) = (call.gid.clone(), call.branch.clone());
            let store = call.mark.as_ref().map(|mark| mark.store.clone()).unwrap_or_default();
            self.tell(&Notice::OtherCoordinator { op: call.op, gid, branch, store });
        }
        answer::of_error(error)
    }

    async fn end(&self, call: &Call) -> Result<Ack, Error> {
        match call.op {
            Op::Commit => self.manager.commit(call).await,
            Op::Rollback => self.manager.rollback(call).await,
            Op::Prepare | Op::CommitOnePhase => unreachable!("these end nothing that was prepared before"),
        }
    }

    fn tell(&self, notice: &Notice) {
        (self.on_notice)(notice);
    }
}

/// A promise was broken somewhere.
fn contradiction(call: &Call, why: &str) -> Notice {
    Notice::Contradiction { op: call.op, gid: call.gid.clone(), branch: call.branch.clone(), why: why.to_owned() }
}

impl<R> Clone for Participant<R> {
    fn clone(&self) -> Self {
        let (manager, on_notice) = (self.manager.clone(), self.on_notice.clone());
        Self { manager, inquire_after: self.inquire_after, on_notice }
    }
}

impl<R: fmt::Debug> fmt::Debug for Participant<R> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Participant").field("manager", &self.manager).finish()
    }
}
