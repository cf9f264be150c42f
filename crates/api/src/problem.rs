//! Errors as clients see them: `application/problem+json` with stable codes.
use crate::openapi::schema;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use std::borrow::Cow;
use unanim_engine::Gid;

/// More wrong fields than this are not listed.
pub(crate) const ERRORS_MAX: usize = 50;
/// Of a longer text about a mistake, which repeats what the client sent, only the beginning is told.
const TEXT_BYTES_MAX: usize = 1_024;

/// What went wrong, for programs. Codes are only ever added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemCode {
    /// No JSON.
    MalformedJson,
    /// JSON, a query or a path that says nothing usable.
    InvalidRequest,
    /// No token, or a wrong one.
    Unauthenticated,
    /// An endpoint that the allow-list does not name.
    EndpointNotAllowed,
    /// A foreign web page.
    OriginNotAllowed,
    /// Unknown.
    NotFound,
    /// The path exists, for another method.
    MethodNotAllowed,
    /// The request did not come in time.
    RequestTimeout,
    /// The gid is known with another body.
    GidConflict,
    /// The branch is known with another body.
    BranchConflict,
    /// The other outcome is decided.
    AlreadyDecided,
    /// Too late for that, in this phase.
    Closed,
    /// Too early for that: the transaction is open.
    NotFinished,
    /// Too early for that: its retention is not over.
    Retained,
    /// A body, a payload or a number of branches over the limit.
    TooLarge,
    /// A body that is not called JSON.
    UnsupportedMediaType,
    /// The question is for another coordinator's store.
    WrongCoordinator,
    /// The bound on open transactions, or on their bytes, is reached.
    TooManyOpen,
    /// The bound on streams of events is reached.
    TooManyStreams,
    /// Open transactions are still being read.
    Loading,
    /// New transactions are refused until there is room on the disk.
    DiskFull,
    /// The coordinator is about to stop.
    Draining,
    /// The store did not answer, or the coordinator has lost its session.
    Unavailable,
}

impl ProblemCode {
    /// All of them, in the order of their statuses.
    pub const ALL: [ProblemCode; 23] = [
        ProblemCode::MalformedJson,
        ProblemCode::InvalidRequest,
        ProblemCode::Unauthenticated,
        ProblemCode::EndpointNotAllowed,
        ProblemCode::OriginNotAllowed,
        ProblemCode::NotFound,
        ProblemCode::MethodNotAllowed,
        ProblemCode::RequestTimeout,
        ProblemCode::GidConflict,
        ProblemCode::BranchConflict,
        ProblemCode::AlreadyDecided,
        ProblemCode::Closed,
        ProblemCode::NotFinished,
        ProblemCode::Retained,
        ProblemCode::TooLarge,
        ProblemCode::UnsupportedMediaType,
        ProblemCode::WrongCoordinator,
        ProblemCode::TooManyOpen,
        ProblemCode::TooManyStreams,
        ProblemCode::Loading,
        ProblemCode::DiskFull,
        ProblemCode::Draining,
        ProblemCode::Unavailable,
    ];

    /// The code of this name, if it is one of ours.
    pub fn of(code: &str) -> Option<ProblemCode> {
        ProblemCode::ALL.into_iter().find(|known| known.code() == code)
    }

    /// The one table: status, code, title.
    const fn entry(self) -> (u16, &'static str, &'static str) {
        match self {
            ProblemCode::MalformedJson => (400, "malformed_json", "The body is no JSON"),
            ProblemCode::InvalidRequest => (400, "invalid_request", "The request says nothing usable"),
            ProblemCode::Unauthenticated => (401, "unauthenticated", "A valid token is needed"),
            ProblemCode::EndpointNotAllowed => (403, "endpoint_not_allowed", "The endpoint is not on the allow-list"),
            ProblemCode::OriginNotAllowed => {
                (403, "origin_not_allowed", "Requests from this origin or for this host are refused")
            }
            ProblemCode::NotFound => (404, "not_found", "There is nothing here"),
            ProblemCode::MethodNotAllowed => (405, "method_not_allowed", "This path has other methods"),
            ProblemCode::RequestTimeout => (408, "request_timeout", "The request did not come in time"),
            ProblemCode::GidConflict => (409, "gid_conflict", "The gid belongs to a different transaction"),
            ProblemCode::BranchConflict => (409, "branch_conflict", "The id belongs to a different branch"),
            ProblemCode::AlreadyDecided => (409, "already_decided", "The other outcome is decided"),
            ProblemCode::Closed => (409, "closed", "It is too late for that"),
            ProblemCode::NotFinished => (409, "not_finished", "The transaction has not ended"),
            ProblemCode::Retained => (409, "retained", "The transaction's retention is not over"),
            ProblemCode::TooLarge => (413, "too_large", "Over a limit"),
            ProblemCode::UnsupportedMediaType => (415, "unsupported_media_type", "The body must be application/json"),
            ProblemCode::WrongCoordinator => (421, "wrong_coordinator", "Another coordinator's store made this call"),
            ProblemCode::TooManyOpen => (429, "too_many_open", "Too many transactions are open"),
            ProblemCode::TooManyStreams => (429, "too_many_streams", "Too many streams of events are open"),
            ProblemCode::Loading => (503, "loading", "Open transactions are still being loaded"),
            ProblemCode::DiskFull => (503, "disk_full", "The disk is full: new transactions are refused"),
            ProblemCode::Draining => (503, "draining", "The coordinator is about to stop"),
            ProblemCode::Unavailable => (503, "unavailable", "The coordinator cannot tell just now"),
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.entry().0
    }

    /// The code, and the name of its page.
    pub const fn code(self) -> &'static str {
        self.entry().1
    }

    /// In a sentence.
    pub const fn title(self) -> &'static str {
        self.entry().2
    }

    /// The same request may succeed later, as it is.
    pub const fn retryable(self) -> bool {
        matches!(self.status(), 408 | 429 | 503)
    }

    /// Seconds to wait before the next try, where that is known.
    pub const fn retry_after(self) -> Option<u32> {
        if matches!(self.status(), 429 | 503) { Some(1) } else { None }
    }
}

/// An error, as RFC 9457 has it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Body<'a> {
    /// The page that explains the code, on this server.
    #[schemars(extend("format" = "uri-reference"))]
    r#type: String,
    /// The code in a sentence.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What went wrong here, for people.
    detail: &'a str,
    /// What went wrong, for programs.
    #[schemars(schema_with = "codes")]
    code: &'a str,
    /// The transaction it is about, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<&'a str>,
    /// The fields it is about, the first fifty of them.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schemars(with = "Vec<FieldError>")]
    errors: &'a [FieldError],
    /// The same request may succeed later, as it is.
    retryable: bool,
}

fn codes(_: &mut SchemaGenerator) -> Schema {
    schema::word(&ProblemCode::ALL.map(ProblemCode::code))
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body, or `?name` for a part of the query.
    pub pointer: String,
    /// What kind of mistake, for programs.
    pub code: &'static str,
    /// The mistake, for people.
    pub detail: String,
}

/// An error as it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What went wrong.
    pub code: ProblemCode,
    /// What went wrong here, for people.
    pub detail: Cow<'static, str>,
    /// The transaction it is about, where that is known.
    pub gid: Option<Gid>,
    /// The fields it is about.
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// One with an explanation.
    pub fn new(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { code, detail: detail.into(), gid: None, errors: Vec::new() }
    }

    /// One about these fields; only the first ones are listed.
    pub fn of_fields(code: ProblemCode, errors: Vec<FieldError>) -> Problem {
        let count = errors.len();
        Problem::of_first(code, errors, count)
    }

    /// One about `count` fields, of which the first ones are these.
    pub(crate) fn of_first(code: ProblemCode, mut errors: Vec<FieldError>, count: usize) -> Problem {
        errors.truncate(ERRORS_MAX);
        for error in &mut errors {
            shorten(&mut error.pointer);
            shorten(&mut error.detail);
        }
        let detail = match &*errors {
            [] => code.title().to_owned(),
            [only] => described(only),
            [first, ..] => format!("{} ({} mistakes in all)", described(first), count),
        };
        Problem { code, detail: detail.into(), gid: None, errors }
    }

    /// One about one field.
    pub fn of_field(
        code: ProblemCode,
        pointer: impl Into<String>,
        kind: &'static str,
        detail: impl Into<String>,
    ) -> Problem {
        Problem::of_fields(code, vec![FieldError { pointer: pointer.into(), code: kind, detail: detail.into() }])
    }

    /// About this transaction.
    #[must_use]
    pub fn about(mut self, gid: &Gid) -> Problem {
        self.gid = Some(gid.clone());
        self
    }

    /// The body.
    pub fn body(&self) -> Vec<u8> {
        let body = Body {
            r#type: format!("/docs/errors/{}", self.code.code()),
            title: self.code.title(),
            status: self.code.status(),
            detail: &self.detail,
            code: self.code.code(),
            gid: self.gid.as_ref().map(Gid::as_str),
            errors: &self.errors,
            retryable: self.code.retryable(),
        };
        serde_json::to_vec(&body).expect("strings and numbers are always JSON")
    }
}

fn shorten(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
    }
}

fn described(error: &FieldError) -> String {
    if error.pointer.is_empty() { error.detail.clone() } else { format!("{}: {}", error.pointer, error.detail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_listed_once() {
        let codes: BTreeSet<_> = ProblemCode::ALL.iter().map(|c| c.code()).collect();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
        assert!(ProblemCode::ALL.is_sorted_by_key(|c| c.status()));
        assert!(ProblemCode::ALL.iter().all(|c| ProblemCode::of(c.code()) == Some(*c)));
        assert_eq!(ProblemCode::of("closed "), None);
    }

    #[test]
    fn a_problem_has_the_documented_shape() {
        let gid = Gid::new("order-17").expect("a name");
        let problem = Problem::of_field(ProblemCode::GidConflict, "/gid", "conflict", "another body").about(&gid);
        let body: serde_json::Value = serde_json::from_slice(&problem.body()).expect("JSON");
        let expected = serde_json::json!({
            "type": "/docs/errors/gid_conflict", "title": "The gid belongs to a different transaction", "status": 409,
            "detail": "/gid: another body", "code": "gid_conflict", "gid": "order-17",
            "errors": [{"pointer": "/gid", "code": "conflict", "detail": "another body"}], "retryable": false,
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_long_list_of_mistakes_is_cut() {
        let error =
            |n: usize| FieldError { pointer: format!("/branches/{n}"), code: "wrong_type", detail: "no".into() };
        let problem = Problem::of_fields(ProblemCode::InvalidRequest, (0..10_000).map(error).collect());
        assert_eq!(problem.errors.len(), ERRORS_MAX);
        assert!(problem.detail.contains("10000 mistakes"), "{}", problem.detail);
    }

    #[test]
    fn what_a_client_sent_is_not_sent_back_at_length() {
        let problem =
            Problem::of_field(ProblemCode::InvalidRequest, "/é".repeat(1 << 20), "unknown", "ü".repeat(1 << 20));
        assert!(problem.body().len() < 8 * TEXT_BYTES_MAX, "{}", problem.body().len());
        assert!(problem.errors[0].pointer.starts_with("/é/é") && problem.errors[0].detail.ends_with('…'));
    }
}
