//! The v1 front door (wire/v1.md): one file for each kind of call.
pub(super) mod change;
pub(super) mod events;
pub(super) mod history;
pub(super) mod inquiry;
pub(super) mod list;
pub(super) mod read;
pub(super) mod submit;

use super::wait::reached;
use crate::app::App;
use crate::http::{Query, Reply, header};
use hyper::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;
use unanim_api::openapi::{PAGE_DEFAULT, PAGE_MAX, PATIENCE};
use unanim_api::{Problem, ProblemCode, transaction_body};
use unanim_coordinator::{View, Wait};

/// The longest wait of a client, and how long it waits unless it says otherwise.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a client waits for, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Patience {
    wait: Option<Wait>,
    limit: Duration,
}

impl Patience {
    /// `wait` and `timeout_ms`; longer than a minute is a minute.
    fn of(query: Option<&str>) -> Result<Patience, Problem> {
        let wrong =
            |pointer: &str, code, detail: &str| Problem::of_field(ProblemCode::InvalidRequest, pointer, code, detail);
        let query = Query::parse(query, PATIENCE)?;
        let wait = match query.get("wait") {
            None => None,
            Some("decided") => Some(Wait::Decided),
            Some("finished") => Some(Wait::Finished),
            Some(_) => return Err(wrong("?wait", "unknown_value", "is neither decided nor finished")),
        };
        let limit = match query.get("timeout_ms") {
            None => WAIT_MAX,
            Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                // More digits than a number has are a long time, too.
                Duration::from_millis(text.parse().unwrap_or(u64::MAX)).min(WAIT_MAX)
            }
            Some(_) => return Err(wrong("?timeout_ms", "wrong_type", "is no number of milliseconds")),
        };
        Ok(Patience { wait, limit })
    }
}

/// The transaction: 200 when what the client waits for is there, 202 before.
fn transaction(app: &App, view: &View, wait: Option<Wait>) -> Reply {
    let done = wait.is_some_and(|wait| reached(view, wait));
    let status = if done { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = format!("{}/v1/transactions/{}", app.base, utf8_percent_encode(view.gid.as_str(), RESERVED));
    Reply::json(status, transaction_body(view)).located(&location).about(view.gid.clone())
}

/// How many entries a page may have.
fn limit(query: &Query<'_>) -> Result<usize, Problem> {
    let Some(text) = query.get("limit") else { return Ok(PAGE_DEFAULT) };
    let number =
        text.parse().ok().filter(|limit| text.bytes().all(|b| b.is_ascii_digit()) && (1..=PAGE_MAX).contains(limit));
    number.ok_or_else(|| {
        let detail = format!("is no number from 1 to {PAGE_MAX}");
        Problem::of_field(ProblemCode::InvalidRequest, "?limit", "out_of_range", detail)
    })
}

/// A body with something in it must be called JSON.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = header(headers, "content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::UnsupportedMediaType, "send the body as Content-Type: application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_bounded() {
        let of = |text| Patience::of(Some(text)).map_err(|p| p.errors[0].pointer.clone());
        assert_eq!(of(""), Ok(Patience { wait: None, limit: WAIT_MAX }));
        assert_eq!(
            of("wait=decided&timeout_ms=300"),
            Ok(Patience { wait: Some(Wait::Decided), limit: Duration::from_millis(300) })
        );
        assert_eq!(
            of("wait=finished&timeout_ms=99999999999999999999999"),
            Ok(Patience { wait: Some(Wait::Finished), limit: WAIT_MAX })
        );
        for (query, pointer) in [
            ("wait=sometimes", "?wait"),
            ("wait=", "?wait"),
            ("timeout_ms=-1", "?timeout_ms"),
            ("timeout_ms=1e3", "?timeout_ms"),
            ("timeout_ms=", "?timeout_ms"),
            ("timeout_ms=%2B5", "?timeout_ms"),
        ] {
            assert_eq!(of(query), Err(pointer.into()), "{query}");
        }
    }

    #[test]
    fn json_by_any_other_spelling() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", text.parse().expect("a value"));
            check_content_type(&headers).is_ok()
        };
        assert!(of("application/json") && of("Application/JSON") && of("application/json; charset=utf-8"));
        assert!(!of("text/plain") && !of("application/x-www-form-urlencoded") && !of(""));
        assert!(check_content_type(&HeaderMap::new()).is_err());
    }
}
