//! The v1 front door, seen from a client: what `tx` and `demo` use.

mod changes;
mod events;
mod lists;
mod problem;
mod view;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::ValueEnum;
use hyper::header::RETRY_AFTER;
use hyper::{StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

pub(crate) use self::changes::Resolution;
pub(crate) use self::events::{Events, Next};
pub(crate) use self::lists::Filter;
pub(crate) use self::view::{Branch, Last, Reason, Transaction};
use crate::http::{Client, Failure, Reply};

/// What a gid keeps as it is in a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one request lets the server wait; longer waits are made of several.
const WAIT_MAX: Duration = Duration::from_secs(50);
/// What the network may add to that before the answer counts as lost.
const GRACE: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(3);

/// What a submission waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    /// Every participant has acknowledged the decision
    Finished,
    /// Committed or aborted is decided, and durable
    Decided,
    /// It is accepted
    None,
}

#[derive(Deserialize)]
struct Outcome {
    outcome: String,
}

/// The body of a good answer.
pub(crate) struct Answer(Bytes);

impl Answer {
    pub(crate) fn parse(&self) -> anyhow::Result<Transaction> {
        serde_json::from_slice(&self.0).context("the answer is no transaction: is that a Unanim server?")
    }

    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

/// A server, by its URL.
#[derive(Clone)]
pub(crate) struct Coordinator {
    base: String,
    client: Client,
}

impl Coordinator {
    pub(crate) fn new(server: &str, client: Client) -> anyhow::Result<Self> {
        let url: Uri = server.parse().with_context(|| format!("{server:?} is no URL"))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.authority().is_none() || url.query().is_some() {
            bail!("--server is http://HOST:PORT or https://HOST:PORT, not {server}");
        }
        Ok(Self { base: server.trim_end_matches('/').to_owned(), client })
    }

    pub(crate) async fn get(&self, gid: &str) -> anyhow::Result<Answer> {
        let url = self.url(gid, "");
        let reply = self.client.get(&url, READ_TIMEOUT).await.map_err(|failure| self.lost(failure))?;
        self.accept(reply)
    }

    /// `committed`, `aborted` or `undecided`, as a client is told.
    pub(crate) async fn outcome(&self, gid: &str) -> anyhow::Result<String> {
        let url = self.url(gid, "/outcome");
        let reply = self.client.get(&url, READ_TIMEOUT).await.map_err(|failure| self.lost(failure))?;
        let outcome: Outcome = serde_json::from_slice(&self.accept(reply)?.0).context("the answer is no outcome")?;
        Ok(outcome.outcome)
    }

    /// Sends the same body again after a lost connection, a 503, or a wait that was over too early, until `timeout`.
    /// The first time that nobody answers is `told`.
    pub(crate) async fn submit(
        &self,
        body: &Bytes,
        wait: Wait,
        timeout: Duration,
        told: impl FnOnce(anyhow::Error),
    ) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + timeout;
        let mut told = Some(told);
        let mut pause = RETRY_FIRST;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let url = self.submit_url(wait, left.min(WAIT_MAX));
            let again = match self.client.post(&url, body.clone(), left.min(WAIT_MAX) + GRACE).await {
                Ok(reply)
                    if reply.status == StatusCode::ACCEPTED && wait != Wait::None && Instant::now() < deadline =>
                {
                    // The server has waited as long as it may; had it not, this must not spin.
                    RETRY_FIRST
                }
                Ok(reply) if reply.status == StatusCode::SERVICE_UNAVAILABLE => match again_after(&reply, pause) {
                    again if Instant::now() + again < deadline => again,
                    _ => return self.accept(reply),
                },
                Ok(reply) => return self.accept(reply),
                Err(failure @ Failure::Invalid(_)) => return Err(failure.into()),
                Err(failure) if Instant::now() + pause >= deadline => return Err(self.lost(failure)),
                Err(failure @ (Failure::Unreachable(_) | Failure::Lost(_))) => {
                    if let Some(told) = told.take() {
                        told(self.lost(failure));
                    }
                    pause
                }
            };
            tokio::time::sleep(again).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    fn submit_url(&self, wait: Wait, left: Duration) -> String {
        let wait = match wait {
            Wait::Finished => "finished",
            Wait::Decided => "decided",
            Wait::None => return format!("{}/v1/transactions", self.base),
        };
        format!("{}/v1/transactions?wait={wait}&timeout_ms={}", self.base, left.as_millis())
    }

    /// Where a transaction is, or what `follows`.
    fn url(&self, gid: &str, follows: &str) -> String {
        format!("{}/v1/transactions/{}{follows}", self.base, encoded(gid))
    }

    fn accept(&self, reply: Reply) -> anyhow::Result<Answer> {
        if reply.status.is_success() {
            return Ok(Answer(reply.body));
        }
        Err(problem::error(&self.base, self.client.has_token(), &reply))
    }

    fn lost(&self, failure: Failure) -> anyhow::Error {
        match failure {
            Failure::Unreachable(error) => error
                .context(format!("cannot reach {} (does `unanim serve` run there? --server names another)", self.base)),
            Failure::Lost(error) => error.context(format!("lost the answer of {}", self.base)),
            Failure::Invalid(error) => error,
        }
    }
}

/// One segment of a path, or one value of a query.
fn encoded(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, SEGMENT)
}

/// As the server asks, but not at once: it may say 0.
fn again_after(reply: &Reply, pause: Duration) -> Duration {
    let asked =
        reply.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    asked.map_or(pause, |asked| asked.max(RETRY_FIRST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gid_is_one_path_segment() {
        assert_eq!(encoded("a/b \"c\" ü").to_string(), "a%2Fb%20%22c%22%20%C3%BC");
        assert_eq!(encoded("0192-a_b.c~").to_string(), "0192-a_b.c~");
    }
}
