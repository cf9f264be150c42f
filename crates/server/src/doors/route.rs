//! Which call a path is.
use super::docs::{self, Page};
use crate::http::decoded;
use crate::telemetry::metrics::Door;
use unanim_engine::{BranchId, Gid};

/// A path that means something, or why it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Live,
    Ready,
    Metrics,
    OpenApi,
    Reference,
    Style,
    Page(&'static Page),
    /// A page's path with a slash at its end, where the page's links would lead elsewhere; and where it is, seen from there.
    Slashed(String),
    Transactions,
    Transaction(Gid),
    Outcome(Gid),
    Branches(Gid),
    Commit(Gid),
    Rollback(Gid),
    Retry(Gid),
    Resolve(Gid, BranchId),
    History(Gid),
    Events(Gid),
    ClassicBegin,
    ClassicRead(Gid),
    ClassicPrepare(Gid),
    ClassicCommit(Gid),
    ClassicRollback(Gid),
    /// A segment that should be a gid or a branch's id is none.
    BadName(String),
    Nowhere,
}

impl Route {
    /// A path is taken apart before it is decoded, so that a gid may hold slashes.
    pub(super) fn of(path: &str) -> Route {
        match path {
            "/livez" => Route::Live,
            "/readyz" => Route::Ready,
            "/metrics" => Route::Metrics,
            "/openapi.json" => Route::OpenApi,
            "/docs" => Route::Reference,
            "/docs/style.css" => Route::Style,
            "/v1/transactions" => Route::Transactions,
            "/transaction" => Route::ClassicBegin,
            _ => {
                if let Some(rest) = path.strip_prefix("/v1/transactions/") {
                    named(rest, v1)
                } else if let Some(rest) = path.strip_prefix("/transaction/") {
                    named(rest, classic)
                } else if let Some(name) = path.strip_prefix("/docs/") {
                    page(name)
                } else {
                    Route::Nowhere
                }
            }
        }
    }

    pub(super) fn door(&self) -> Door {
        match self {
            Route::Transactions
            | Route::Transaction(_)
            | Route::Outcome(_)
            | Route::Branches(_)
            | Route::Commit(_)
            | Route::Rollback(_)
            | Route::Retry(_)
            | Route::History(_)
            | Route::Events(_)
            | Route::Resolve(..) => Door::V1,
            Route::ClassicBegin
            | Route::ClassicRead(_)
            | Route::ClassicPrepare(_)
            | Route::ClassicCommit(_)
            | Route::ClassicRollback(_) => Door::Classic,
            Route::Live | Route::Ready | Route::Metrics | Route::BadName(_) | Route::Nowhere => Door::Other,
            Route::OpenApi | Route::Reference | Route::Style | Route::Page(_) | Route::Slashed(_) => Door::Other,
        }
    }

    /// The transaction that a classic call is about.
    pub(super) fn classic_gid(&self) -> Option<&Gid> {
        match self {
            Route::ClassicRead(gid)
            | Route::ClassicPrepare(gid)
            | Route::ClassicCommit(gid)
            | Route::ClassicRollback(gid) => Some(gid),
            Route::Live | Route::Ready | Route::Metrics | Route::Transactions | Route::Transaction(_) => None,
            Route::Outcome(_) | Route::Branches(_) | Route::Commit(_) | Route::Rollback(_) => None,
            Route::Retry(_) | Route::History(_) | Route::Events(_) | Route::Resolve(..) => None,
            Route::OpenApi | Route::Reference | Route::Style | Route::Page(_) | Route::Slashed(_) => None,
            Route::ClassicBegin | Route::BadName(_) | Route::Nowhere => None,
        }
    }

    /// The path in the table of operations, which has its methods; none where there is nothing.
    pub(super) fn path(&self) -> Option<&'static str> {
        Some(match self {
            Route::Live => "/livez",
            Route::Ready => "/readyz",
            Route::Metrics => "/metrics",
            Route::OpenApi => "/openapi.json",
            Route::Reference => "/docs",
            Route::Style => "/docs/style.css",
            Route::Page(page) if page.name.starts_with("errors/") => "/docs/errors/{code}",
            Route::Page(_) => "/docs/{page}",
            Route::Transactions => "/v1/transactions",
            Route::Transaction(_) => "/v1/transactions/{gid}",
            Route::Outcome(_) => "/v1/transactions/{gid}/outcome",
            Route::Branches(_) => "/v1/transactions/{gid}/branches",
            Route::Commit(_) => "/v1/transactions/{gid}/commit",
            Route::Rollback(_) => "/v1/transactions/{gid}/rollback",
            Route::Retry(_) => "/v1/transactions/{gid}/retry",
            Route::Resolve(..) => "/v1/transactions/{gid}/branches/{id}/resolve",
            Route::History(_) => "/v1/transactions/{gid}/history",
            Route::Events(_) => "/v1/transactions/{gid}/events",
            Route::ClassicBegin => "/transaction",
            Route::ClassicRead(_) => "/transaction/{gid}",
            Route::ClassicPrepare(_) => "/transaction/{gid}/prepare",
            Route::ClassicCommit(_) => "/transaction/{gid}/commit",
            Route::ClassicRollback(_) => "/transaction/{gid}/rollback",
            Route::Slashed(_) | Route::BadName(_) | Route::Nowhere => return None,
        })
    }
}

/// Whether a path is a question for an outcome, whatever stands where its gid should.
pub(super) fn is_inquiry(path: &str) -> bool {
    path.strip_prefix("/v1/transactions/").is_some_and(|rest| rest.ends_with("/outcome"))
}

/// `name` is what follows `/docs/`.
fn page(name: &str) -> Route {
    if let Some(page) = docs::page_of(name) {
        return Route::Page(page);
    }
    match name.strip_suffix('/') {
        None if name.is_empty() => Route::Slashed("../docs".into()),
        Some(name) if docs::page_of(name).is_some() => {
            Route::Slashed(format!("../{}", name.rsplit('/').next().unwrap_or(name)))
        }
        Some(_) | None => Route::Nowhere,
    }
}

/// `rest` is `<gid>` or `<gid>/<verb>`.
fn named(rest: &str, route: fn(Gid, Option<&str>) -> Route) -> Route {
    let (segment, verb) = match rest.split_once('/') {
        Some((segment, verb)) => (segment, Some(verb)),
        None => (rest, None),
    };
    if segment.is_empty() {
        return Route::Nowhere;
    }
    let Some(name) = decoded(segment) else {
        return Route::BadName("the gid in the path is not percent-encoded UTF-8".into());
    };
    match Gid::new(&name) {
        Ok(gid) => route(gid, verb),
        Err(why) => Route::BadName(format!("the gid in the path {why}")),
    }
}

fn v1(gid: Gid, verb: Option<&str>) -> Route {
    match verb {
        None => Route::Transaction(gid),
        Some("outcome") => Route::Outcome(gid),
        Some("branches") => Route::Branches(gid),
        Some("commit") => Route::Commit(gid),
        Some("rollback") => Route::Rollback(gid),
        Some("retry") => Route::Retry(gid),
        Some("history") => Route::History(gid),
        Some("events") => Route::Events(gid),
        Some(verb) => match verb.strip_prefix("branches/").and_then(|rest| rest.strip_suffix("/resolve")) {
            Some(id) if !id.is_empty() && !id.contains('/') => resolve(gid, id),
            Some(_) | None => Route::Nowhere,
        },
    }
}

fn resolve(gid: Gid, segment: &str) -> Route {
    let Some(name) = decoded(segment) else {
        return Route::BadName("the branch's id in the path is not percent-encoded UTF-8".into());
    };
    match BranchId::new(&name) {
        Ok(id) => Route::Resolve(gid, id),
        Err(why) => Route::BadName(format!("the branch's id in the path {why}")),
    }
}

fn classic(gid: Gid, verb: Option<&str>) -> Route {
    match verb {
        None => Route::ClassicRead(gid),
        Some("prepare") => Route::ClassicPrepare(gid),
        Some("commit") => Route::ClassicCommit(gid),
        Some("rollback") => Route::ClassicRollback(gid),
        Some(_) => Route::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unanim_api::openapi::operations;

    fn gid(name: &str) -> Gid {
        Gid::new(name).expect("a name")
    }

    #[test]
    fn paths_lead_to_calls() {
        for (path, route) in [
            ("/livez", Route::Live),
            ("/v1/transactions", Route::Transactions),
            ("/v1/transactions/order-17", Route::Transaction(gid("order-17"))),
            ("/v1/transactions/a%2Fb/outcome", Route::Outcome(gid("a/b"))),
            ("/v1/transactions/commit/commit", Route::Commit(gid("commit"))),
            ("/v1/transactions/%2Fcommit", Route::Transaction(gid("/commit"))),
            ("/v1/transactions/a+b", Route::Transaction(gid("a+b"))),
            ("/v1/transactions/%25zz", Route::Transaction(gid("%zz"))),
            ("/transaction", Route::ClassicBegin),
            ("/transaction/%F0%9F%A6%80/prepare", Route::ClassicPrepare(gid("🦀"))),
            ("/v1/transactions/g/history", Route::History(gid("g"))),
            ("/v1/transactions/g/events", Route::Events(gid("g"))),
            ("/v1/transactions/g/retry", Route::Retry(gid("g"))),
            (
                "/v1/transactions/g/branches/a%2Fb/resolve",
                Route::Resolve(gid("g"), BranchId::new("a/b").expect("a name")),
            ),
            ("/docs/", Route::Slashed("../docs".into())),
            ("/docs/errors/", Route::Slashed("../errors".into())),
            ("/docs/errors/closed/", Route::Slashed("../closed".into())),
            ("/v1/transactions/g/branches//resolve", Route::Nowhere),
            ("/v1/transactions/g/branches/a/b/resolve", Route::Nowhere),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn every_operation_of_the_table_is_served_at_its_path() {
        for operation in operations() {
            let path = operation
                .path
                .replace("{gid}", "g")
                .replace("{id}", "b")
                .replace("{code}", "closed")
                .replace("{page}", "security");
            assert_eq!(Route::of(&path).path(), Some(operation.path), "{path}");
        }
    }

    #[test]
    fn other_paths_lead_nowhere() {
        for path in [
            "/",
            "",
            "/v1",
            "/v1/",
            "/v1//transactions",
            "/v1/transactions/",
            "/v1/transactions//commit",
            "/v1/transactions/g/",
            "/v1/transactions/g/commit/",
            "/transaction/",
            "/transaction/g/explode",
            "/livez/",
            "/docs//",
            "/docs/nothing/",
            "/transactions",
        ] {
            assert_eq!(Route::of(path), Route::Nowhere, "{path}");
        }
    }

    #[test]
    fn a_segment_that_is_no_gid_says_why() {
        for segment in ["%2E", "%2e%2e", "..", "%FF", "a%01b", "%", "%zz", "%0d%0aX:y"] {
            assert!(matches!(Route::of(&format!("/v1/transactions/{segment}")), Route::BadName(_)), "{segment}");
        }
        assert!(matches!(Route::of(&format!("/transaction/{}", "g".repeat(129))), Route::BadName(_)));
    }
}
