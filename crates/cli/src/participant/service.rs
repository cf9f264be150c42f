//! The participant's HTTP side: both protocols, the books, and what goes wrong on demand.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpStream;
use unanim::Participant;
use unanim::participant::{Call, Op, PAYLOAD_MAX};
use unanim::sqlite::{Accounts, Branches, Transfer, states};
use unanim_api::names::op_of;

use super::faults::{Fault, Faults, crash};

type Answer = Response<Full<Bytes>>;

/// What `/books` shows.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Books {
    pub(crate) name: String,
    /// Balances; what is held is still in them.
    pub(crate) accounts: BTreeMap<String, i64>,
    /// The sum of the amounts, without their signs, of all prepared branches.
    pub(crate) held: i64,
    /// By gid; `mixed` when branches of one gid ended differently.
    pub(crate) transactions: BTreeMap<String, String>,
}

/// What every connection shares.
pub(super) struct Service {
    name: String,
    participant: Participant<Branches>,
    faults: Faults,
    /// What a classic call, which has no payload, works on.
    classic: Option<Transfer>,
}

/// Serves one keep-alive connection in a task of its own.
pub(super) fn spawn_connection(stream: TcpStream, service: Arc<Service>) {
    let _ = stream.set_nodelay(true);
    tokio::spawn(async move {
        let last_words = Arc::new(AtomicBool::new(false));
        let (name, last) = (service.name.clone(), last_words.clone());
        let handler = service_fn(move |request| {
            let (service, last) = (service.clone(), last.clone());
            // In a task of its own: a caller that hangs up does not take back what it asked for.
            let working = tokio::spawn(async move { service.handle(request).await });
            async move {
                let answer = working.await.unwrap_or_else(|_| unavailable());
                last.store(answer.headers().contains_key(CONNECTION), Ordering::Relaxed);
                Ok::<_, Infallible>(answer)
            }
        });
        // A connection that breaks is its caller's to notice.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await;
        // The connection is over, so the answer has left; nothing else runs on this thread before the end.
        if last_words.load(Ordering::Relaxed) {
            crash(&name);
        }
    });
}

impl Service {
    pub(super) fn new(
        name: String,
        participant: Participant<Branches>,
        faults: Faults,
        classic: Option<Transfer>,
    ) -> Self {
        Self { name, participant, faults, classic }
    }

    async fn handle(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET, "/livez") => answer(StatusCode::OK, json!({"name": self.name})),
            (&Method::GET, "/books") => self.books().await,
            (&Method::POST, _) => self.work(&path, request).await,
            _ => answer(StatusCode::NOT_FOUND, json!({"detail": "GET /books, GET /livez, or POST for a call"})),
        }
    }

    async fn books(&self) -> Answer {
        let read = self.participant.manager().read(|db| Ok((Accounts::balances(db)?, states(db)?)));
        let Ok((balances, transactions)) = read.await else { return unavailable() };
        let (name, accounts, held) = (self.name.clone(), balances.accounts, balances.held);
        answer(StatusCode::OK, json!(Books { name, accounts, held, transactions }))
    }

    async fn work(&self, path: &str, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, PAYLOAD_MAX).collect().await else {
            return answer(StatusCode::PAYLOAD_TOO_LARGE, json!({"detail": "a payload is at most 1 MiB"}));
        };
        let body = body.to_bytes();
        let call = match self.classic_call(path, &head.headers) {
            Some(call) if call.op == Op::Prepare && self.classic.is_none() => {
                return refuse("start me with --classic-account to take classic calls");
            }
            Some(call) => call,
            None => match Call::read(&head.headers, body.clone()) {
                Ok(call) => call,
                // It says what is wrong.
                Err(_) => return self.participant.answer(&head.headers, body).await.map(Full::new),
            },
        };
        if !self.faults.delay.is_zero() {
            tokio::time::sleep(self.faults.delay).await;
        }
        match self.faults.next(call.op) {
            Some(Fault::Refuse) => return refuse("told to refuse"),
            Some(Fault::Break) => {
                return answer(StatusCode::INTERNAL_SERVER_ERROR, json!({"detail": "told to fail"}));
            }
            None => {}
        }
        let last_words = self.faults.crashes_after_yes(call.op);
        let mut answer = self.participant.answer_call(call).await;
        if last_words && is_yes(&answer) {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer.map(Full::new)
    }

    /// `POST /transaction/<gid>/prepare|commit|rollback`; `None` for every other path.
    fn classic_call(&self, path: &str, headers: &HeaderMap) -> Option<Call> {
        let (gid, word) = path.strip_prefix("/transaction/")?.split_once('/')?;
        let op = op_of(word).filter(|op| *op != Op::CommitOnePhase)?;
        let gid = percent_decode_str(gid).decode_utf8().ok()?.into_owned();
        let inquiry = headers.get("unanim-inquiry").and_then(|url| url.to_str().ok()).map(str::to_owned);
        let payload = self.classic.as_ref().map(|work| json!(work).to_string()).unwrap_or_default();
        Some(Call::new(op, gid, "").with_payload(payload).with_inquiry(inquiry))
    }
}

/// Whether this answer to a prepare promises something.
fn is_yes(answer: &Response<Bytes>) -> bool {
    answer.status() == StatusCode::OK && answer.body().starts_with(br#"{"result":"success""#)
}

fn answer(status: StatusCode, body: serde_json::Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refuse(why: &str) -> Answer {
    answer(StatusCode::OK, json!({"result": "failed", "detail": why}))
}

fn unavailable() -> Answer {
    answer(StatusCode::SERVICE_UNAVAILABLE, json!({"detail": "ending"}))
}
