//! `POST /v1/transactions`.
use super::{Patience, check_content_type, transaction};
use crate::app::App;
use crate::doors::refusal::problem;
use crate::doors::wait::{ask, ask_within};
use crate::http::{Reply, read_body, traceparent};
use hyper::Request;
use hyper::body::Incoming;
use unanim_api::{Accepted, Problem, submission};
use unanim_coordinator::{Answer, Begin};

pub(in crate::doors) async fn submit(app: &App, request: Request<Incoming>) -> Result<Reply, Problem> {
    let (head, body) = request.into_parts();
    let patience = Patience::of(head.uri.query())?;
    check_content_type(&head.headers)?;
    let body = read_body(&head.headers, body).await?;
    let accepted = app.with_door(traceparent(&head.headers), |door| submission(&body, door))?;
    drop(body);
    let Accepted { gid, mode, digest, timeout_ms, retry, start, branches } = accepted;
    let fresh = gid.is_none();
    let gid = gid.unwrap_or_else(|| app.handle.new_gid());
    let begin = Begin { mode, digest, timeout_ms, retry, branches, start, fresh, wait: patience.wait };
    let begin = unanim_coordinator::Request::Begin(Box::new(begin));
    let answer = match patience.wait {
        Some(_) => ask_within(app, &gid, begin, Some(patience.limit)).await,
        None => ask(app, &gid, begin).await,
    };
    match answer {
        Answer::Transaction(view) => Ok(transaction(app, &view, patience.wait)),
        Answer::Refused(refusal) => Err(problem(&gid, refusal, |id| format!("/branches ({id})"))),
        Answer::Outcome(_) | Answer::History { .. } => unreachable!("a begin is answered with its transaction"),
    }
}
