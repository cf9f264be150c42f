//! What goes back to the coordinator, as the protocol's table of replies has it.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::manager::{Ack, Error, Heuristic, Vote};

pub(super) fn of_vote(vote: &Vote) -> Response<Bytes> {
    match vote {
        Vote::Yes => body(StatusCode::OK, &json!({"result": "success"})),
        Vote::ReadOnly => body(StatusCode::OK, &json!({"result": "read_only"})),
        Vote::No(why) => failed(StatusCode::OK, why),
        Vote::Ongoing => ongoing(),
    }
}

pub(super) fn of_ack(ack: Ack) -> Response<Bytes> {
    let heuristic = |word: &str| body(StatusCode::OK, &json!({"result": word}));
    match ack {
        Ack::Done => body(StatusCode::OK, &json!({"result": "success"})),
        Ack::Ongoing => ongoing(),
        Ack::Heuristic(Heuristic::Commit) => heuristic("heuristic_commit"),
        Ack::Heuristic(Heuristic::Rollback) => heuristic("heuristic_rollback"),
        Ack::Heuristic(Heuristic::Mixed) => heuristic("heuristic_mixed"),
    }
}

pub(super) fn of_error(error: &Error) -> Response<Bytes> {
    let said = error.to_string();
    match error {
        Error::Conflict(_) | Error::OtherCoordinator => failed(StatusCode::CONFLICT, &said),
        Error::Payload(_) => failed(StatusCode::UNPROCESSABLE_ENTITY, &said),
        Error::Stale => detail(StatusCode::PRECONDITION_FAILED, &said),
        Error::Failed(_) => detail(StatusCode::INTERNAL_SERVER_ERROR, &said),
        Error::Unavailable { retry_after, .. } => {
            let mut response = detail(StatusCode::SERVICE_UNAVAILABLE, &said);
            if let Some(after) = retry_after {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(*after)));
            }
            response
        }
    }
}

pub(super) fn bad_request(why: &str) -> Response<Bytes> {
    detail(StatusCode::BAD_REQUEST, why)
}

fn ongoing() -> Response<Bytes> {
    body(StatusCode::ACCEPTED, &json!({"result": "ongoing"}))
}

fn failed(status: StatusCode, why: &str) -> Response<Bytes> {
    body(status, &json!({"result": "failed", "detail": why}))
}

fn detail(status: StatusCode, why: &str) -> Response<Bytes> {
    body(status, &json!({"detail": why}))
}

fn body(status: StatusCode, value: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Rounded up: never earlier than was meant.
fn whole_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: &Response<Bytes>) -> (u16, &str) {
        (response.status().as_u16(), std::str::from_utf8(response.body()).unwrap())
    }

    #[test]
    fn every_answer_is_as_the_protocol_has_it() {
        assert_eq!(text(&of_vote(&Vote::Yes)), (200, r#"{"result":"success"}"#));
        assert_eq!(text(&of_vote(&Vote::ReadOnly)), (200, r#"{"result":"read_only"}"#));
        assert_eq!(text(&of_vote(&Vote::No("dear".into()))), (200, r#"{"detail":"dear","result":"failed"}"#));
        assert_eq!(text(&of_vote(&Vote::Ongoing)), (202, r#"{"result":"ongoing"}"#));
        assert_eq!(text(&of_ack(Ack::Done)), (200, r#"{"result":"success"}"#));
        let mixed = of_ack(Ack::Heuristic(Heuristic::Mixed));
        assert_eq!(text(&mixed), (200, r#"{"result":"heuristic_mixed"}"#));
        assert_eq!(text(&of_error(&Error::Conflict("no".into()))), (409, r#"{"detail":"no","result":"failed"}"#));
        assert_eq!(of_error(&Error::OtherCoordinator).status(), 409);
        assert_eq!(of_error(&Error::Payload("no".into())).status(), 422);
        assert_eq!(of_error(&Error::Stale).status(), 412);
        assert_eq!(text(&of_error(&Error::Failed("x".into()))), (500, r#"{"detail":"x"}"#));
        let later = Error::Unavailable { why: "busy".into(), retry_after: Some(Duration::from_millis(1200)) };
        assert_eq!(
            (of_error(&later).status().as_u16(), &of_error(&later).headers()[RETRY_AFTER]),
            (503, &"2".parse().unwrap())
        );
    }
}
