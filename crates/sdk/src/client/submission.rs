//! What a client hands in.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

/// A transaction to be submitted. It has its gid from the start, so that it can be sent any number of times, also after
/// a crash of the client that kept it, and runs once.
///
/// ```
/// use serde_json::json;
/// use std::time::Duration;
/// use unanim::{Branch, Submission};
///
/// let order = Submission::with_gid("order-17")
///     .timeout(Duration::from_secs(20))
///     .branch(Branch::new("stock", "http://127.0.0.1:5001/tx").payload(json!({"account": "widgets", "amount": -2})))
///     .branch(Branch::new("pay", "http://127.0.0.1:5002/tx").payload(json!({"account": "alice", "amount": -50})));
/// assert_eq!(order.gid(), "order-17");
/// assert_eq!(Submission::new().gid().len(), 36);
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Submission {
    gid: String,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<Retry>,
    branches: Vec<Branch>,
}

impl Submission {
    /// A two-phase commit under a new, unique gid.
    pub fn new() -> Self {
        Self::with_gid(uuid::Uuid::now_v7().to_string())
    }

    /// A two-phase commit under a gid of your own: 1 to 128 bytes without control characters.
    pub fn with_gid(gid: impl Into<String>) -> Self {
        Self { gid: gid.into(), mode: "two_phase", start: None, timeout_ms: None, retry: None, branches: Vec::new() }
    }

    /// How long it may stay undecided; 60 s unless given.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(millis(timeout));
        self
    }

    /// The first and the longest pause between two calls to a participant; 100 ms and 30 s unless given.
    #[must_use]
    pub fn retry(mut self, first: Duration, max: Duration) -> Self {
        self.retry = Some(Retry::between(first, max));
        self
    }

    /// One more branch.
    #[must_use]
    pub fn branch(mut self, branch: Branch) -> Self {
        self.branches.push(branch);
        self
    }

    /// Its name.
    pub fn gid(&self) -> &str {
        &self.gid
    }

    pub(super) fn body(&self) -> Bytes {
        written(self)
    }
}

impl Default for Submission {
    fn default() -> Self {
        Self::new()
    }
}

/// The work of one participant. Numbers in seconds and milliseconds are sent as whole milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Branch {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    endpoints: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    headers: Headers,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<Retry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_statuses: Option<Vec<u16>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    one_phase: bool,
}

impl Branch {
    /// A branch whose endpoint is called for every operation.
    pub fn new(id: impl Into<String>, endpoint: impl Into<String>) -> Self {
        Self::with(id.into(), Some(endpoint.into()), BTreeMap::new())
    }

    /// A branch with an endpoint for each operation.
    pub fn with_endpoints(
        id: impl Into<String>,
        prepare: impl Into<String>,
        commit: impl Into<String>,
        rollback: impl Into<String>,
    ) -> Self {
        let endpoints = [("prepare", prepare.into()), ("commit", commit.into()), ("rollback", rollback.into())];
        Self::with(id.into(), None, endpoints.into())
    }

    fn with(id: String, endpoint: Option<String>, endpoints: BTreeMap<&'static str, String>) -> Self {
        Self {
            id,
            endpoint,
            endpoints,
            payload: None,
            headers: Headers::default(),
            call_timeout_ms: None,
            retry: None,
            refused_statuses: None,
            one_phase: false,
        }
    }

    /// The body of every call.
    #[must_use]
    pub fn payload(self, payload: serde_json::Value) -> Self {
        self.raw_payload(serde_json::value::to_raw_value(&payload).expect("a value is always JSON"))
    }

    /// The body of every call, byte for byte.
    #[must_use]
    pub fn raw_payload(mut self, payload: Box<RawValue>) -> Self {
        self.payload = Some(payload);
        self
    }

    /// A header of every call. The coordinator stores it and never shows it again.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.0.insert(name.into(), value.into());
        self
    }

    /// How long one call may take; 10 s unless given.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout_ms = Some(millis(timeout));
        self
    }

    /// The first and the longest pause between two calls.
    #[must_use]
    pub fn retry(mut self, first: Duration, max: Duration) -> Self {
        self.retry = Some(Retry::between(first, max));
        self
    }

    /// Statuses that mean no to a prepare; 409 and 422 unless given.
    #[must_use]
    pub fn refused_statuses(mut self, statuses: impl Into<Vec<u16>>) -> Self {
        self.refused_statuses = Some(statuses.into());
        self
    }

    /// If it is the only branch: one call instead of two phases.
    #[must_use]
    pub fn one_phase(mut self) -> Self {
        self.one_phase = true;
        self
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Retry {
    first_ms: u64,
    max_ms: u64,
}

impl Retry {
    fn between(first: Duration, max: Duration) -> Self {
        Self { first_ms: millis(first), max_ms: millis(max) }
    }
}

/// May hold secrets.
#[derive(Clone, Default, Serialize)]
struct Headers(BTreeMap<String, String>);

impl Headers {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

/// `{"branches": […]}`
pub(super) fn addition(branches: &[Branch]) -> Bytes {
    #[derive(Serialize)]
    struct Addition<'a> {
        branches: &'a [Branch],
    }
    written(&Addition { branches })
}

fn written(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).expect("strings, numbers and JSON are always JSON").into()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_given_is_sent() {
        let stock = Branch::new("stock", "http://s/tx").payload(json!({"n": 2})).header("x-key", "secret").one_phase();
        let pay = Branch::with_endpoints("pay", "http://p/p", "http://p/c", "http://p/r").refused_statuses([402]);
        let order = Submission::with_gid("o").timeout(Duration::from_secs(2)).branch(stock).branch(pay);
        let sent: serde_json::Value = serde_json::from_slice(&order.body()).unwrap();
        let expected = json!({"gid": "o", "mode": "two_phase", "timeout_ms": 2000, "branches": [
            {"id": "stock", "endpoint": "http://s/tx", "payload": {"n": 2}, "headers": {"x-key": "secret"}, "one_phase": true},
            {"id": "pay", "endpoints": {"prepare": "http://p/p", "commit": "http://p/c", "rollback": "http://p/r"}, "refused_statuses": [402]},
        ]});
        assert_eq!(sent, expected);
        assert!(format!("{order:?}").contains("x-key") && !format!("{order:?}").contains("secret"));
    }

    #[test]
    fn a_raw_payload_keeps_its_bytes() {
        let raw = RawValue::from_string(r#"{ "b":1.50, "a":1 }"#.into()).unwrap();
        let body = Submission::with_gid("o").branch(Branch::new("b", "http://s").raw_payload(raw)).body();
        assert!(std::str::from_utf8(&body).unwrap().contains(r#""payload":{ "b":1.50, "a":1 }"#), "{body:?}");
    }
}
