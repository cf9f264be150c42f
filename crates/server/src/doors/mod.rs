//! The front doors: which call a request is, whether it may pass, and what it is answered. A door never touches a store.
mod classic;
pub(crate) mod docs;
mod probes;
mod refusal;
mod route;
mod v1;
mod wait;

use crate::app::App;
use crate::gate::{Pass, Ward};
use crate::http::{Content, Reply};
use crate::telemetry::metrics::Door;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use route::Route;
use std::rc::Rc;
use std::time::Instant;
use unanim_api::openapi::methods;
use unanim_api::{Problem, ProblemCode};

/// Answers one request, whatever it is.
pub(crate) async fn answer(app: &Rc<App>, request: Request<Incoming>) -> Response<Content> {
    let started = Instant::now();
    let method = request.method().clone();
    let uri = request.uri().clone();
    let route = Route::of(uri.path());
    let door = route.door();
    let reply = passed(app, route, request).await.unwrap_or_else(Reply::problem);
    let took = started.elapsed();
    app.metrics.answered(door, &method, reply.status.as_u16(), took);
    log(app.logs_access, door, &method, uri.path(), &reply, took);
    reply.response()
}

async fn passed(app: &Rc<App>, route: Route, request: Request<Incoming>) -> Result<Reply, Problem> {
    // Of an answer to HEAD, hyper leaves the body out.
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    if method == Method::GET && route::is_inquiry(request.uri().path()) {
        v1::inquiry::check_store(app, request.uri().query())?;
    }
    let key_holds = match &route {
        // Its key stands in for a token.
        Route::Outcome(gid) if method == Method::GET => v1::inquiry::pass(app, gid, request.uri().query())?,
        _ => false,
    };
    let pass = match key_holds {
        true => Pass::Full,
        false => app.gate.check(route.ward(), request.headers(), request.uri().authority())?,
    };
    if route.door() == Door::Classic && !app.classic_is_on {
        return Err(nothing_here("the classic protocol is off: --classic"));
    }
    if let Some(path) = route.path()
        && !methods(path).any(|known| known == method.as_str())
    {
        return Ok(Reply::not_allowed(&methods(path).collect::<Vec<_>>()));
    }
    if let (Pass::ClassicOnly, Some(gid)) = (pass, route.classic_gid()) {
        classic::check_begun_there(app, gid).await?;
    }
    match route {
        Route::Live => Ok(probes::live()),
        Route::Ready => Ok(probes::ready(app)),
        Route::Metrics => Ok(probes::metrics(app)),
        Route::OpenApi => Ok(docs::openapi(app)),
        Route::Reference => Ok(docs::reference(app)),
        Route::Style => Ok(docs::style()),
        Route::Page(page) => Ok(docs::page(app, page)),
        Route::Slashed(location) => Ok(Reply::moved(&location)),
        Route::Transactions if method == Method::GET => v1::list::list(app, request.uri().query()).await,
        Route::Transactions => v1::submit::submit(app, request).await,
        Route::Transaction(gid) if method == Method::DELETE => v1::change::forget(app, gid, request).await,
        Route::Transaction(gid) => v1::read::read(app, gid, request.uri().query()).await,
        Route::Outcome(gid) => v1::inquiry::outcome(app, gid, request.uri().query()).await,
        Route::Branches(gid) => v1::change::add(app, gid, request).await,
        Route::Commit(gid) => v1::change::commit(app, gid, request).await,
        Route::Rollback(gid) => v1::change::rollback(app, gid, request).await,
        Route::Retry(gid) => v1::change::retry(app, gid, request).await,
        Route::Resolve(gid, id) => v1::change::resolve(app, gid, id, request).await,
        Route::History(gid) => v1::history::history(app, gid, request.uri().query()).await,
        Route::Events(gid) => v1::events::events(app, gid, &request).await,
        Route::ClassicBegin => classic::begin(app, request).await,
        Route::ClassicRead(gid) => classic::read(app, gid).await,
        Route::ClassicPrepare(gid) => classic::prepare(app, gid, request).await,
        Route::ClassicCommit(gid) => classic::commit(app, gid, request).await,
        Route::ClassicRollback(gid) => classic::rollback(app, gid, request).await,
        Route::BadName(why) => Err(Problem::new(ProblemCode::InvalidRequest, why)),
        Route::Nowhere => Err(nothing_here("no call has this path")),
    }
}

fn nothing_here(why: &'static str) -> Problem {
    Problem::new(ProblemCode::NotFound, why)
}

/// The query is left out: it may hold a key. What succeeds is of interest to who looks for it only; so is being told to
/// come again, which may happen to every request for a while, and whose cause is logged where it arises.
fn log(all: bool, door: Door, method: &Method, path: &str, reply: &Reply, took: std::time::Duration) {
    let (door, status, gid) = (door.name(), reply.status.as_u16(), reply.gid.as_ref().map(tracing::field::display));
    let micros = took.as_micros() as u64;
    match reply.code {
        Some(code @ ProblemCode::Unavailable) => {
            tracing::warn!(door, %method, path, status, gid, code = code.code(), micros, "request")
        }
        Some(code) if !code.retryable() => {
            tracing::info!(door, %method, path, status, gid, code = code.code(), micros, "request")
        }
        code if all => {
            tracing::info!(door, %method, path, status, gid, code = code.map(ProblemCode::code), micros, "request")
        }
        code => {
            tracing::debug!(door, %method, path, status, gid, code = code.map(ProblemCode::code), micros, "request")
        }
    }
}

/// Which rules a route is under.
impl Route {
    fn ward(&self) -> Ward {
        match (self, self.door()) {
            (Route::Live | Route::Ready, _) => Ward::Open,
            (Route::OpenApi | Route::Reference | Route::Style, _) => Ward::Public,
            (Route::Page(_) | Route::Slashed(_), _) => Ward::Public,
            (_, Door::Classic) => Ward::Classic,
            (_, Door::V1 | Door::Other) => Ward::Guarded,
        }
    }
}
