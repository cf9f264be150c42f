//! `GET /v1/transactions/{gid}/outcome`: a participant in doubt asks, or a client.
//!
//! What is unknown is aborted to a participant only, and only by the coordinator that called it: so the store that the
//! question names is compared before anything else, and a branch that asks must name one.
use crate::app::App;
use crate::doors::refusal::problem;
use crate::doors::wait::ask;
use crate::http::{Query, Reply, decoded};
use hyper::StatusCode;
use unanim_api::openapi::INQUIRY;
use unanim_api::{Problem, ProblemCode, outcome_body};
use unanim_coordinator::{Answer, Request};
use unanim_engine::{BranchId, Gid};

const FOREIGN: &str = "another coordinator's store made this call: ask that one";

/// The store that a question names is compared before anything else of it, whatever that is.
///
/// # Errors
/// It is for another coordinator.
pub(in crate::doors) fn check_store(app: &App, query: Option<&str>) -> Result<(), Problem> {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut stores = pairs.filter(|(name, _)| *name == "store").filter_map(|(_, store)| decoded(store));
    match stores.any(|store| !store.eq_ignore_ascii_case(&app.store)) {
        true => Err(Problem::new(ProblemCode::WrongCoordinator, FOREIGN)),
        false => Ok(()),
    }
}

/// Whether the question brings a key that stands in for a token.
///
/// # Errors
/// Its key is wrong.
pub(in crate::doors) fn pass(app: &App, gid: &Gid, query: Option<&str>) -> Result<bool, Problem> {
    // What is wrong with the query is said to whoever may ask.
    let Ok(query) = Query::parse(query, INQUIRY) else { return Ok(false) };
    let store = query.get("store");
    match (query.get("branch"), query.get("key")) {
        (_, None) => Ok(false),
        (Some(branch), Some(key)) if store.is_some() && app.signer.verify(gid.as_str(), branch, key) => Ok(true),
        (_, Some(_)) => Err(Problem::new(ProblemCode::Unauthenticated, "this key is not for this gid and branch")),
    }
}

pub(in crate::doors) async fn outcome(app: &App, gid: Gid, query: Option<&str>) -> Result<Reply, Problem> {
    let query = Query::parse(query, INQUIRY)?;
    let wrong = |pointer, code, detail: String| Problem::of_field(ProblemCode::InvalidRequest, pointer, code, detail);
    let branch = match query.get("branch") {
        None => None,
        Some(_) if query.get("store").is_none() => {
            return Err(wrong("?store", "required", "a branch that asks names the store that called it".into()));
        }
        Some(id) => Some(BranchId::new(id).map_err(|why| wrong("?branch", "not_a_name", why.to_string()))?),
    };
    match ask(app, &gid, Request::Inquire(branch.clone())).await {
        Answer::Outcome(outcome) => {
            let reply = Reply::json(StatusCode::OK, outcome_body(&gid, branch.as_ref(), outcome)).about(gid);
            Ok(if outcome.is_none() { reply.retry_after(1) } else { reply })
        }
        Answer::Refused(refusal) => Err(problem(&gid, refusal, |_| String::new())),
        Answer::Transaction(_) | Answer::History { .. } => unreachable!("an inquiry is answered with an outcome"),
    }
}
