//! The classic front door: the small 2PC protocol (wire/classic.md).
//!
//! It and v1 show the same transactions: what was begun here can be read there and the other way round, and a
//! transaction that v1 began with `start: false` may be prepared here, its participants joining its branches.
use super::refusal::problem;
use super::wait::{ask, ask_within};
use crate::app::App;
use crate::http::{Reply, read_body, traceparent};
use hyper::body::Incoming;
use hyper::{Request as HttpRequest, StatusCode};
use std::sync::Arc;
use unanim_api::{Problem, ProblemCode, classic, nothing};
use unanim_coordinator::{Answer, Begin, Refusal, Request, View, Wait};
use unanim_engine::{BranchId, BranchSpec, Decision, Gid, Mode, Outcome, RetryPolicy};

/// What was only begun lives so long, in milliseconds.
const BEGUN_MS: u64 = 60_000;
const SAME: &str = "this transaction was prepared with other participants";

/// `POST /transaction`.
pub(super) async fn begin(app: &App, request: HttpRequest<Incoming>) -> Result<Reply, Problem> {
    let (head, body) = request.into_parts();
    nothing(&read_body(&head.headers, body).await?)?;
    let begin = Begin {
        mode: Mode::TwoPhase,
        digest: classic::DIGEST,
        timeout_ms: BEGUN_MS,
        retry: RetryPolicy::default(),
        branches: Vec::new(),
        start: false,
        fresh: true,
        wait: None,
    };
    let gid = app.handle.new_gid();
    viewed(&gid, ask(app, &gid, Request::Begin(Box::new(begin))).await)?;
    Ok(Reply::json(StatusCode::OK, classic::begun_body(&gid)).about(gid))
}

/// Without a token, `--classic open` shows what was begun through this door and nothing else. What a gid was begun with
/// never changes, so that it may be looked at before the call itself.
///
/// # Errors
/// It was begun elsewhere, or not at all.
pub(super) async fn check_begun_there(app: &App, gid: &Gid) -> Result<(), Problem> {
    match viewed(gid, ask(app, gid, Request::Read).await)?.digest {
        classic::DIGEST => Ok(()),
        _ => viewed(gid, Answer::Refused(Refusal::NotFound)).map(drop),
    }
}

/// `GET /transaction/<gid>`.
pub(super) async fn read(app: &App, gid: Gid) -> Result<Reply, Problem> {
    let view = viewed(&gid, ask(app, &gid, Request::Read).await)?;
    Ok(Reply::json(StatusCode::OK, classic::transaction_body(&view)).about(gid))
}

/// `POST /transaction/<gid>/prepare`: both phases. The same again gets the same answer, and is done once.
pub(super) async fn prepare(app: &App, gid: Gid, request: HttpRequest<Incoming>) -> Result<Reply, Problem> {
    let (head, body) = request.into_parts();
    let body = read_body(&head.headers, body).await?;
    let (limits, trace) = (app.limits, traceparent(&head.headers));
    let participants =
        classic::prepare(&body, app.classic_prepare_ms, limits.branches_max, trace, |url| app.endpoint(url))
            .map_err(|problem| problem.about(&gid))?;
    drop(body);
    let wish = Request::Decide {
        decision: Decision::Commit,
        branches: participants.clone(),
        timeout_ms: Some(app.classic_prepare_ms.into()),
        wait: Some(Wait::Heard),
    };
    // The deadline and the calls' own limits end it.
    match ask_within(app, &gid, wish, None).await {
        Answer::Refused(Refusal::Closed(_) | Refusal::BranchConflict(_)) => {
            // Too late for new participants. One that ended before it had any has failed, and nobody was called.
            let view = viewed(&gid, ask(app, &gid, Request::Read).await)?;
            if view.branches.is_empty() && view.outcome == Some(Outcome::Aborted) {
                result(gid, &view)
            } else {
                Err(other_participants(&gid))
            }
        }
        answer => {
            let view = viewed(&gid, answer)?;
            if are_all(&participants, &view) { result(gid, &view) } else { Err(other_participants(&gid)) }
        }
    }
}

/// `POST /transaction/<gid>/commit`: for a transaction that is still open, whose participants are known already.
pub(super) async fn commit(app: &App, gid: Gid, request: HttpRequest<Incoming>) -> Result<Reply, Problem> {
    let view = wish(app, &gid, Decision::Commit, request).await?;
    result(gid, &view)
}

/// `POST /transaction/<gid>/rollback`: success is that it is rolled back.
pub(super) async fn rollback(app: &App, gid: Gid, request: HttpRequest<Incoming>) -> Result<Reply, Problem> {
    let view = wish(app, &gid, Decision::Rollback, request).await?;
    match view.outcome {
        Some(outcome) => Ok(answered(gid, outcome == Outcome::Aborted)),
        None => Err(undecided(&gid)),
    }
}

async fn wish(app: &App, gid: &Gid, decision: Decision, request: HttpRequest<Incoming>) -> Result<Arc<View>, Problem> {
    let (head, body) = request.into_parts();
    nothing(&read_body(&head.headers, body).await?)?;
    let wish = Request::Decide { decision, branches: Vec::new(), timeout_ms: None, wait: Some(Wait::Heard) };
    viewed(gid, ask_within(app, gid, wish, None).await)
}

/// Whether a transaction has these participants and no others of this door.
fn are_all(given: &[Arc<BranchSpec>], view: &View) -> bool {
    // All that were given are branches of it, or the coordinator would have refused.
    given.len() == view.branches.len() || {
        let is_given = |id: &BranchId| given.iter().any(|spec| spec.id == *id);
        !view.branches.iter().any(|b| classic::is_classic(b) && !is_given(&b.id))
    }
}

fn result(gid: Gid, view: &View) -> Result<Reply, Problem> {
    match view.outcome {
        Some(outcome) => Ok(answered(gid, outcome == Outcome::Committed)),
        None => Err(undecided(&gid)),
    }
}

fn answered(gid: Gid, success: bool) -> Reply {
    Reply::json(StatusCode::OK, classic::result_body(success)).about(gid)
}

fn other_participants(gid: &Gid) -> Problem {
    Problem::of_field(ProblemCode::Closed, "/participants", "conflict", SAME).about(gid)
}

/// The coordinator ends before the transaction does.
fn undecided(gid: &Gid) -> Problem {
    Problem::new(ProblemCode::Draining, "not decided yet: ask again").about(gid)
}

fn viewed(gid: &Gid, answer: Answer) -> Result<Arc<View>, Problem> {
    match answer {
        Answer::Transaction(view) => Ok(view),
        Answer::Refused(refusal) => Err(problem(gid, refusal, |_| "/participants".into())),
        Answer::Outcome(_) | Answer::History { .. } => unreachable!("only an inquiry is answered with an outcome"),
    }
}
