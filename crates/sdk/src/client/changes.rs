//! What a person, or a program in a person's place, asks of a transaction that exists.

use bytes::Bytes;
use hyper::Method;
use serde::Serialize;

use super::attempts::{Request, Wait};
use super::{Client, Error, Transaction, encoded, of, parsed};

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
        parsed(&self.change(of(gid, "/retry"), Bytes::new(), Wait::None).await?)
    }

    /// Settles a branch by hand: it is not called any more. After the decision; on a stuck one-phase transaction it *is*
    /// the decision.
    pub async fn resolve(&self, gid: &str, branch: &str, resolution: &Resolution) -> Result<Transaction, Error> {
        let body = serde_json::to_vec(resolution).expect("strings are always JSON");
        parsed(&self.change(of(gid, &format!("/branches/{}/resolve", encoded(branch))), body.into(), Wait::None).await?)
    }

    /// Removes the record of a finished transaction that is past its retention.
    pub async fn forget(&self, gid: &str) -> Result<(), Error> {
        let request = Request { method: Method::DELETE, path: of(gid, ""), body: Bytes::new(), wait: Wait::None };
        self.attempt(request).await.map(drop)
    }
}
