//! The floor's side towards participants: the calls of both phases, in parallel, over hyper-util's pooled client.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// As long as the keys and store names that a coordinator puts into the URL to ask in doubt.
const STORE: &str = "00000000-0000-0000-0000-000000000000";
const KEY: &str = "0000000000000000000000000000000000000000000";

/// A transaction on its way through.
pub(crate) struct Transaction {
    pub(crate) gid: String,
    pub(crate) branches: Vec<Branch>,
    pub(crate) classic: bool,
}

/// One participant's part of it.
pub(crate) struct Branch {
    pub(crate) id: String,
    /// The URL of every operation; a classic one still lacks the word at its end.
    endpoint: String,
    payload: Bytes,
}

impl Branch {
    pub(crate) fn v1(id: String, endpoint: String, payload: Bytes) -> Self {
        Self { id, endpoint, payload }
    }

    pub(crate) fn classic(gid: &str, address: String) -> Self {
        Self { endpoint: format!("http://{address}/transaction/{gid}/"), id: address, payload: Bytes::new() }
    }

    /// `scheme://host:port`
    pub(crate) fn participant(&self) -> &str {
        let host_at = self.endpoint.find("://").map_or(0, |at| at + 3);
        let end = self.endpoint[host_at..].find('/').map_or(self.endpoint.len(), |at| host_at + at);
        &self.endpoint[..end]
    }
}

#[derive(Deserialize)]
struct Vote {
    result: Option<String>,
}

/// Makes the calls.
pub(crate) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    public_url: String,
}

impl Caller {
    pub(crate) fn new(public_url: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { client: Client::builder(TokioExecutor::new()).build(connector), public_url }
    }

    /// Asks everyone; `true` when all said yes.
    pub(crate) async fn prepare(&self, transaction: &Transaction) -> bool {
        let votes = transaction.branches.iter().map(|branch| self.vote(transaction, branch));
        join_all(votes).await.into_iter().all(|yes| yes)
    }

    /// Tells everyone, once.
    pub(crate) async fn finish(&self, transaction: &Transaction, commit: bool) {
        let op = if commit { "commit" } else { "rollback" };
        join_all(transaction.branches.iter().map(|branch| self.call(transaction, branch, op))).await;
    }

    async fn vote(&self, transaction: &Transaction, branch: &Branch) -> bool {
        match self.call(transaction, branch, "prepare").await {
            Some((status, body)) if status.is_success() => {
                let result = serde_json::from_slice::<Vote>(&body).ok().and_then(|vote| vote.result);
                result.as_deref() == Some("success") || (!transaction.classic && result.as_deref() == Some("ok"))
            }
            _ => false,
        }
    }

    async fn call(&self, transaction: &Transaction, branch: &Branch, op: &str) -> Option<(StatusCode, Bytes)> {
        let gid = utf8_percent_encode(&transaction.gid, NON_ALPHANUMERIC).to_string();
        let id = utf8_percent_encode(&branch.id, NON_ALPHANUMERIC).to_string();
        let url = if transaction.classic { format!("{}{op}", branch.endpoint) } else { branch.endpoint.clone() };
        let inquiry = format!("{}/v1/transactions/{gid}/outcome?branch={id}&store={STORE}&key={KEY}", self.public_url);
        let mut request = Request::post(url)
            .header("unanim-gid", gid)
            .header("unanim-branch", id)
            .header("unanim-op", op)
            .header("unanim-mode", "two_phase")
            .header("unanim-attempt", "1")
            .header("unanim-fence", "1")
            .header("unanim-deadline", "60000")
            .header("unanim-inquiry", inquiry);
        if !transaction.classic {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(branch.payload.clone())).ok()?;
        let exchange = async {
            let answer = self.client.request(request).await.ok()?;
            let status = answer.status();
            Some((status, answer.into_body().collect().await.ok()?.to_bytes()))
        };
        tokio::time::timeout(CALL_TIMEOUT, exchange).await.ok().flatten()
    }
}
