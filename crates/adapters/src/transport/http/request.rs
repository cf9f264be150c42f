//! What a call looks like on the wire.
use super::origin::Spot;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::ops::Range;
use std::sync::Arc;
use unanim_api::inquiry::Signer;
use unanim_api::names::{mode_name, op_name};
use unanim_coordinator::{Call, CallId};
use unanim_engine::{BranchSpec, Dialect, Header, Op};
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

/// Larger payloads are shared, not copied.
const COPIED_MAX: usize = 1024;
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
        let mut room = BytesMut::with_capacity(self.room_for(call, spot));
        // All values first, so that they share one buffer without a reference count for each piece that is cut off.
        let gid = span(&mut room, |room| encode(room, id.gid.as_str()));
        let branch = span(&mut room, |room| encode(room, spec.id.as_str()));
        let attempt = span(&mut room, |room| decimal(room, id.attempt.into()));
        let fence = span(&mut room, |room| decimal(room, call.fence));
        let deadline = span(&mut room, |room| decimal(room, call.deadline_ms));
        let inquiry = span(&mut room, |room| self.inquiry(room, call));
        let path = span(&mut room, |room| match spec.callee.dialect {
            Dialect::V1 => {}
            Dialect::Classic => classic_path(room, spot, id),
        });
        let room = room.freeze();
        let value = |span: Range<usize>| HeaderValue::from_maybe_shared(room.slice(span)).ok();
        let uri = match spec.callee.dialect {
            Dialect::V1 => spot.uri.clone(),
            Dialect::Classic => Uri::from_maybe_shared(room.slice(path)).ok()?,
        };
        let mut headers = HeaderMap::with_capacity(HEADERS + spec.headers().len());
        headers.insert(HOST, spot.origin.host_header.clone());
        headers.insert(&GID, value(gid)?);
        headers.insert(&BRANCH, value(branch)?);
        headers.insert(&OP, HeaderValue::from_static(op_name(id.op)));
        headers.insert(&MODE, HeaderValue::from_static(mode_name(call.mode)));
        headers.insert(&ATTEMPT, value(attempt)?);
        headers.insert(&FENCE, value(fence)?);
        headers.insert(&DEADLINE, value(deadline)?);
        headers.insert(&INQUIRY, value(inquiry)?);
        let body = match (spec.payload.as_deref(), spec.callee.dialect) {
            (Some(payload), Dialect::V1) if !payload.is_empty() => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Full::new(if payload.len() <= COPIED_MAX {
                    Bytes::copy_from_slice(payload)
                } else {
                    Bytes::from_owner(PayloadOf(call.spec.clone()))
                })
            }
            // hyper says nothing about a body that is not there, and some servers want to hear it of a POST.
            (Some(_), Dialect::V1 | Dialect::Classic) | (None, _) => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
                Full::default()
            }
        };
        add_own(&mut headers, spec.headers());
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, uri, headers);
        Some(request)
    }

    /// `Unanim-Inquiry`: where to ask in doubt.
    fn inquiry(&self, room: &mut BytesMut, call: &Call) {
        let (gid, branch) = (call.id.gid.as_str(), call.spec.id.as_str());
        room.put_slice(self.inquiry_head.as_bytes());
        encode(room, gid);
        room.put_slice(b"/outcome?branch=");
        encode(room, branch);
        room.put_slice(self.inquiry_tail.as_bytes());
        self.signer.sign_into(gid, branch, |key| room.put_slice(key.as_bytes()));
    }

    /// Enough for all values, so that they need one allocation.
    fn room_for(&self, call: &Call, spot: &Spot) -> usize {
        let names = call.id.gid.as_str().len() + call.spec.id.as_str().len();
        self.inquiry_head.len() + self.inquiry_tail.len() + spot.base.len() + 4 * names + 128
    }
}

/// Keeps a branch's payload for as long as it is being sent.
struct PayloadOf(Arc<BranchSpec>);

impl AsRef<[u8]> for PayloadOf {
    fn as_ref(&self) -> &[u8] {
        self.0.payload.as_deref().unwrap_or_default()
    }
}

/// The branch's own headers. The front doors have refused what may not be there; what came by another way is left out.
fn add_own(headers: &mut HeaderMap, own: &[Header]) {
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

/// `/transaction/<gid>/<verb>`, below the path of the participant's URL.
fn classic_path(room: &mut BytesMut, spot: &Spot, id: &CallId) {
    room.put_slice(spot.base.as_bytes());
    room.put_slice(b"/transaction/");
    encode(room, id.gid.as_str());
    room.put_slice(b"/");
    room.put_slice(classic_verb(id.op).as_bytes());
}

fn encode(room: &mut BytesMut, name: &str) {
    utf8_percent_encode(name, RESERVED).for_each(|piece| room.put_slice(piece.as_bytes()));
}

fn decimal(room: &mut BytesMut, mut number: u64) {
    let (mut digits, mut from) = ([0; 20], 20);
    loop {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return room.put_slice(&digits[from..]);
        }
    }
}

/// Where in the buffer it is what this writes.
fn span(room: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) -> Range<usize> {
    let start = room.len();
    write(room);
    start..room.len()
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
