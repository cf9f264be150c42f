//! The client: a coordinator's v1 door, typed. Every call here may be sent again, and is, until it is answered.

mod attempts;
mod changes;
mod error;
mod events;
mod lists;
mod submission;
mod transaction;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::attempts::{Addresses, Request};
use crate::http::{Http, Reply};

pub use self::attempts::Wait;
pub use self::changes::Resolution;
pub use self::error::{Error, FieldError, Problem};
pub use self::events::{Event, EventKind, Events};
pub use self::lists::{Filter, Page};
pub use self::submission::{Branch, Submission};
pub use self::transaction::{BranchState, BranchView, Last, Outcome, Phase, Reason, Transaction};

/// What a gid keeps as it is in a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Longer than a transaction may stay undecided unless its submission says otherwise: who waits is told the abort.
const PATIENCE: Duration = Duration::from_secs(90);

type OnRetry = Arc<dyn Fn(&Error) + Send + Sync>;

/// A coordinator, by one or several addresses. Clones share their connections.
///
/// A call that gets no answer, or one that says *not now* (503, 429), is sent again, to the next address, with pauses
/// that grow, until the [patience](Client::with_patience) is over. That is safe: a submission has its gid before it is
/// sent, so it is the same transaction however often it arrives.
///
/// ```no_run
/// use serde_json::json;
/// use unanim::{Branch, Client, Outcome, Submission, Wait};
///
/// # async fn example() -> Result<(), unanim::Error> {
/// let client = Client::new(["http://127.0.0.1:8080"])?;
/// let order = Submission::new()
///     .branch(Branch::new("stock", "http://127.0.0.1:5001/tx").payload(json!({"account": "widgets", "amount": -2})))
///     .branch(Branch::new("pay", "http://127.0.0.1:5002/tx").payload(json!({"account": "alice", "amount": -50})));
/// let ended = client.submit(&order, Wait::Finished).await?;
/// match ended.outcome {
///     Outcome::Committed => println!("{} is sold", ended.gid),
///     outcome => println!("{} is {outcome}: {:?}", ended.gid, ended.reason),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    addresses: Arc<Addresses>,
    http: Http,
    patience: Duration,
    on_retry: Option<OnRetry>,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Client").field("addresses", &self.addresses).field("patience", &self.patience).finish()
    }
}

/// How a client is made, when addresses alone do not do.
#[derive(Default)]
pub struct ClientBuilder {
    token: Option<String>,
    ca_file: Option<PathBuf>,
    http: Option<Http>,
}

impl ClientBuilder {
    /// Shows this bearer token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Trusts the CA certificates in this file (PEM) instead of the system's.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// Shares these connections.
    #[must_use]
    pub fn http(mut self, http: Http) -> Self {
        self.http = Some(http);
        self
    }

    /// The client of the coordinator at these addresses (`http://HOST:PORT`). They must all lead to the *same*
    /// coordinator: a gid that is handed in at two different ones is two transactions.
    pub fn build(self, addresses: impl IntoIterator<Item = impl Into<String>>) -> Result<Client, Error> {
        let invalid = |failure: crate::http::Failure| Error::Invalid(failure.to_string());
        let mut http = match self.http {
            Some(http) => http,
            None => Http::new(self.ca_file.as_deref()).map_err(invalid)?,
        };
        if self.token.is_some() {
            http = http.with_token(self.token).map_err(invalid)?;
        }
        let addresses = Arc::new(Addresses::new(addresses)?);
        Ok(Client { addresses, http, patience: PATIENCE, on_retry: None })
    }
}

impl Client {
    /// The coordinator at these addresses, without a token and with the system's certificates.
    pub fn new(addresses: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, Error> {
        Self::builder().build(addresses)
    }

    /// Everything else that a client may need.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// How long a call is tried, and waited for, in all; 90 s unless given. With zero each address is tried once.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Tells why a call is about to be tried again.
    #[must_use]
    pub fn on_retry(mut self, told: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.on_retry = Some(Arc::new(told));
        self
    }

    /// Begins a transaction and commits it. The answer shows how far it came; an aborted one is no error. When patience
    /// ends first, the transaction goes on, and the answer says `undecided`.
    pub async fn submit(&self, submission: &Submission, wait: Wait) -> Result<Transaction, Error> {
        parsed(&self.change("/v1/transactions".into(), submission.body(), wait).await?)
    }

    /// As [`submit`](Client::submit), with the body as it is and the answer as it comes. The body must have a gid: else
    /// a retry could be a second transaction.
    pub async fn submit_raw(&self, body: Bytes, wait: Wait) -> Result<Bytes, Error> {
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "gid")]
            _gid: String,
        }
        if serde_json::from_slice::<Named>(&body).is_err() {
            return Err(Error::Invalid("a submission needs a gid before it is sent".into()));
        }
        Ok(self.change("/v1/transactions".into(), body, wait).await?.body)
    }

    /// Begins a transaction that stays active until [`commit`](Client::commit), [`rollback`](Client::rollback) or its
    /// deadline. It may have branches already.
    pub async fn begin(&self, submission: &Submission) -> Result<Transaction, Error> {
        let mut begun = submission.clone();
        begun.start = Some(false);
        self.submit(&begun, Wait::None).await
    }

    /// Adds branches to an active transaction: all or, if one is wrong, none.
    pub async fn add_branches(&self, gid: &str, branches: &[Branch]) -> Result<Transaction, Error> {
        parsed(&self.change(of(gid, "/branches"), submission::addition(branches), Wait::None).await?)
    }

    /// Commits an active transaction. The answer says how it ended, also when that was decided before.
    pub async fn commit(&self, gid: &str, wait: Wait) -> Result<Transaction, Error> {
        parsed(&self.change(of(gid, "/commit"), Bytes::new(), wait).await?)
    }

    /// Rolls an undecided transaction back; [`already_decided`](unanim_api::ProblemCode::AlreadyDecided) once it is
    /// committed.
    pub async fn rollback(&self, gid: &str, wait: Wait) -> Result<Transaction, Error> {
        parsed_body(&self.rollback_raw(gid, wait).await?)
    }

    /// As [`rollback`](Client::rollback), as it comes.
    pub async fn rollback_raw(&self, gid: &str, wait: Wait) -> Result<Bytes, Error> {
        Ok(self.change(of(gid, "/rollback"), Bytes::new(), wait).await?.body)
    }

    /// A transaction as it stands.
    pub async fn get(&self, gid: &str) -> Result<Transaction, Error> {
        parsed(&self.attempt(Request::read(of(gid, ""))).await?)
    }

    /// As [`get`](Client::get), as it comes.
    pub async fn get_raw(&self, gid: &str) -> Result<Bytes, Error> {
        Ok(self.attempt(Request::read(of(gid, ""))).await?.body)
    }

    /// How a transaction ends, if that is decided.
    pub async fn outcome(&self, gid: &str) -> Result<Outcome, Error> {
        #[derive(Deserialize)]
        struct Body {
            outcome: Outcome,
        }
        Ok(parsed::<Body>(&self.attempt(Request::read(of(gid, "/outcome"))).await?)?.outcome)
    }

    async fn change(&self, path: String, body: Bytes, wait: Wait) -> Result<Reply, Error> {
        self.attempt(Request { method: Method::POST, path, body, wait }).await
    }
}

fn of(gid: &str, rest: &str) -> String {
    format!("/v1/transactions/{}{rest}", encoded(gid))
}

/// One segment of a path, or one value of a query.
fn encoded(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, SEGMENT)
}

fn parsed<T: DeserializeOwned>(reply: &Reply) -> Result<T, Error> {
    parsed_body(&reply.body)
}

fn parsed_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body)
        .map_err(|error| Error::Invalid(format!("the answer cannot be read ({error}): is that a Unanim server?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gid_is_one_path_segment() {
        assert_eq!(of("a/b \"c\" ü", "/commit"), "/v1/transactions/a%2Fb%20%22c%22%20%C3%BC/commit");
        assert_eq!(of("0192-a_b.c~", ""), "/v1/transactions/0192-a_b.c~");
    }
}
