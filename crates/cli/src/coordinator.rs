//! The v1 front door, seen from a client: what `tx` and `demo` use.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::ValueEnum;
use hyper::header::RETRY_AFTER;
use hyper::{StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

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

/// A transaction as the server shows it. Answers may grow: what is not here is passed over, and enums stay text.
#[derive(Debug, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) gid: String,
    pub(crate) mode: String,
    pub(crate) phase: String,
    pub(crate) outcome: String,
    pub(crate) reason: Option<Reason>,
    #[serde(default)]
    pub(crate) stuck: bool,
    pub(crate) heuristic: Option<String>,
    pub(crate) created_at: Option<String>,
    pub(crate) deadline_at: Option<String>,
    pub(crate) decided_at: Option<String>,
    pub(crate) finished_at: Option<String>,
    #[serde(default)]
    pub(crate) branches: Vec<Branch>,
}

/// Why it aborted.
#[derive(Debug, Deserialize)]
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) branch: Option<String>,
    pub(crate) detail: Option<String>,
}

/// A branch as the server shows it.
#[derive(Debug, Deserialize)]
pub(crate) struct Branch {
    pub(crate) id: String,
    pub(crate) participant: Option<String>,
    pub(crate) state: String,
    pub(crate) op: Option<String>,
    #[serde(default)]
    pub(crate) attempts: u64,
    pub(crate) last: Option<Last>,
    pub(crate) next_at: Option<String>,
    /// What the participant did on its own.
    pub(crate) heuristic: Option<String>,
}

/// The last reply to a branch's call, or why there was none.
#[derive(Debug, Deserialize)]
pub(crate) struct Last {
    pub(crate) at: Option<String>,
    pub(crate) code: Option<String>,
}

#[derive(Deserialize)]
struct Outcome {
    outcome: String,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: Option<String>,
    title: Option<String>,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    pointer: Option<String>,
    code: Option<String>,
    detail: Option<String>,
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
        let url = format!("{}/v1/transactions/{}", self.base, utf8_percent_encode(gid, SEGMENT));
        let reply = self.client.get(&url, READ_TIMEOUT).await.map_err(|failure| self.lost(failure))?;
        self.accept(reply)
    }

    /// `committed`, `aborted` or `undecided`, as a client is told.
    pub(crate) async fn outcome(&self, gid: &str) -> anyhow::Result<String> {
        let url = format!("{}/v1/transactions/{}/outcome", self.base, utf8_percent_encode(gid, SEGMENT));
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

    fn accept(&self, reply: Reply) -> anyhow::Result<Answer> {
        if reply.status.is_success() {
            return Ok(Answer(reply.body));
        }
        let Ok(problem) = serde_json::from_slice::<Problem>(&reply.body) else {
            bail!("{} answered {} without saying why: is that a Unanim server?", self.base, reply.status);
        };
        let said = problem.detail.or(problem.title).unwrap_or_default();
        let is_said = |fault: &Fault| fault.detail.as_ref().is_some_and(|detail| said.contains(detail.as_str()));
        let several = problem.errors.len() > 1;
        let mut text = format!("{} ({}): {said}", problem.code, reply.status.as_u16());
        // One alone may be what the detail says already.
        for fault in problem.errors.into_iter().filter(|fault| several || !is_said(fault)) {
            let said = [fault.code, fault.detail].into_iter().flatten().collect::<Vec<_>>().join(": ");
            text += &format!("\n  at {}: {said}", fault.pointer.as_deref().unwrap_or("/"));
        }
        Err(anyhow!(text))
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
        assert_eq!(utf8_percent_encode("a/b \"c\" ü", SEGMENT).to_string(), "a%2Fb%20%22c%22%20%C3%BC");
        assert_eq!(utf8_percent_encode("0192-a_b.c~", SEGMENT).to_string(), "0192-a_b.c~");
    }
}
