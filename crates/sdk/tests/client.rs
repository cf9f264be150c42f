//! The client against a fake coordinator: what it sends, when it sends it again, what its errors are.

mod fake;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use unanim::{Branch, Client, Error, Outcome, ProblemCode, Submission, Wait};

use fake::{Answer, Fake};

const NOBODY: &str = "http://127.0.0.1:1";

fn view(outcome: &str) -> String {
    json!({"gid": "g", "mode": "two_phase", "phase": "preparing", "outcome": outcome, "reason": null}).to_string()
}

fn problem(status: u16, code: &str) -> String {
    let errors = json!([{"pointer": "/branches/0/endpoint", "code": "no_url", "detail": "it has no scheme"}]);
    json!({"type": format!("/docs/errors/{code}"), "title": "t", "status": status, "detail": "what is wrong", "code": code,
           "gid": "g", "errors": errors, "retryable": false})
    .to_string()
}

fn order() -> Submission {
    Submission::new().branch(Branch::new("a", "http://127.0.0.1:1/").payload(json!({"n": 1})))
}

fn client(addresses: &[&str], patience: Duration) -> Client {
    Client::new(addresses.iter().copied()).unwrap().with_patience(patience)
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn the_same_request_is_sent_again_until_it_is_answered() {
    let fake = Fake::start(|number, _| match number {
        0 => Answer::RetryAfter(503, 0, problem(503, "loading")),
        1 => Answer::HangUp,
        2 => Answer::Bytes("HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\n{\"gid\":".into()),
        3 => Answer::RetryAfter(429, 0, problem(429, "too_many_open")),
        4 => Answer::Body(202, view("undecided")),
        _ => Answer::Body(200, view("committed")),
    });
    let told = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = told.clone();
    let client = client(&[&fake.url], LONG).on_retry(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let order = order();
    assert_eq!(client.submit(&order, Wait::Decided).await.unwrap().outcome, Outcome::Committed);
    assert_eq!(told.load(std::sync::atomic::Ordering::Relaxed), 4);
    let received = fake.received();
    assert_eq!(received.len(), 6);
    for request in &received {
        assert_eq!(request.body, received[0].body);
        assert!(request.head.starts_with("POST /v1/transactions?wait=decided&timeout_ms="), "{}", request.head);
    }
    assert_eq!(serde_json::from_str::<Value>(&received[0].body).unwrap()["gid"], order.gid());
}

#[tokio::test]
async fn a_server_says_when_to_come_back() {
    let fake = Fake::start(|number, _| match number {
        0 => Answer::RetryAfter(503, 1, problem(503, "draining")),
        _ => Answer::Body(200, view("aborted")),
    });
    let began = Instant::now();
    assert_eq!(client(&[&fake.url], LONG).submit(&order(), Wait::Finished).await.unwrap().outcome, Outcome::Aborted);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_address_that_fails_gives_way_to_the_next_at_once() {
    let down = Fake::start(|_, _| Answer::RetryAfter(503, 30, problem(503, "loading")));
    let fake = Fake::start(|_, _| Answer::Body(200, view("committed")));
    // Without patience each is tried once.
    let client = client(&[NOBODY, &down.url, &fake.url], Duration::ZERO);
    for _ in 0..3 {
        assert_eq!(client.get("g").await.unwrap().outcome, Outcome::Committed);
    }
    assert_eq!((down.received().len(), fake.received().len()), (1, 3), "what answered is asked first");
}

#[tokio::test]
async fn it_gives_up_in_time_and_says_why() {
    let began = Instant::now();
    let error = client(&[NOBODY], SHORT).submit(&order(), Wait::Finished).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { address, .. } if address == NOBODY), "{error}");
    let fake = Fake::start(|_, _| Answer::HangUp);
    let error = client(&[&fake.url], SHORT).submit(&order(), Wait::Finished).await.unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error}");
    let fake = Fake::start(|_, _| Answer::RetryAfter(503, 1, problem(503, "disk_full")));
    let error = client(&[&fake.url], SHORT).submit(&order(), Wait::Finished).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::DiskFull));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // What is accepted and does not end in time is no error.
    let fake = Fake::start(|_, _| Answer::Body(202, view("undecided")));
    let ended = client(&[&fake.url], SHORT).submit(&order(), Wait::Finished).await.unwrap();
    assert_eq!(ended.outcome, Outcome::Undecided);
}

#[tokio::test]
async fn what_is_wrong_is_not_sent_again() {
    for (status, code) in
        [(400, "invalid_request"), (409, "gid_conflict"), (404, "not_found"), (401, "unauthenticated")]
    {
        let fake = Fake::start(move |_, _| Answer::Body(status, problem(status, code)));
        let error = client(&[&fake.url, NOBODY], LONG).submit(&order(), Wait::None).await.unwrap_err();
        assert_eq!(error.code().map(ProblemCode::code), Some(code));
        let expected = format!("{code} ({status}): what is wrong\n  at /branches/0/endpoint: no_url: it has no scheme");
        assert_eq!((error.to_string(), fake.heads()), (expected, vec!["POST /v1/transactions".to_owned()]));
    }
    let fake = Fake::start(|_, _| Answer::Body(400, problem(400, "from_the_future")));
    let error = client(&[&fake.url], LONG).get("g").await.unwrap_err();
    assert!(error.code().is_none() && error.to_string().starts_with("from_the_future (400)"), "{error}");
    // A proxy says that its server is away, in its own words.
    let fake = Fake::start(|number, _| match number {
        0 => Answer::Body(503, "<html>".into()),
        _ => Answer::Body(200, view("committed")),
    });
    assert_eq!(client(&[&fake.url], LONG).get("g").await.unwrap().outcome, Outcome::Committed);
    let fake = Fake::start(|_, _| Answer::Body(502, "<html>".into()));
    assert!(matches!(client(&[&fake.url], LONG).get("g").await, Err(Error::Foreign { .. })));
    let fake = Fake::start(|_, _| Answer::Body(200, "[]".into()));
    assert!(matches!(client(&[&fake.url], LONG).get("g").await, Err(Error::Invalid(_))));
    let error = client(&[NOBODY], LONG).submit_raw("{}".into(), Wait::None).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
}

#[tokio::test]
async fn step_by_step_with_a_token() {
    let fake = Fake::start(|_, request| match request.header("authorization") {
        Some("Bearer s3cret") if request.head.ends_with("/outcome") => Answer::Body(200, view("aborted")),
        Some("Bearer s3cret") => Answer::Body(202, view("undecided")),
        _ => Answer::Body(401, problem(401, "unauthenticated")),
    });
    let client = Client::builder().token("s3cret").build([fake.url.as_str()]).unwrap();
    client.begin(&Submission::with_gid("a/b")).await.unwrap();
    client.add_branches("a/b", &[Branch::new("x", "http://x/")]).await.unwrap();
    client.commit("a/b", Wait::None).await.unwrap();
    client.rollback("a/b", Wait::None).await.unwrap();
    assert_eq!(client.outcome("a/b").await.unwrap(), Outcome::Aborted);
    let received = fake.received();
    let seen: Vec<_> = received.iter().map(|request| (request.head.as_str(), request.body.as_str())).collect();
    let expected = [
        ("POST /v1/transactions", r#"{"gid":"a/b","mode":"two_phase","start":false,"branches":[]}"#),
        ("POST /v1/transactions/a%2Fb/branches", r#"{"branches":[{"id":"x","endpoint":"http://x/"}]}"#),
        ("POST /v1/transactions/a%2Fb/commit", ""),
        ("POST /v1/transactions/a%2Fb/rollback", ""),
        ("GET /v1/transactions/a%2Fb/outcome", ""),
    ];
    assert_eq!(seen, expected);
    let error = Client::new([fake.url.as_str()]).unwrap().get("a/b").await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::Unauthenticated));
    assert!(!format!("{client:?}").contains("s3cret"));
}

#[tokio::test]
async fn what_is_gone_after_a_lost_answer_is_forgotten() {
    let gone = |number, _: &_| match number {
        0 => Answer::RetryAfter(503, 0, problem(503, "loading")),
        1 => Answer::HangUp,
        _ => Answer::Body(404, problem(404, "not_found")),
    };
    let fake = Fake::start(gone);
    client(&[&fake.url], LONG).forget("g").await.unwrap();
    assert_eq!(fake.heads(), ["DELETE /v1/transactions/g"; 3]);
    // Nobody can have forgotten it before it was asked.
    let fake = Fake::start(move |number, request| if number == 1 { gone(2, request) } else { gone(0, request) });
    let error = client(&[&fake.url], LONG).forget("g").await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::NotFound));
}
