//! What machines look at: liveness, readiness, metrics.
use crate::app::App;
use crate::http::Reply;
use crate::telemetry::metrics::CONTENT_TYPE;
use hyper::StatusCode;
use unanim_node::Readiness;

/// The process answers.
pub(super) fn live() -> Reply {
    Reply::json(StatusCode::OK, r#"{"status":"alive"}"#)
}

/// Whether a load balancer should send new transactions here.
pub(super) fn ready(app: &App) -> Reply {
    let not = |body: String| Reply::json(StatusCode::SERVICE_UNAVAILABLE, body).retry_after(1);
    match app.handle.readiness() {
        Readiness::Ready => Reply::json(StatusCode::OK, r#"{"status":"ready"}"#),
        Readiness::Loading { loaded } => not(format!(r#"{{"status":"loading","loaded":{loaded}}}"#)),
        Readiness::DiskFull => not(r#"{"status":"disk_full"}"#.into()),
        Readiness::Draining => not(r#"{"status":"draining"}"#.into()),
        Readiness::Ended => not(r#"{"status":"ended"}"#.into()),
    }
}

/// For Prometheus.
pub(super) fn metrics(app: &App) -> Reply {
    let page =
        app.metrics.page(&app.handle.figures(), &app.transport.figures(), app.handle.readiness(), app.handle.now());
    Reply::text(CONTENT_TYPE, page)
}
