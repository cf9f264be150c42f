//! Requests taken apart and replies put together; nothing here knows what they are about.
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, EXPECT, HeaderMap,
    HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use percent_encoding::percent_decode;
use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use unanim_api::openapi::Parameter;
use unanim_api::{Problem, ProblemCode};
use unanim_engine::Gid;

/// Bytes of a request's body.
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;
/// How long a body may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// What is read and dropped of a body that is too large, so that whoever sends it reads the answer and no reset.
const DRAIN_BYTES_MAX: usize = 64 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// A page has a style of this server, and nothing else: no script, no frame, nothing from elsewhere.
const PAGE_HEADERS: [(HeaderName, &str); 3] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
];

/// What is in between must not keep a stream, nor keep it back.
const STREAM_HEADERS: [(HeaderName, &str); 2] =
    [(CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")];

/// What an answer holds.
pub(crate) enum Content {
    Whole(Full<Bytes>),
    Pieces(mpsc::Receiver<Bytes>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Content::Whole(body) => Pin::new(body).poll_frame(cx),
            Content::Pieces(pieces) => pieces.poll_recv(cx).map(|piece| piece.map(|p| Ok(Frame::data(p)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Content::Whole(body) => body.is_end_stream(),
            Content::Pieces(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Whole(body) => body.size_hint(),
            Content::Pieces(_) => SizeHint::default(),
        }
    }
}

/// An answer, and what the log says of it.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Content,
    location: Option<HeaderValue>,
    retry_after: Option<u32>,
    allow: Option<HeaderValue>,
    is_page: bool,
    close: bool,
    /// The transaction it is about.
    pub(crate) gid: Option<Gid>,
    /// The code of a problem.
    pub(crate) code: Option<ProblemCode>,
}

impl Reply {
    fn new(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Reply {
        Reply {
            status,
            content_type: Some(content_type),
            body: Content::Whole(Full::new(body.into())),
            location: None,
            retry_after: None,
            allow: None,
            is_page: false,
            close: false,
            gid: None,
            code: None,
        }
    }

    /// JSON.
    pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
        Reply::new(status, JSON, body)
    }

    /// Text of some other type.
    pub(crate) fn text(content_type: &'static str, body: String) -> Reply {
        Reply::new(StatusCode::OK, HeaderValue::from_static(content_type), body)
    }

    /// An answer that goes on for as long as somebody sends pieces of it.
    pub(crate) fn stream(content_type: &'static str, pieces: mpsc::Receiver<Bytes>) -> Reply {
        let reply = Reply::new(StatusCode::OK, HeaderValue::from_static(content_type), Bytes::new());
        Reply { body: Content::Pieces(pieces), ..reply }
    }

    /// There is nothing, and that is all.
    pub(crate) fn nothing() -> Reply {
        Reply { content_type: None, ..Reply::new(StatusCode::NO_CONTENT, JSON, Bytes::new()) }
    }

    /// It is elsewhere, for good.
    pub(crate) fn moved(location: &str) -> Reply {
        let reply = Reply::new(StatusCode::PERMANENT_REDIRECT, JSON, Bytes::new());
        Reply { content_type: None, ..reply }.located(location)
    }

    /// A page of the server's own, or a part of one.
    pub(crate) fn page(content_type: &'static str, body: Bytes) -> Reply {
        Reply { is_page: true, ..Reply::new(StatusCode::OK, HeaderValue::from_static(content_type), body) }
    }

    pub(crate) fn problem(problem: Problem) -> Reply {
        let status = StatusCode::from_u16(problem.code.status()).expect("the table has valid ones only");
        let mut reply = Reply::new(status, PROBLEM, problem.body());
        (reply.retry_after, reply.code) = (problem.code.retry_after(), Some(problem.code));
        // What is left of the request may never come, or be without end.
        reply.close = matches!(problem.code, ProblemCode::TooLarge | ProblemCode::RequestTimeout);
        reply.gid = problem.gid;
        reply
    }

    /// The path has other methods: these, and HEAD where there is GET.
    pub(crate) fn not_allowed(methods: &[&str]) -> Reply {
        let mut allow = methods.to_vec();
        if let Some(at) = allow.iter().position(|method| *method == "GET") {
            allow.insert(at + 1, "HEAD");
        }
        let allow = allow.join(", ");
        let problem = Problem::new(ProblemCode::MethodNotAllowed, format!("this path has {allow}"));
        Reply { allow: HeaderValue::from_str(&allow).ok(), ..Reply::problem(problem) }
    }

    pub(crate) fn about(self, gid: Gid) -> Reply {
        Reply { gid: Some(gid), ..self }
    }

    pub(crate) fn located(self, location: &str) -> Reply {
        Reply { location: HeaderValue::from_str(location).ok(), ..self }
    }

    pub(crate) fn retry_after(self, seconds: u32) -> Reply {
        Reply { retry_after: Some(seconds), ..self }
    }

    pub(crate) fn response(self) -> Response<Content> {
        let is_stream = matches!(self.body, Content::Pieces(_));
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(content_type) = self.content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        if is_stream {
            for (name, value) in STREAM_HEADERS {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        if let Some(location) = self.location {
            headers.insert(LOCATION, location);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, allow);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.is_page {
            for (name, value) in PAGE_HEADERS {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A body in full.
pub(crate) async fn read_body(headers: &HeaderMap, mut body: Incoming) -> Result<Bytes, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        // Who asks before sending is not asked to send.
        if !headers.contains_key(EXPECT) {
            drain(body);
        }
        return Err(too_large());
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match timeout(BODY_TIME_MAX, collect(&mut body)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => {
            drain(body);
            Err(too_large())
        }
        Ok(Err(_)) => Err(Problem::new(ProblemCode::MalformedJson, "the body ended too early")),
        Err(_) => Err(Problem::new(ProblemCode::RequestTimeout, "the body did not come in time")),
    }
}

fn too_large() -> Problem {
    Problem::new(ProblemCode::TooLarge, format!("the body is larger than {BODY_BYTES_MAX} bytes"))
}

/// None: too large. Most bodies come in one piece, which is not copied.
async fn collect(body: &mut Incoming) -> Result<Option<Bytes>, hyper::Error> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.len().max(all.len()) + data.len() > BODY_BYTES_MAX {
            return Ok(None);
        }
        if first.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    Ok(Some(if all.is_empty() { first } else { all.freeze() }))
}

/// Reads on for a moment and drops what comes.
fn drain(mut body: Incoming) {
    tokio::task::spawn_local(async move {
        let until = Instant::now() + DRAIN_TIME_MAX;
        let mut bytes = 0;
        while let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DRAIN_BYTES_MAX {
                return;
            }
        }
    });
}

/// A header's value as text; none where it is missing, odd, or there twice.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// The trace that a request belongs to, where it names one as W3C Trace Context has it.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let value = header(headers, "traceparent")?;
    let mut parts =
        value.split('-').map(|part| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(part.len()));
    let lengths = [parts.next()??, parts.next()??, parts.next()??, parts.next()??];
    (lengths == [2, 32, 16, 2] && parts.next().is_none()).then_some(value)
}

/// One segment of a path, or one word of a query.
pub(crate) fn decoded(text: &str) -> Option<Cow<'_, str>> {
    let mut escapes = text.bytes().enumerate().filter(|(_, b)| *b == b'%');
    let digits = |at: usize| text.as_bytes().get(at + 1..at + 3).is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit));
    if !escapes.all(|(at, _)| digits(at)) {
        return None;
    }
    percent_decode(text.as_bytes()).decode_utf8().ok()
}

/// The words of a query.
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads one that has no other words than these.
    ///
    /// # Errors
    /// Unknown words, words that are there twice, odd escapes.
    pub(crate) fn parse(query: Option<&'a str>, known: &[Parameter]) -> Result<Query<'a>, Problem> {
        let wrong = |name: &str, code, detail: String| {
            Problem::of_field(ProblemCode::InvalidRequest, format!("?{name}"), code, detail)
        };
        let mut words: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some((name, value)) = word(name).zip(word(value)) else {
                return Err(wrong(name, "not_utf8", "is not percent-encoded UTF-8".into()));
            };
            if !known.iter().any(|known| known.name == name) {
                let others = if known.is_empty() {
                    "this call has none".into()
                } else {
                    format!("this call has {}", known.iter().map(|known| known.name).collect::<Vec<_>>().join(", "))
                };
                return Err(wrong(&name, "unknown_parameter", format!("is no parameter: {others}")));
            }
            if words.iter().any(|(other, _)| *other == name) {
                return Err(wrong(&name, "duplicate", "is given twice".into()));
            }
            words.push((name, value));
        }
        Ok(Query(words))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// As forms encode it: a plus is a space.
fn word(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        decoded(&text.replace('+', " ")).map(|t| Cow::Owned(t.into_owned()))
    } else {
        decoded(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unanim_api::openapi::{INQUIRY, PATIENCE};

    #[test]
    fn segments_are_decoded_strictly() {
        assert_eq!(decoded("a%2Fb%20c+%C3%A9").as_deref(), Some("a/b c+é"));
        for odd in ["%", "%2", "%zz", "a%FF", "%-1", "%+1"] {
            assert_eq!(decoded(odd), None, "{odd}");
        }
    }

    #[test]
    fn queries_have_known_words_once() {
        let query = Query::parse(Some("branch=a+b%2B&store=s&"), INQUIRY).map_err(|p| p.detail).expect("good");
        assert_eq!((query.get("branch"), query.get("store"), query.get("key")), (Some("a b+"), Some("s"), None));
        let pointer = |text| Query::parse(Some(text), PATIENCE).err().map(|p| p.errors[0].pointer.clone());
        assert_eq!(pointer("wiat=decided").as_deref(), Some("?wiat"));
        assert_eq!(pointer("wait=a&wait=b").as_deref(), Some("?wait"));
        assert_eq!(pointer("wait=%").as_deref(), Some("?wait"));
        assert_eq!(pointer("wait"), None);
        assert!(Query::parse(None, &[]).is_ok());
    }

    #[test]
    fn only_a_trace_is_passed_on() {
        let trace = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_str(text).expect("a value"));
            traceparent(&headers).is_some()
        };
        assert!(trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        for odd in [
            "",
            "x",
            "00-0af7651916cd43dd8448eb211c80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00--b7ad6b7169203331-01",
        ] {
            assert!(!trace(odd), "{odd}");
        }
    }
}
