//! The floor: a forwarder that serves the calls of both front doors, makes the same calls to the participants with a
//! plain client, and keeps nothing. What a durable coordinator is compared with.

mod calls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use crate::calls::{Branch, Caller, Transaction};

/// Forwards transactions to their participants and keeps nothing.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(args))
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    let caller = Arc::new(Caller::new(format!("http://{address}")));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let caller = caller.clone();
        let service = service_fn(move |request| {
            let caller = caller.clone();
            async move { Ok::<_, Infallible>(answer(caller, request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(caller: Arc<Caller>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let routed = async {
        let body = body.collect().await?.to_bytes();
        match (&head.method, path) {
            (&Method::POST, "/v1/transactions") => v1(caller, head.uri.query(), &body).await,
            (&Method::POST, "/transaction") => Ok(json_answer(json!({"transaction_id": new_gid()}).to_string())),
            (&Method::GET, "/livez" | "/readyz") => Ok(json_answer("{}".into())),
            _ => match path.strip_prefix("/transaction/").and_then(|rest| rest.strip_suffix("/prepare")) {
                Some(gid) if head.method == Method::POST => classic(&caller, gid, &body).await,
                _ => Err(anyhow!("the floor has no {} {path}", head.method)),
            },
        }
    };
    routed.await.unwrap_or_else(|error: anyhow::Error| {
        let mut answer = json_answer(json!({"detail": error.to_string()}).to_string());
        *answer.status_mut() = StatusCode::BAD_REQUEST;
        answer
    })
}

#[derive(Deserialize)]
struct Submission {
    gid: Option<String>,
    branches: Vec<SubmittedBranch>,
}

#[derive(Deserialize)]
struct SubmittedBranch {
    id: String,
    endpoint: String,
    payload: Option<Box<RawValue>>,
}

/// Answers at the decision, while the second phase is still under way; with `wait=finished` after it.
async fn v1(caller: Arc<Caller>, query: Option<&str>, body: &Bytes) -> anyhow::Result<Response<Full<Bytes>>> {
    let submission: Submission = serde_json::from_slice(body)?;
    let gid = submission.gid.unwrap_or_else(new_gid);
    let branches = submission.branches.into_iter().map(|branch| {
        let payload =
            branch.payload.map_or_else(Bytes::new, |payload| Bytes::from(String::from(Box::<str>::from(payload))));
        Branch::v1(branch.id, branch.endpoint, payload)
    });
    let transaction = Arc::new(Transaction { gid, branches: branches.collect(), classic: false });
    let created_at = jiff::Timestamp::now();
    let commit = caller.prepare(&transaction).await;
    let finished = query.is_some_and(|query| query.split('&').any(|pair| pair == "wait=finished"));
    let (told, ending) = (transaction.clone(), async move { caller.finish(&transaction, commit).await });
    if finished {
        ending.await;
    } else {
        tokio::spawn(ending);
    }
    let mut answer = json_answer(view(&told, commit, finished, created_at));
    answer.headers_mut().insert(LOCATION, HeaderValue::try_from(format!("/v1/transactions/{}", told.gid))?);
    Ok(answer)
}

#[derive(Deserialize)]
struct Participants {
    participants: Vec<String>,
}

/// Answers after the second phase.
async fn classic(caller: &Caller, gid: &str, body: &Bytes) -> anyhow::Result<Response<Full<Bytes>>> {
    let participants: Participants = serde_json::from_slice(body)?;
    let branches = participants.participants.into_iter().map(|address| Branch::classic(gid, address)).collect();
    let transaction = Transaction { gid: gid.to_owned(), branches, classic: true };
    let commit = caller.prepare(&transaction).await;
    caller.finish(&transaction, commit).await;
    Ok(json_answer(json!({"result": if commit { "success" } else { "failed" }}).to_string()))
}

/// The same fields as a coordinator's answer, so that making and reading it costs the same.
fn view(transaction: &Transaction, commit: bool, finished: bool, created_at: jiff::Timestamp) -> String {
    let (outcome, op) = if commit { ("committed", "commit") } else { ("aborted", "rollback") };
    let phase = match (commit, finished) {
        (true, true) => "committed",
        (true, false) => "committing",
        (false, true) => "aborted",
        (false, false) => "aborting",
    };
    let now = jiff::Timestamp::now().to_string();
    let branch = |branch: &Branch| {
        json!({"id": branch.id, "participant": branch.participant(), "state": if finished { "done" } else { "asked" },
               "op": op, "attempts": 1, "last": {"at": now, "code": "ok"}, "next_at": null, "heuristic": null})
    };
    json!({
        "gid": transaction.gid, "mode": "two_phase", "phase": phase, "outcome": outcome, "reason": null, "stuck": false,
        "heuristic": null, "created_at": created_at.to_string(), "deadline_at": now, "decided_at": now,
        "finished_at": finished.then_some(&now), "seq": 4,
        "branches": transaction.branches.iter().map(branch).collect::<Vec<_>>(),
    })
    .to_string()
}

fn new_gid() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn json_answer(body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
