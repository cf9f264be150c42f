//! `GET /v1/transactions/{gid}/history`: what happened, page by page.
use super::limit;
use crate::app::App;
use crate::doors::refusal::problem;
use crate::http::{Query, Reply};
use hyper::StatusCode;
use unanim_api::openapi::PAGE;
use unanim_api::{Problem, ProblemCode, history_body};
use unanim_engine::Gid;

pub(in crate::doors) async fn history(app: &App, gid: Gid, query: Option<&str>) -> Result<Reply, Problem> {
    let query = Query::parse(query, PAGE)?;
    let limit = limit(&query)?;
    let after = query.get("cursor").map_or(Ok(0), |cursor| {
        seq(cursor).ok_or_else(|| Problem::of_field(ProblemCode::InvalidRequest, "?cursor", "not_a_cursor", NO_CURSOR))
    })?;
    let page =
        app.handle.history(&gid, after, limit).await.map_err(|refusal| problem(&gid, refusal, |_| String::new()))?;
    let next = page.events.last().filter(|_| page.more).map(|event| event.seq.to_string());
    Ok(Reply::json(StatusCode::OK, history_body(&page.events, next)).about(gid))
}

const NO_CURSOR: &str = "is no cursor that a page of this history had";

/// The number of an event.
pub(super) fn seq(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}
