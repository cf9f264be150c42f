//! What a call looks like on the wire.
use super::pool::Spot;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::{self, Write};
use unanim_api::inquiry::Signer;
use unanim_api::names::{mode_name, op_name};
use unanim_coordinator::Call;
use unanim_engine::{Dialect, Op};
use uuid::Uuid;

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What every branch header that speaks for the coordinator begins with.
const UNANIM: &[u8] = b"unanim-";
static GID: HeaderName = HeaderName::from_static("unanim-gid");
static BRANCH: HeaderName = HeaderName::from_static("unanim-branch");
static OP: HeaderName = HeaderName::from_static("unanim-op");
static MODE: HeaderName = HeaderName::from_static("unanim-mode");
static ATTEMPT: HeaderName = HeaderName::from_static("unanim-attempt");
static FENCE: HeaderName = HeaderName::from_static("unanim-fence");
static DEADLINE: HeaderName = HeaderName::from_static("unanim-deadline");
static INQUIRY: HeaderName = HeaderName::from_static("unanim-inquiry");

/// How many headers a call has of its own.
const HEADERS: usize = 11;

/// Why a branch may not bring a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// No token.
    #[error("is no header name")]
    Name,
    /// Line breaks and other control characters.
    #[error("has a value with control characters or none that HTTP can carry")]
    Value,
    /// It would speak for the coordinator or change how the message is read.
    #[error("is set by the coordinator")]
    Reserved,
}

/// Whether a branch may bring this header with its calls; for the front doors.
///
/// # Errors
/// No header, or one that only the coordinator sets.
pub fn check_header(name: &str, value: &str) -> Result<(), BadHeader> {
    header(name, value).map(|_| ())
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), BadHeader> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadHeader::Name)?;
    let reserved = name.as_str().as_bytes().starts_with(UNANIM)
        || matches!(
            name.as_str(),
            "host"
                | "connection"
                | "content-length"
                | "expect"
                | "http2-settings"
                | "keep-alive"
                | "proxy-connection"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        );
    if reserved {
        return Err(BadHeader::Reserved);
    }
    Ok((name, HeaderValue::from_str(value).map_err(|_| BadHeader::Value)?))
}

/// Renders calls; what does not change from call to call is rendered once.
pub(super) struct Renderer {
    /// `{public_url}/v1/transactions/`
    inquiry_head: String,
    /// `&store={uuid}&key=`
    inquiry_tail: String,
    signer: Signer,
}

impl Renderer {
    pub(super) fn new(public_url: &str, store: Uuid, secret: &[u8; 32]) -> Renderer {
        Renderer {
            inquiry_head: format!("{}/v1/transactions/", public_url.trim_end_matches('/')),
            inquiry_tail: format!("&store={store}&key="),
            signer: Signer::new(secret),
        }
    }

    /// The request for a call; none where the branch's URL cannot be sent.
    pub(super) fn request(&self, call: &Call, spot: &Spot) -> Option<Request<Full<Bytes>>> {
        let (id, spec) = (&call.id, &*call.spec);
        let mut values = Values::new(self.room_for(call, spot));
        let uri = match spec.dialect {
            Dialect::V1 => spot.uri.clone(),
            Dialect::Classic => {
                let gid = encoded(id.gid.as_str());
                let path = values.bytes(format_args!("{}/transaction/{gid}/{}", spot.base, classic_verb(id.op)));
                Uri::from_maybe_shared(path).ok()?
            }
        };
        let mut headers = HeaderMap::with_capacity(HEADERS + spec.headers.len());
        headers.insert(HOST, spot.origin.host_header.clone());
        headers.insert(&GID, values.value(format_args!("{}", encoded(id.gid.as_str())))?);
        headers.insert(&BRANCH, values.value(format_args!("{}", encoded(spec.id.as_str())))?);
        headers.insert(&OP, HeaderValue::from_static(op_name(id.op)));
        headers.insert(&MODE, HeaderValue::from_static(mode_name(call.mode)));
        headers.insert(&ATTEMPT, values.value(format_args!("{}", id.attempt))?);
        headers.insert(&FENCE, values.value(format_args!("{}", call.fence))?);
        headers.insert(&DEADLINE, values.value(format_args!("{}", call.deadline_ms))?);
        headers.insert(&INQUIRY, self.inquiry(call, &mut values)?);
        let body = match (&spec.payload, spec.dialect) {
            (Some(payload), Dialect::V1) if !payload.is_empty() => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Full::new(payload.clone())
            }
            // hyper says nothing about a body that is not there, and some servers want to hear it of a POST.
            (Some(_), Dialect::V1 | Dialect::Classic) | (None, _) => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
                Full::default()
            }
        };
        add_own(&mut headers, &spec.headers);
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, uri, headers);
        Some(request)
    }

    /// `Unanim-Inquiry`: where to ask in doubt.
    fn inquiry(&self, call: &Call, values: &mut Values) -> Option<HeaderValue> {
        let (gid, branch) = (call.id.gid.as_str(), call.spec.id.as_str());
        let room = &mut values.0;
        room.put_slice(self.inquiry_head.as_bytes());
        write!(room, "{}/outcome?branch={}", encoded(gid), encoded(branch)).ok()?;
        room.put_slice(self.inquiry_tail.as_bytes());
        self.signer.sign_into(gid, branch, |key| room.put_slice(key.as_bytes()));
        values.cut()
    }

    /// Enough for all values, so that they need one allocation.
    fn room_for(&self, call: &Call, spot: &Spot) -> usize {
        let names = call.id.gid.as_str().len() + call.spec.id.as_str().len();
        self.inquiry_head.len() + self.inquiry_tail.len() + spot.base.len() + 4 * names + 128
    }
}

/// The branch's own headers. The front doors have refused what may not be there; what came by another way is left out.
fn add_own(headers: &mut HeaderMap, own: &[(Box<str>, Box<str>)]) {
    for (name, value) in own {
        match header(name, value) {
            Ok((CONTENT_TYPE, value)) => {
                headers.insert(CONTENT_TYPE, value);
            }
            Ok((name, value)) => {
                headers.append(name, value);
            }
            Err(BadHeader::Name | BadHeader::Value | BadHeader::Reserved) => {}
        }
    }
}

/// The small protocol's verbs.
fn classic_verb(op: Op) -> &'static str {
    match op {
        Op::Prepare => "prepare",
        Op::Commit | Op::CommitOnePhase => "commit",
        Op::Rollback => "rollback",
    }
}

fn encoded(name: &str) -> percent_encoding::PercentEncode<'_> {
    utf8_percent_encode(name, RESERVED)
}

/// Header values that share one buffer.
struct Values(BytesMut);

impl Values {
    fn new(bytes: usize) -> Values {
        Values(BytesMut::with_capacity(bytes))
    }

    fn bytes(&mut self, text: fmt::Arguments<'_>) -> Bytes {
        // Writing into a buffer that grows cannot fail.
        let _ = self.0.write_fmt(text);
        self.0.split().freeze()
    }

    fn value(&mut self, text: fmt::Arguments<'_>) -> Option<HeaderValue> {
        let _ = self.0.write_fmt(text);
        self.cut()
    }

    fn cut(&mut self) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.0.split().freeze()).ok()
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
