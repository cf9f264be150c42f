//! What a person, or a program in a person's place, asks of a transaction that exists.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde::Serialize;
use unanim_api::ProblemCode;

use super::attempts::{Attempt, Request, Try, Wait};
use super::{Client, Error, Transaction, encoded, of, parsed_body};

/// How a person settles a branch that its participant does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolution {
    outcome: &'static str,
    reason: String,
    by: String,
}

impl Resolution {
    /// The branch has committed, or will, without the coordinator.
    pub fn committed(reason: impl Into<String>, by: impl Into<String>) -> Self {
        Self { outcome: "committed", reason: reason.into(), by: by.into() }
    }

    /// The branch has rolled back, or will, without the coordinator.
    pub fn rolled_back(reason: impl Into<String>, by: impl Into<String>) -> Self {
        Self { outcome: "rolled_back", reason: reason.into(), by: by.into() }
    }
}

impl Client {
    /// Makes the calls of a transaction now, instead of when they are due.
    pub async fn retry(&self, gid: &str) -> Result<Transaction, Error> {
        parsed_body(&self.retry_raw(gid).await?)
    }

    /// As [`retry`](Client::retry), as it comes.
    pub async fn retry_raw(&self, gid: &str) -> Result<Bytes, Error> {
        Ok(self.change(of(gid, "/retry"), Bytes::new(), Wait::None).await?.body)
    }

    /// Settles a branch by hand: it is not called any more. After the decision; on a stuck one-phase transaction it *is*
    /// the decision.
    pub async fn resolve(&self, gid: &str, branch: &str, resolution: &Resolution) -> Result<Transaction, Error> {
        parsed_body(&self.resolve_raw(gid, branch, resolution).await?)
    }

    /// As [`resolve`](Client::resolve), as it comes.
    pub async fn resolve_raw(&self, gid: &str, branch: &str, resolution: &Resolution) -> Result<Bytes, Error> {
        let path = of(gid, &format!("/branches/{}/resolve", encoded(branch)));
        let body = serde_json::to_vec(resolution).expect("strings are always JSON");
        Ok(self.change(path, body.into(), Wait::None).await?.body)
    }

    /// Removes the record of a finished transaction that is past its retention.
    pub async fn forget(&self, gid: &str) -> Result<(), Error> {
        let request = Request { method: Method::DELETE, path: of(gid, ""), body: Bytes::new(), wait: Wait::None };
        self.attempt(Forget { request, is_lost: AtomicBool::new(false) }).await
    }
}

/// The one change that its own repetition does not find: after a lost answer, `not_found` says that it is done.
struct Forget {
    request: Request,
    is_lost: AtomicBool,
}

impl Try for Forget {
    type Good = ();

    async fn attempt(&self, client: &Client, address: &str, left: Duration) -> Attempt<()> {
        match self.request.attempt(client, address, left).await {
            Attempt::Failed(why)
                if why.code() == Some(ProblemCode::NotFound) && self.is_lost.load(Ordering::Relaxed) =>
            {
                Attempt::Done(())
            }
            Attempt::Again(again) => {
                self.is_lost.fetch_or(matches!(again.why, Error::Lost { .. }), Ordering::Relaxed);
                Attempt::Again(again)
            }
            Attempt::Done(_) => Attempt::Done(()),
            Attempt::Wait => Attempt::Wait,
            Attempt::Failed(why) => Attempt::Failed(why),
        }
    }
}
