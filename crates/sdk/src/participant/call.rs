//! One call of a coordinator, as its headers and body say it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::HeaderMap;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use unanim_api::names::op_of;

use super::manager::Error;

pub use unanim_api::Op;

/// One call of a coordinator, or what an inquiry told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// What is asked.
    pub op: Op,
    /// The transaction; 1 to 128 bytes.
    pub gid: String,
    /// The branch; 1 to 64 bytes. Empty for classic calls, which know no branches.
    pub branch: String,
    /// The URL to ask in doubt. Keep it with the prepared state.
    pub inquiry: Option<String>,
    /// What the client wrote for this branch, byte for byte. The same for every operation; empty after an inquiry.
    pub payload: Bytes,
    /// When the transaction will have aborted, if it is undecided then: no use in preparing later.
    pub deadline: Option<Instant>,
    /// Which call of the coordinator this is.
    pub mark: Option<Mark>,
}

impl Call {
    /// A call without anything optional.
    pub fn new(op: Op, gid: impl Into<String>, branch: impl Into<String>) -> Self {
        let (gid, branch) = (gid.into(), branch.into());
        Self { op, gid, branch, inquiry: None, payload: Bytes::new(), deadline: None, mark: None }
    }

    /// With this payload.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self
    }

    /// With this URL to ask in doubt.
    #[must_use]
    pub fn with_inquiry(mut self, inquiry: Option<String>) -> Self {
        self.inquiry = inquiry;
        self
    }

    /// Reads the `Unanim-*` headers of a v1 call; an error says which one is missing or wrong.
    pub fn read(headers: &HeaderMap, payload: Bytes) -> Result<Self, String> {
        let word = decoded(headers, "unanim-op")?;
        let op = op_of(&word).ok_or_else(|| format!("Unanim-Op {word:?} is not for this participant"))?;
        let mut call = Self::new(op, decoded(headers, "unanim-gid")?, decoded(headers, "unanim-branch")?);
        call.payload = payload;
        call.inquiry = headers.get("unanim-inquiry").and_then(|url| url.to_str().ok()).map(str::to_owned);
        let left = number(headers, "unanim-deadline")?.map(Duration::from_millis);
        call.deadline = left.and_then(|left| Instant::now().checked_add(left));
        let fence = number(headers, "unanim-fence")?;
        let attempt = number(headers, "unanim-attempt")?;
        call.mark = fence.zip(attempt).zip(call.store()).map(|((fence, attempt), store)| Mark {
            store: store.to_owned(),
            fence,
            attempt,
        });
        Ok(call)
    }

    /// The payload, read as JSON.
    ///
    /// ```
    /// use unanim::participant::{Call, Op};
    ///
    /// let call = Call::new(Op::Prepare, "order-17", "seats").with_payload(r#"{"seats": 2}"#);
    /// assert_eq!(call.json::<serde_json::Value>()?["seats"], 2);
    /// assert!(call.json::<Vec<u64>>().is_err());
    /// # Ok::<(), unanim::participant::Error>(())
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.payload).map_err(|error| Error::Payload(error.to_string()))
    }

    /// Whether the transaction's deadline is over.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// The coordinator's store, out of the URL to ask.
    fn store(&self) -> Option<&str> {
        let (_, query) = self.inquiry.as_deref()?.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix("store="))
    }
}

/// Which call this is: numbers that grow, with each start of a coordinator and with each of its calls to a branch. Marks of
/// different stores say nothing about each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The UUID of the coordinator's store.
    pub store: String,
    /// Grows with every start of the coordinator.
    pub fence: u64,
    /// Counts the calls to this branch since then.
    pub attempt: u64,
}

impl Mark {
    /// Whether the same coordinator made this call before that one.
    pub fn is_older_than(&self, other: &Mark) -> bool {
        self.store == other.store && (self.fence, self.attempt) < (other.fence, other.attempt)
    }
}

/// A header that must be there, percent-decoded.
fn decoded(headers: &HeaderMap, name: &str) -> Result<String, String> {
    let value = headers.get(name).ok_or_else(|| format!("the header {name} is missing"))?;
    let text = percent_decode_str(value.to_str().unwrap_or_default()).decode_utf8();
    let text = text.map_err(|_| format!("the header {name} is no UTF-8"))?.into_owned();
    if text.is_empty() { Err(format!("the header {name} is empty")) } else { Ok(text) }
}

/// A number, if the header is there.
fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, String> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str().ok().and_then(|text| text.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("the header {name} is no number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    const URL: &str = "http://c/v1/transactions/a%2Fb/outcome?branch=x&store=1234&key=5";

    #[test]
    fn all_headers_are_read() {
        let read = headers(&[
            ("unanim-op", "commit_one_phase"),
            ("unanim-gid", "a%2Fb%20%C3%BC"),
            ("unanim-branch", "x"),
            ("unanim-inquiry", URL),
            ("unanim-deadline", "60000"),
            ("unanim-fence", "7"),
            ("unanim-attempt", "3"),
        ]);
        let call = Call::read(&read, Bytes::from_static(b"{}")).unwrap();
        assert_eq!((call.op, call.gid.as_str(), call.branch.as_str()), (Op::CommitOnePhase, "a/b ü", "x"));
        assert_eq!(call.inquiry.as_deref(), Some(URL));
        assert_eq!(call.mark, Some(Mark { store: "1234".into(), fence: 7, attempt: 3 }));
        assert!(!call.is_late() && call.deadline.unwrap() > Instant::now() + Duration::from_secs(50));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let told = |pairs: &[(&'static str, &str)]| Call::read(&headers(pairs), Bytes::new()).unwrap_err();
        let base = [("unanim-op", "commit"), ("unanim-gid", "g")];
        assert!(told(&[]).contains("unanim-op is missing"));
        assert!(told(&[("unanim-op", "action")]).contains("\"action\" is not for this participant"));
        assert!(told(&base).contains("unanim-branch is missing"));
        assert!(told(&[&base[..], &[("unanim-branch", "%ff")]].concat()).contains("no UTF-8"));
        assert!(told(&[&base[..], &[("unanim-branch", "")]].concat()).contains("empty"));
        assert!(told(&[&base[..], &[("unanim-branch", "b"), ("unanim-fence", "x")]].concat()).contains("no number"));
    }

    #[test]
    fn marks_of_one_store_are_in_order() {
        let mark = |store: &str, fence, attempt| Mark { store: store.into(), fence, attempt };
        assert!(mark("a", 1, 9).is_older_than(&mark("a", 2, 1)) && mark("a", 2, 1).is_older_than(&mark("a", 2, 2)));
        assert!(!mark("a", 1, 1).is_older_than(&mark("a", 1, 1)) && !mark("a", 2, 1).is_older_than(&mark("a", 1, 9)));
        assert!(!mark("a", 1, 1).is_older_than(&mark("b", 2, 1)));
    }
}
