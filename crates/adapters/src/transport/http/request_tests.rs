//! Calls as they leave.
use super::super::pool::Pool;
use super::super::tls::Trust;
use super::super::{HttpOptions, origin::Spot};
use super::*;
use http_body_util::BodyExt;
use std::rc::Rc;
use std::sync::Arc;
use unanim_engine::{BranchId, BranchSpec, Callee, Gid, Mode, Participant, Target};

const SECRET: [u8; 32] = [7; 32];

fn renderer() -> Renderer {
    Renderer::new("http://unanim.test:8080/", Uuid::nil(), &SECRET)
}

fn spot(url: &str) -> Rc<Spot> {
    let options = HttpOptions::new("http://unanim.test:8080", Uuid::nil(), SECRET);
    let pool = Pool::new(options, renderer(), Trust::new(None).expect("no file"));
    pool.spot(url).expect("an endpoint")
}

fn call(
    gid: &str,
    op: Op,
    url: &str,
    dialect: Dialect,
    payload: Option<&'static str>,
    headers: &[(&str, &str)],
) -> Call {
    let participant = Participant::new("http://stock:5001").expect("a name");
    let spec = BranchSpec::new(
        BranchId::new("stock/1").expect("a name"),
        Callee {
            participant: participant.clone(),
            target: Target::One(url.into()),
            dialect,
            call_timeout_ms: 1_000,
            retry: None,
            refused_statuses: [].into(),
            one_phase: false,
        },
        payload.map(|text| text.as_bytes().into()),
    )
    .with_headers(headers.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
    let id = CallId { gid: Gid::new(gid).expect("a name"), branch: 0, op, attempt: 3, participant };
    Call { id, spec: Arc::new(spec), mode: Mode::TwoPhase, fence: 1_795_262_400_000, deadline_ms: 59_990 }
}

/// Request line and headers, in order of name, and the body.
async fn rendered(call: &Call, url: &str) -> (String, Vec<(String, String)>, Bytes) {
    let request = renderer().request(call, &spot(url)).expect("a request");
    let (head, body) = request.into_parts();
    let text = |v: &HeaderValue| v.to_str().expect("ASCII").to_owned();
    let mut headers: Vec<_> = head.headers.iter().map(|(k, v)| (k.to_string(), text(v))).collect();
    headers.sort();
    (format!("{} {}", head.method, head.uri), headers, body.collect().await.expect("a body").to_bytes())
}

fn key(gid: &str) -> String {
    Signer::new(&SECRET).sign(gid, "stock/1")
}

#[tokio::test]
async fn a_v1_call_carries_its_payload_and_says_who_asks_what() {
    let url = "http://stock:5001/tx?tenant=a";
    let call = call(
        "order 17/ä",
        Op::CommitOnePhase,
        url,
        Dialect::V1,
        Some("{ \"n\":2 }"),
        &[("x-tenant", "a"), ("traceparent", "00-1-2-01")],
    );
    let (line, headers, body) = rendered(&call, url).await;
    assert_eq!((line.as_str(), &body[..]), ("POST /tx?tenant=a", &b"{ \"n\":2 }"[..]));
    let inquiry = format!(
        "http://unanim.test:8080/v1/transactions/order%2017%2F%C3%A4/outcome?branch=stock%2F1&store={}&key={}",
        Uuid::nil(),
        key("order 17/ä")
    );
    let expected = [
        ("content-type", "application/json"),
        ("host", "stock:5001"),
        ("traceparent", "00-1-2-01"),
        ("unanim-attempt", "3"),
        ("unanim-branch", "stock%2F1"),
        ("unanim-deadline", "59990"),
        ("unanim-fence", "1795262400000"),
        ("unanim-gid", "order%2017%2F%C3%A4"),
        ("unanim-inquiry", &inquiry),
        ("unanim-mode", "two_phase"),
        ("unanim-op", "commit_one_phase"),
        ("x-tenant", "a"),
    ];
    assert_eq!(headers, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[tokio::test]
async fn a_classic_call_has_its_path_and_no_body() {
    for (op, verb) in [(Op::Prepare, "prepare"), (Op::Commit, "commit"), (Op::Rollback, "rollback")] {
        let call = call("a\"b/..", op, "http://127.0.0.1:5001", Dialect::Classic, Some("{}"), &[]);
        let (line, headers, body) = rendered(&call, "http://127.0.0.1:5001").await;
        assert_eq!(line, format!("POST /transaction/a%22b%2F../{verb}"));
        assert!(body.is_empty());
        let value = |name: &str| headers.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
        assert_eq!(
            (value("content-length"), value("content-type"), value("host")),
            (Some("0"), None, Some("127.0.0.1:5001"))
        );
        assert_eq!((value("unanim-op"), value("unanim-gid")), (Some(verb), Some("a%22b%2F..")));
    }
    let below = call("g", Op::Prepare, "http://127.0.0.1:5001/base/", Dialect::Classic, None, &[]);
    assert_eq!(rendered(&below, "http://127.0.0.1:5001/base/").await.0, "POST /base/transaction/g/prepare");
}

#[tokio::test]
async fn unreserved_characters_stay_and_all_others_are_encoded() {
    let call = call("aZ09-._~!*'()%+ ;", Op::Prepare, "http://h/", Dialect::V1, None, &[]);
    let (_, headers, _) = rendered(&call, "http://h/").await;
    let gid = &headers.iter().find(|(k, _)| k == "unanim-gid").expect("a gid").1;
    assert_eq!(gid, "aZ09-._~%21%2A%27%28%29%25%2B%20%3B");
    assert!(headers.contains(&("host".into(), "h".into())), "a default port is not written");
}

#[tokio::test]
async fn a_branch_cannot_speak_for_the_coordinator() {
    let evil = [
        ("Unanim-Gid", "other"),
        ("unanim-x", "1"),
        ("Host", "evil"),
        ("Content-Length", "7"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("bad name", "x"),
        ("x-bad", "a\r\nb: c"),
        ("Content-Type", "application/vnd.stock+json"),
        ("x-two", "1"),
        ("X-Two", "2"),
    ];
    let call = call("g", Op::Prepare, "http://h/", Dialect::V1, Some("{}"), &evil);
    let (_, headers, _) = rendered(&call, "http://h/").await;
    let names: Vec<_> = headers.iter().map(|(k, _)| k.as_str()).collect();
    let own = [
        "unanim-attempt",
        "unanim-branch",
        "unanim-deadline",
        "unanim-fence",
        "unanim-gid",
        "unanim-inquiry",
        "unanim-mode",
        "unanim-op",
    ];
    assert_eq!(names, [&["content-type", "host"][..], &own, &["x-two", "x-two"]].concat());
    assert!(headers.contains(&("content-type".into(), "application/vnd.stock+json".into())));
    assert!(headers.contains(&("unanim-gid".into(), "g".into())) && headers.contains(&("host".into(), "h".into())));
}

#[test]
fn the_door_hears_why_a_header_may_not_be_brought() {
    for (name, value, answer) in [
        ("x-tenant", "a b", Ok(())),
        ("Authorization", "Bearer x", Ok(())),
        ("traceparent", "00-1-2-01", Ok(())),
        ("UNANIM-OP", "commit", Err(BadHeader::Reserved)),
        ("Content-Length", "1", Err(BadHeader::Reserved)),
        ("te", "trailers", Err(BadHeader::Reserved)),
        ("", "x", Err(BadHeader::Name)),
        ("a:b", "x", Err(BadHeader::Name)),
        ("x", "a\nb", Err(BadHeader::Value)),
        ("x", "\0", Err(BadHeader::Value)),
    ] {
        assert_eq!(check_header(name, value), answer, "{name}: {value:?}");
    }
}

#[test]
fn numbers_are_written_in_full() {
    for number in [0, 7, 10, 99, 1_795_262_400_000, u64::MAX] {
        let mut room = BytesMut::new();
        decimal(&mut room, number);
        assert_eq!(room, number.to_string().as_bytes());
    }
}
