//! What a person asks of a transaction that exists. Each may be asked again: the answer is the same.

use bytes::Bytes;
use serde::Serialize;

use super::{Answer, Coordinator, READ_TIMEOUT, encoded};

/// How a person settles a branch.
#[derive(Debug, Serialize)]
pub(crate) struct Resolution<'a> {
    pub(crate) outcome: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) by: &'a str,
}

impl Coordinator {
    /// Its calls are made now instead of when they are due.
    pub(crate) async fn retry(&self, gid: &str) -> anyhow::Result<Answer> {
        self.change(&self.url(gid, "/retry"), Bytes::new()).await
    }

    /// It aborts, if nothing else is decided.
    pub(crate) async fn rollback(&self, gid: &str) -> anyhow::Result<Answer> {
        self.change(&self.url(gid, "/rollback"), Bytes::new()).await
    }

    /// A branch is settled by hand: it is not called any more.
    pub(crate) async fn resolve(&self, gid: &str, branch: &str, how: &Resolution<'_>) -> anyhow::Result<Answer> {
        let body = serde_json::to_vec(how)?.into();
        self.change(&self.url(gid, &format!("/branches/{}/resolve", encoded(branch))), body).await
    }

    /// The record of a finished one goes.
    pub(crate) async fn forget(&self, gid: &str) -> anyhow::Result<Answer> {
        let reply = self.client.delete(&self.url(gid, ""), READ_TIMEOUT).await;
        self.accept(reply.map_err(|failure| self.lost(failure))?)
    }

    async fn change(&self, url: &str, body: Bytes) -> anyhow::Result<Answer> {
        let reply = self.client.post(url, body, READ_TIMEOUT).await;
        self.accept(reply.map_err(|failure| self.lost(failure))?)
    }
}
