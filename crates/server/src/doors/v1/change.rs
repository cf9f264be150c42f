//! `POST /v1/transactions/{gid}/branches`, `…/commit`, `…/rollback`, `…/retry`, and
//! `…/branches/{id}/resolve`; and `DELETE /v1/transactions/{gid}`.
use super::{Patience, check_content_type, transaction};
use crate::app::App;
use crate::doors::refusal::{not_forgotten, problem};
use crate::doors::wait::{ask, ask_within};
use crate::http::{Query, Reply, read_body, traceparent};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request as HttpRequest};
use std::sync::Arc;
use unanim_api::{Problem, branches, nothing, resolution};
use unanim_coordinator::{Answer, Request, View, Wait};
use unanim_engine::{BranchId, Decision, Gid};

pub(in crate::doors) async fn add(app: &App, gid: Gid, request: HttpRequest<Incoming>) -> Result<Reply, Problem> {
    let (head, body) = request.into_parts();
    let patience = Patience::of(head.uri.query())?;
    check_content_type(&head.headers)?;
    let body = read_body(&head.headers, body).await?;
    let added = app
        .with_door(traceparent(&head.headers), |door| branches(&body, door))
        .map_err(|problem| problem.about(&gid))?;
    let ids: Vec<BranchId> = added.iter().map(|spec| spec.id.clone()).collect();
    let place = |id: &BranchId| {
        ids.iter().position(|known| known == id).map_or_else(|| "/branches".into(), |at| format!("/branches/{at}"))
    };
    let join = Request::Join(added, patience.wait);
    let answer = match patience.wait {
        Some(_) => ask_within(app, &gid, join, Some(patience.limit)).await,
        None => ask(app, &gid, join).await,
    };
    let view = viewed(&gid, answer, place)?;
    Ok(transaction(app, &view, patience.wait))
}

pub(in crate::doors) async fn commit(app: &App, gid: Gid, request: HttpRequest<Incoming>) -> Result<Reply, Problem> {
    let (view, patience) = decide(app, &gid, Decision::Commit, request).await?;
    Ok(transaction(app, &view, patience.wait))
}

pub(in crate::doors) async fn rollback(app: &App, gid: Gid, request: HttpRequest<Incoming>) -> Result<Reply, Problem> {
    let (view, patience) = decide(app, &gid, Decision::Rollback, request).await?;
    Ok(transaction(app, &view, patience.wait))
}

async fn decide(
    app: &App,
    gid: &Gid,
    decision: Decision,
    request: HttpRequest<Incoming>,
) -> Result<(Arc<View>, Patience), Problem> {
    let (head, body) = request.into_parts();
    let patience = Patience::of(head.uri.query())?;
    read_nothing(&head.headers, body).await?;
    let wish = Request::Decide { decision, branches: Vec::new(), timeout_ms: None, wait: patience.wait };
    let answer = match patience.wait {
        Some(_) => ask_within(app, gid, wish, Some(patience.limit)).await,
        None => ask(app, gid, wish).await,
    };
    Ok((viewed(gid, answer, |_| String::new())?, patience))
}

/// Whatever waits for its next call is called now.
pub(in crate::doors) async fn retry(app: &App, gid: Gid, request: HttpRequest<Incoming>) -> Result<Reply, Problem> {
    let (head, body) = request.into_parts();
    Query::parse(head.uri.query(), &[])?;
    read_nothing(&head.headers, body).await?;
    let view = viewed(&gid, ask(app, &gid, Request::Retry).await, |_| String::new())?;
    Ok(transaction(app, &view, Some(Wait::Finished)))
}

/// A person says how a branch ended.
pub(in crate::doors) async fn resolve(
    app: &App,
    gid: Gid,
    id: BranchId,
    request: HttpRequest<Incoming>,
) -> Result<Reply, Problem> {
    let (head, body) = request.into_parts();
    Query::parse(head.uri.query(), &[])?;
    check_content_type(&head.headers)?;
    let body = read_body(&head.headers, body).await?;
    let resolution = resolution(&body).map_err(|problem| problem.about(&gid))?;
    let view = viewed(&gid, ask(app, &gid, Request::Resolve(id, resolution)).await, |_| String::new())?;
    Ok(transaction(app, &view, Some(Wait::Finished)))
}

/// A person lets go of what has ended.
pub(in crate::doors) async fn forget(app: &App, gid: Gid, request: HttpRequest<Incoming>) -> Result<Reply, Problem> {
    let (head, body) = request.into_parts();
    Query::parse(head.uri.query(), &[])?;
    read_nothing(&head.headers, body).await?;
    match app.handle.forget(&gid).await {
        Ok(()) => Ok(Reply::nothing().about(gid)),
        Err(why) => Err(not_forgotten(why).about(&gid)),
    }
}

/// A body that says nothing more than the path does.
async fn read_nothing(headers: &HeaderMap, body: Incoming) -> Result<(), Problem> {
    let body = read_body(headers, body).await?;
    if !body.is_empty() {
        check_content_type(headers)?;
    }
    nothing(&body)
}

fn viewed(gid: &Gid, answer: Answer, place: impl Fn(&BranchId) -> String) -> Result<Arc<View>, Problem> {
    match answer {
        Answer::Transaction(view) => Ok(view),
        Answer::Refused(refusal) => Err(problem(gid, refusal, place)),
        Answer::Outcome(_) | Answer::History { .. } => unreachable!("a change is answered with its transaction"),
    }
}
