//! The participant's HTTP side: both protocols in, verdicts out.

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
use serde_json::json;
use tokio::net::TcpStream;

use super::committer::Desk;
use super::faults::{Fault, Faults, crash};
use super::ledger::{Call, Verb, Verdict, Work};

const BODY_MAX: usize = 1 << 20;

type Answer = Response<Full<Bytes>>;

/// A call that is not worked on: the status and why.
type Refusal = (StatusCode, String);

/// What every connection shares.
pub(super) struct Service {
    name: String,
    desk: Desk,
    faults: Faults,
    /// What a classic call, which has no payload, works on.
    classic: Option<Work>,
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
    pub(super) fn new(name: String, desk: Desk, faults: Faults, classic: Option<Work>) -> Self {
        Self { name, desk, faults, classic }
    }

    async fn handle(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET, "/livez") => answer(StatusCode::OK, json!({"name": self.name})),
            (&Method::GET, "/books") => match self.desk.books().await {
                Some(books) => answer(StatusCode::OK, json!(books)),
                None => unavailable(),
            },
            (&Method::POST, _) => self.work(&path, request).await,
            _ => answer(StatusCode::NOT_FOUND, json!({"detail": "GET /books, GET /livez, or POST for a call"})),
        }
    }

    async fn work(&self, path: &str, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
            return answer(StatusCode::PAYLOAD_TOO_LARGE, json!({"detail": "a payload is at most 1 MiB"}));
        };
        let call =
            match self.classic_call(path, &head.headers).unwrap_or_else(|| v1_call(&head.headers, &body.to_bytes())) {
                Ok(call) => call,
                Err((status, why)) => return refuse(status, &why),
            };
        if !self.faults.delay.is_zero() {
            tokio::time::sleep(self.faults.delay).await;
        }
        match self.faults.next(call.verb) {
            Some(Fault::Refuse) => return refuse(StatusCode::OK, "told to refuse"),
            Some(Fault::Break) => {
                return answer(StatusCode::INTERNAL_SERVER_ERROR, json!({"detail": "told to fail"}));
            }
            None => {}
        }
        let last_words = self.faults.crashes_after_yes(call.verb);
        match self.desk.call(call).await {
            Some(Verdict::Yes) if last_words => {
                let mut answer = answer(StatusCode::OK, json!({"result": "success"}));
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                answer
            }
            Some(Verdict::Yes) => answer(StatusCode::OK, json!({"result": "success"})),
            Some(Verdict::No(why)) => refuse(StatusCode::OK, &why),
            Some(Verdict::Conflict(why)) => refuse(StatusCode::CONFLICT, &why),
            None => unavailable(),
        }
    }

    /// `POST /transaction/<gid>/prepare|commit|rollback`; `None` for every other path.
    fn classic_call(&self, path: &str, headers: &HeaderMap) -> Option<Result<Call, Refusal>> {
        let (gid, word) = path.strip_prefix("/transaction/")?.split_once('/')?;
        let verb = Verb::from_wire(word).filter(|verb| *verb != Verb::CommitOnePhase)?;
        let gid = percent_decode_str(gid).decode_utf8().ok()?.into_owned();
        let inquiry = headers.get("unanim-inquiry").and_then(|url| url.to_str().ok()).map(str::to_owned);
        if verb == Verb::Prepare && self.classic.is_none() {
            return Some(Err((StatusCode::OK, "start me with --classic-account to take classic calls".into())));
        }
        Some(Ok(Call { verb, gid, branch: String::new(), inquiry, work: self.classic.clone() }))
    }
}

fn v1_call(headers: &HeaderMap, body: &Bytes) -> Result<Call, Refusal> {
    let verb = header(headers, "unanim-op")?;
    let Some(verb) = Verb::from_wire(&verb) else {
        return Err(bad_request(format!("Unanim-Op {verb:?} is not for this participant")));
    };
    let work = match verb {
        Verb::Prepare | Verb::CommitOnePhase => match serde_json::from_slice::<Work>(body) {
            Ok(work) => Some(work),
            Err(error) => return Err((StatusCode::UNPROCESSABLE_ENTITY, format!("the payload: {error}"))),
        },
        Verb::Commit | Verb::Rollback => None,
    };
    let inquiry = headers.get("unanim-inquiry").and_then(|url| url.to_str().ok()).map(str::to_owned);
    let (gid, branch) = (header(headers, "unanim-gid")?, header(headers, "unanim-branch")?);
    Ok(Call { verb, gid, branch, inquiry, work })
}

/// A header that must be there, percent-decoded.
fn header(headers: &HeaderMap, name: &str) -> Result<String, Refusal> {
    let value = headers.get(name).ok_or_else(|| bad_request(format!("the header {name} is missing")))?;
    percent_decode_str(value.to_str().unwrap_or_default())
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| bad_request(format!("the header {name} is no UTF-8")))
}

fn answer(status: StatusCode, body: serde_json::Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refuse(status: StatusCode, why: &str) -> Answer {
    answer(status, json!({"result": "failed", "detail": why}))
}

fn bad_request(why: String) -> Refusal {
    (StatusCode::BAD_REQUEST, why)
}

fn unavailable() -> Answer {
    answer(StatusCode::SERVICE_UNAVAILABLE, json!({"detail": "ending"}))
}
