//! A participant as an axum router.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper::StatusCode;

use super::{PAYLOAD_MAX, Participant, ResourceManager};

impl<R: ResourceManager> Participant<R> {
    /// Takes a `POST` on any path below where it is nested: `nest("/tx", participant.router())` serves the endpoint
    /// `http://…/tx`, and `http://…/tx/prepare` as well; the operation is in the headers.
    pub fn router<S>(&self) -> Router<S> {
        let calls = post(serve::<R>);
        Router::new().route("/", calls.clone()).route("/{*path}", calls).with_state(self.clone())
    }
}

async fn serve<R: ResourceManager>(State(participant): State<Participant<R>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    match to_bytes(body, PAYLOAD_MAX).await {
        Ok(payload) => participant.answer(&head.headers, payload).await.map(Body::from),
        Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, "a payload is at most 1 MiB").into_response(),
    }
}
