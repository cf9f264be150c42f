//! What an answer over HTTP means: a pure function, the table of the protocol's §4 line by line.
use http::HeaderMap;
use http::header::RETRY_AFTER;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::SystemTime;
use unanim_engine::{Dialect, Failure, Heuristic, Op, Reply};

/// The longest that a `Retry-After` may put the next attempt off, in milliseconds.
const RETRY_AFTER_MS_MAX: u64 = 5 * 60_000;
/// Bytes of a participant's words that are kept.
const WORDS_BYTES_MAX: usize = 1_024;

/// An answer, read to its end.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
}

/// What an answer to an operation means. `refused_statuses` are the branch's; `now` is asked only where a
/// `Retry-After` names a date.
pub fn classify(
    dialect: Dialect,
    op: Op,
    answer: Answer<'_>,
    refused_statuses: &[u16],
    now: fn() -> SystemTime,
) -> Reply {
    match dialect {
        Dialect::V1 => v1(op, answer, refused_statuses, now),
        Dialect::Classic => classic(op, answer),
    }
}

/// Whether the status alone says it, so that a body which is cut off or endless changes nothing.
pub(super) fn status_decides(dialect: Dialect, op: Op, status: u16) -> bool {
    match (dialect, op) {
        (Dialect::V1, _) => false,
        (Dialect::Classic, Op::Prepare) => status != 200,
        (Dialect::Classic, Op::Commit | Op::Rollback | Op::CommitOnePhase) => true,
    }
}

fn v1(op: Op, answer: Answer<'_>, refused_statuses: &[u16], now: fn() -> SystemTime) -> Reply {
    let retry_after_ms = || retry_after_ms(answer.headers, now);
    match answer.status {
        202 => Reply::Ongoing { retry_after_ms: retry_after_ms() },
        200..=299 => v1_body(op, answer.body, retry_after_ms),
        status if refused_statuses.contains(&status) => {
            Reply::Refused(Said::read(answer.body).and_then(|said| said.words()))
        }
        425 => Reply::Ongoing { retry_after_ms: retry_after_ms() },
        status @ (429 | 503) => Reply::Unknown { failure: Failure::Status(status), retry_after_ms: retry_after_ms() },
        status => Reply::unknown(Failure::Status(status)),
    }
}

fn v1_body(op: Op, body: &[u8], retry_after_ms: impl FnOnce() -> u64) -> Reply {
    if body.is_empty() {
        return Reply::Ok;
    }
    let Some(said) = Said::read(body) else { return Reply::unknown(Failure::Content) };
    let result = match said.result {
        None => return Reply::Ok,
        Some(raw) => text(raw),
    };
    match result.as_deref() {
        Some("ok" | "success") => Reply::Ok,
        Some("read_only") if op == Op::Prepare => Reply::ReadOnly,
        Some("failed") => Reply::Refused(said.words()),
        Some("heuristic_commit") => Reply::Heuristic(Heuristic::Commit),
        Some("heuristic_rollback") => Reply::Heuristic(Heuristic::Rollback),
        Some("heuristic_mixed") => Reply::Heuristic(Heuristic::Mixed),
        Some("ongoing") => Reply::Ongoing { retry_after_ms: retry_after_ms() },
        Some(_) | None => Reply::unknown(Failure::Content),
    }
}

/// The small protocol: only one answer is a yes, every other answer is a no; to what was decided only 200 is an answer.
fn classic(op: Op, answer: Answer<'_>) -> Reply {
    match (op, answer.status) {
        (Op::Prepare, 200) => {
            let said = Said::read(answer.body);
            match said.as_ref().and_then(|said| said.result).and_then(text).as_deref() {
                Some("success") => Reply::Ok,
                Some(_) | None => Reply::Refused(said.and_then(|said| said.words())),
            }
        }
        (Op::Prepare, _) => Reply::Refused(Said::read(answer.body).and_then(|said| said.words())),
        (Op::Commit | Op::Rollback | Op::CommitOnePhase, 200) => Reply::Ok,
        (Op::Commit | Op::Rollback | Op::CommitOnePhase, status) => Reply::unknown(Failure::Status(status)),
    }
}

/// A JSON object, as far as it concerns us. One of these keys given twice makes it none: two readers might take
/// different ones.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default, deserialize_with = "raw")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    detail: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    reason: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    message: Option<&'a RawValue>,
}

/// A value that is there, `null` included.
fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Said<'a> {
    fn read(body: &'a [u8]) -> Option<Said<'a>> {
        let body = std::str::from_utf8(body).ok()?;
        // serde would read an array into a struct as well.
        let object = body.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
        if object { serde_json::from_str(body).ok() } else { None }
    }

    /// What a participant says about its no, shortened, without what would confuse a terminal.
    fn words(&self) -> Option<Box<str>> {
        let words = [self.detail, self.reason, self.message].into_iter().flatten().find_map(text)?;
        let words = &words[..words.floor_char_boundary(WORDS_BYTES_MAX)];
        Some(words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().into())
    }
}

/// A JSON string's text.
fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if quoted.contains('\\') {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(quoted))
    }
}

/// Milliseconds of the first `Retry-After`, in seconds or as a date; 0 without one that can be read.
fn retry_after_ms(headers: &HeaderMap, now: fn() -> SystemTime) -> u64 {
    let Some(value) = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()) else { return 0 };
    let value = value.trim();
    let ms = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        value.parse().unwrap_or(u64::MAX).saturating_mul(1_000)
    } else {
        let at = httpdate::parse_http_date(value).ok();
        let wait = at.and_then(|at| at.duration_since(now()).ok()).unwrap_or_default();
        u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
    };
    ms.min(RETRY_AFTER_MS_MAX)
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
