//! `GET /v1/transactions/{gid}`.
use crate::app::App;
use crate::doors::refusal::problem;
use crate::doors::wait::ask;
use crate::http::{Query, Reply};
use hyper::StatusCode;
use unanim_api::{Problem, transaction_body};
use unanim_coordinator::{Answer, Request};
use unanim_engine::Gid;

pub(in crate::doors) async fn read(app: &App, gid: Gid, query: Option<&str>) -> Result<Reply, Problem> {
    Query::parse(query, &[])?;
    match ask(app, &gid, Request::Read).await {
        Answer::Transaction(view) => Ok(Reply::json(StatusCode::OK, transaction_body(&view)).about(gid)),
        Answer::Refused(refusal) => Err(problem(&gid, refusal, |_| String::new())),
        Answer::Outcome(_) | Answer::History { .. } => unreachable!("a read is answered with its transaction"),
    }
}
