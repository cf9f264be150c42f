//! One request, sent until it is answered: over the addresses in turn, with pauses that grow, until the time is up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::RETRY_AFTER;
use hyper::{Method, StatusCode};

use super::error::Error;
use crate::http::{Failure, Reply};

pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one request lets the server wait; longer waits are made of several.
const WAIT_MAX: Duration = Duration::from_secs(50);
/// What the network may add to that before the answer counts as lost.
const GRACE: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(3);

/// What a change waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Every participant has acknowledged the decision.
    Finished,
    /// Committed or aborted is decided, and durable.
    Decided,
    /// It is accepted.
    None,
}

impl Wait {
    fn word(self) -> Option<&'static str> {
        match self {
            Wait::Finished => Some("finished"),
            Wait::Decided => Some("decided"),
            Wait::None => None,
        }
    }
}

/// A request that may be sent any number of times.
pub(super) struct Request {
    pub(super) method: Method,
    /// With its query.
    pub(super) path: String,
    pub(super) body: Bytes,
    pub(super) wait: Wait,
}

impl Request {
    pub(super) fn read(path: String) -> Self {
        Self { method: Method::GET, path, body: Bytes::new(), wait: Wait::None }
    }

    /// The URL, and how long its answer may take.
    fn url(&self, address: &str, left: Duration) -> (String, Duration) {
        match self.wait.word() {
            None => (format!("{address}{}", self.path), READ_TIMEOUT),
            Some(word) => {
                let wait = left.min(WAIT_MAX);
                (format!("{address}{}?wait={word}&timeout_ms={}", self.path, wait.as_millis()), wait + GRACE)
            }
        }
    }
}

/// Where a coordinator can be reached, and which of these answered last.
#[derive(Debug)]
pub(super) struct Addresses {
    all: Vec<String>,
    at: AtomicUsize,
}

impl Addresses {
    /// Checks them; there must be one.
    pub(super) fn new(all: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, Error> {
        let mut kept = Vec::new();
        for address in all {
            let address: String = address.into();
            let url = address.parse::<hyper::Uri>().ok();
            let usable = url.is_some_and(|url| {
                matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some() && url.query().is_none()
            });
            if !usable {
                return Err(Error::Invalid(format!(
                    "an address is http://HOST:PORT or https://HOST:PORT, not {address}"
                )));
            }
            kept.push(address.trim_end_matches('/').to_owned());
        }
        if kept.is_empty() {
            return Err(Error::Invalid("a client needs an address".into()));
        }
        Ok(Self { all: kept, at: AtomicUsize::new(0) })
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    pub(super) fn current(&self) -> (usize, &str) {
        let at = self.at.load(Ordering::Relaxed);
        (at, &self.all[at % self.all.len()])
    }

    /// The next one's turn, unless another request has moved on already.
    pub(super) fn move_on(&self, from: usize) {
        let _ = self.at.compare_exchange(from, from.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// How an attempt ended.
pub(super) enum Attempt<T> {
    /// With what was asked for.
    Done(T),
    /// The server has waited as long as it may: it is asked to wait again.
    Wait,
    /// Without; the same may do better later, or elsewhere.
    Again(Again),
    /// Without; the same will not do better.
    Failed(Error),
}

/// Why an attempt did not do.
pub(super) struct Again {
    pub(super) why: Error,
    /// The server's `Retry-After`.
    pub(super) asked: Option<Duration>,
}

impl<T> Attempt<T> {
    pub(super) fn lost(address: &str, failure: Failure) -> Self {
        match failure {
            Failure::Invalid(_) => Attempt::Failed(Error::failed(address, failure)),
            Failure::Unreachable(_) | Failure::Lost(_) => {
                Attempt::Again(Again { why: Error::failed(address, failure), asked: None })
            }
        }
    }

    /// An answer that is not the good one.
    pub(super) fn refused(address: &str, reply: &Reply) -> Self {
        let why = Error::answered(address, reply);
        if !why.is_retryable() {
            return Attempt::Failed(why);
        }
        let asked = reply.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Attempt::Again(Again { why, asked: asked.map(Duration::from_secs) })
    }
}

/// Something that may be tried any number of times.
pub(super) trait Try: Sync {
    /// What it is tried for.
    type Good: Send;

    /// Once, at this address, with so much time left in all.
    fn attempt(
        &self,
        client: &super::Client,
        address: &str,
        left: Duration,
    ) -> impl Future<Output = Attempt<Self::Good>> + Send;
}

impl Try for Request {
    type Good = Reply;

    async fn attempt(&self, client: &super::Client, address: &str, left: Duration) -> Attempt<Reply> {
        let (url, timeout) = self.url(address, left);
        match client.http.send(self.method.clone(), &url, self.body.clone(), timeout).await {
            Ok(reply) if reply.status == StatusCode::ACCEPTED && self.wait != Wait::None && !left.is_zero() => {
                Attempt::Wait
            }
            Ok(reply) if reply.status.is_success() => Attempt::Done(reply),
            Ok(reply) => Attempt::refused(address, &reply),
            Err(failure) => Attempt::lost(address, failure),
        }
    }
}

impl super::Client {
    /// Until it is done. Every address is tried at least once.
    pub(super) async fn attempt<T: Try>(&self, what: T) -> Result<T::Good, Error> {
        let until = Instant::now() + self.patience;
        let (mut pause, mut failed) = (RETRY_FIRST, 0);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (at, address) = self.addresses.current();
            let again = match what.attempt(self, address, left).await {
                Attempt::Done(good) => return Ok(good),
                Attempt::Failed(why) => return Err(why),
                Attempt::Wait => {
                    // Had it not waited, this must not spin.
                    tokio::time::sleep(RETRY_FIRST).await;
                    continue;
                }
                Attempt::Again(again) => again,
            };
            self.addresses.move_on(at);
            failed += 1;
            if failed % self.addresses.count() != 0 {
                continue;
            }
            // As the server asks, but not at once: it may say 0.
            let rest = again.asked.map_or(pause, |asked| asked.max(RETRY_FIRST));
            if Instant::now() + rest >= until {
                return Err(again.why);
            }
            if let Some(told) = &self.on_retry {
                told(&again.why);
            }
            tokio::time::sleep(rest).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["", "localhost:8080", "ftp://x", "http://", "http://x/?y", "not a url"] {
            assert!(matches!(Addresses::new([bad]), Err(Error::Invalid(_))), "{bad}");
        }
        assert!(Addresses::new(Vec::<String>::new()).is_err());
        assert_eq!(Addresses::new(["http://a:1/"]).unwrap().current(), (0, "http://a:1"));
    }

    #[test]
    fn requests_that_fail_together_move_on_once() {
        let addresses = Addresses::new(["http://a", "http://b", "http://c"]).unwrap();
        let (at, _) = addresses.current();
        addresses.move_on(at);
        addresses.move_on(at);
        assert_eq!(addresses.current(), (1, "http://b"));
    }
}
