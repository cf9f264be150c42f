//! Accounts in SQLite behind the axum router, called as a coordinator calls; and what it asks in doubt.

mod fake;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use unanim::http::Http;
use unanim::participant::{Ack, Call, Error, InDoubt, Mark, Notice, Op, Vote};
use unanim::sqlite::{Accounts, Balances, Branches};
use unanim::{Participant, ResourceManager};

use fake::{Answer, Fake};

const PAYLOAD: &str = r#"{"account":"widgets","amount":-2}"#;
const LONG: Duration = Duration::from_secs(20);

fn open(folder: &Path) -> Branches {
    Branches::open(&folder.join("stock.db"), Accounts::new([("widgets", 100)])).unwrap()
}

fn stock(widgets: i64, held: i64) -> Balances {
    Balances { accounts: [("widgets".to_owned(), widgets)].into(), held }
}

async fn balances(branches: &Branches) -> Balances {
    branches.read(Accounts::balances).await.unwrap()
}

/// Serves it by axum, on a port of its own; the URL.
async fn served(participant: &Participant<Branches>) -> String {
    let router = axum::Router::new().nest("/tx", participant.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/tx", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// What a coordinator gets for a call with these headers.
async fn post(url: &str, headers: &[(&str, &str)], payload: impl Into<Bytes>) -> (u16, Value) {
    let mut request = hyper::Request::builder().method(Method::POST).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let request = request.body(http_body_util::Full::new(payload.into())).unwrap();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn call(url: &str, op: &str, gid: &str, more: &[(&str, &str)]) -> (u16, Value) {
    let headers = [("unanim-op", op), ("unanim-gid", gid), ("unanim-branch", "b")];
    post(url, &[&headers[..], more].concat(), PAYLOAD).await
}

fn done() -> (u16, Value) {
    (200, json!({"result": "success"}))
}

#[tokio::test]
async fn calls_are_answered_as_the_protocol_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let participant = Participant::new(open(folder.path()));
    let url = served(&participant).await;
    for op in ["prepare", "prepare", "commit", "commit", "prepare"] {
        assert_eq!(call(&url, op, "a", &[]).await, done());
    }
    assert_eq!(call(&url, "rollback", "a", &[]).await.0, 409);
    assert_eq!(call(&url, "rollback", "late%2F1", &[]).await, done());
    let (status, body) = call(&url, "prepare", "late%2F1", &[]).await;
    assert_eq!((status, &body["result"]), (409, &json!("failed")));
    assert_eq!(call(&url, "commit", "never", &[]).await.0, 409);
    assert_eq!(call(&format!("{url}/commit_one_phase"), "commit_one_phase", "one", &[]).await, done());
    assert_eq!(balances(participant.manager()).await, stock(96, 0));

    let dear = [("unanim-op", "prepare"), ("unanim-gid", "dear"), ("unanim-branch", "b")];
    let (status, body) = post(&url, &dear, r#"{"account":"widgets","amount":-97}"#).await;
    assert_eq!((status, body), (200, json!({"result": "failed", "detail": "widgets has 96 free, not 97"})));
    assert_eq!(post(&url, &dear, PAYLOAD).await.0, 409, "its no is remembered");
    let odd = [("unanim-op", "prepare"), ("unanim-gid", "odd"), ("unanim-branch", "b")];
    let (status, body) = post(&url, &odd, "[]").await;
    assert_eq!((status, &body["result"]), (422, &json!("failed")), "{body}");
    assert_eq!(post(&url, &dear[..2], "{}").await, (400, json!({"detail": "the header unanim-branch is missing"})));
    assert_eq!(post(&url, &dear, vec![b' '; (1 << 20) + 1]).await.0, 413);
    let all = [("unanim-op", "prepare"), ("unanim-gid", "all"), ("unanim-branch", "b")];
    assert_eq!(post(&url, &all, r#"{"account":"widgets","amount":-96}"#).await, done());
}

#[tokio::test]
async fn a_deadline_that_is_over_is_a_no_and_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let participant = Participant::new(open(folder.path()));
    let url = served(&participant).await;
    let (status, body) = call(&url, "prepare", "a", &[("unanim-deadline", "0")]).await;
    assert_eq!((status, &body["result"]), (200, &json!("failed")), "{body}");
    assert_eq!(balances(participant.manager()).await, stock(100, 0));
    // From its first call on no deadline holds for a single call, nor for a decision.
    assert_eq!(call(&url, "commit_one_phase", "b", &[("unanim-deadline", "0")]).await, done());
    assert_eq!(call(&url, "prepare", "a", &[("unanim-deadline", "60000")]).await, done());
    assert_eq!(call(&url, "commit", "a", &[("unanim-deadline", "0")]).await, done());
}

#[tokio::test]
async fn what_was_overtaken_is_stale_within_one_store_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let participant = Participant::new(open(folder.path()));
    let url = served(&participant).await;
    let inquiry = |store: &str| format!("http://c/v1/transactions/a/outcome?branch=b&store={store}&key=k");
    let (ours, other) = (inquiry("one"), inquiry("two"));
    let mark =
        |fence, attempt, inquiry| [("unanim-fence", fence), ("unanim-attempt", attempt), ("unanim-inquiry", inquiry)];
    assert_eq!(call(&url, "prepare", "a", &mark("7", "2", &ours)).await, done());
    assert_eq!(call(&url, "prepare", "a", &mark("7", "1", &ours)).await.0, 412);
    assert_eq!(call(&url, "rollback", "a", &mark("8", "1", &ours)).await, done());
    assert_eq!(call(&url, "prepare", "a", &mark("7", "3", &ours)).await.0, 412);
    assert_eq!(call(&url, "prepare", "a", &mark("8", "2", &ours)).await.0, 409);
    assert_eq!(call(&url, "prepare", "a", &mark("1", "1", &other)).await.0, 409, "marks of another store say nothing");
    assert_eq!(call(&url, "rollback", "a", &mark("1", "2", &other)).await, done(), "so it is");
    assert_eq!(
        post(&url, &[("unanim-op", "commit"), ("unanim-gid", "a"), ("unanim-branch", "b"), ("unanim-fence", "x")], "")
            .await
            .0,
        400
    );
}

/// Polls until it is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < LONG, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn in_doubt_it_asks_until_it_is_told_and_tells_of_another_coordinator_once() {
    let fake = Fake::start(|number, _| match number {
        0 | 1 => Answer::Body(421, json!({"code": "wrong_coordinator", "outcome": "aborted"}).to_string()),
        2 => Answer::RetryAfter(200, 1, json!({"outcome": "undecided"}).to_string()),
        3 => Answer::HangUp,
        _ => Answer::Body(200, json!({"outcome": "committed"}).to_string()),
    });
    let folder = tempfile::tempdir().unwrap();
    let inquiry = format!("{}/v1/transactions/a/outcome?branch=b&store=s&key=secret", fake.url);
    {
        let before = open(folder.path());
        let call = Call::new(Op::Prepare, "a", "b").with_payload(PAYLOAD).with_inquiry(Some(inquiry));
        before.prepare(&call).await.unwrap();
    }
    // The URL was kept with the prepared state: it asks after a restart.
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = notices.clone();
    let participant = Participant::new(open(folder.path()))
        .inquire_after(Duration::ZERO)
        .on_notice(move |notice| told.lock().unwrap().push(notice.clone()));
    let asking = tokio::spawn(participant.clone().inquire(Http::new(None).unwrap()));
    let began = Instant::now();
    until("the third question", async || fake.received().len() >= 3).await;
    assert_eq!(balances(participant.manager()).await, stock(100, 2), "it holds");
    until("the commit", async || balances(participant.manager()).await == stock(98, 0)).await;
    assert!(
        began.elapsed() > Duration::from_millis(1600),
        "pauses grow, and the server's wish counts: {:?}",
        began.elapsed()
    );
    let url = format!("{}/v1/transactions/a/outcome", fake.url);
    let (gid, branch) = ("a".to_owned(), "b".to_owned());
    let expected = [
        Notice::WrongCoordinator { gid: gid.clone(), branch: branch.clone(), url },
        Notice::Told { op: Op::Commit, gid, branch },
    ];
    until("the second notice", async || notices.lock().unwrap().len() >= 2).await;
    assert_eq!(*notices.lock().unwrap(), expected);
    asking.abort();
}

/// A manager that holds one branch, for ever: its `commit` reads a payload that nobody sends.
struct Forgetful(String);

impl ResourceManager for Forgetful {
    async fn prepare(&self, _: &Call) -> Result<Vote, Error> {
        Ok(Vote::Yes)
    }

    async fn commit(&self, call: &Call) -> Result<Ack, Error> {
        call.json::<u32>().map(|_| Ack::Done)
    }

    async fn rollback(&self, _: &Call) -> Result<Ack, Error> {
        Err(Error::Conflict("committed".into()))
    }

    async fn in_doubt(&self, _: Duration, _: usize) -> Result<Vec<InDoubt>, Error> {
        Ok(vec![InDoubt { gid: "a".into(), branch: "b".into(), inquiry: Some(self.0.clone()) }])
    }
}

#[tokio::test]
async fn what_cannot_be_ended_as_the_inquiry_says_is_told_once_for_each_error() {
    let fake = Fake::start(|number, _| {
        let outcome = if number < 3 { "committed" } else { "aborted" };
        Answer::Body(200, json!({"outcome": outcome}).to_string())
    });
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = notices.clone();
    let participant = Participant::new(Forgetful(format!("{}/outcome", fake.url)))
        .inquire_after(Duration::ZERO)
        .on_notice(move |notice| told.lock().unwrap().push(notice.to_string()));
    let asking = tokio::spawn(participant.inquire(Http::new(None).unwrap()));
    until("the fifth question", async || fake.received().len() >= 5).await;
    asking.abort();
    let notices = notices.lock().unwrap();
    let [failed, contradicts] = &notices[..] else { panic!("{notices:?}") };
    let expected =
        r#"asked about "a", branch "b", and was told: commit; it stays held, because that failed: the payload: "#;
    assert!(failed.starts_with(expected), "{failed}");
    assert_eq!(contradicts, r#"CONTRADICTION: rollback of "a", branch "b": committed"#);
}

#[tokio::test]
async fn a_contradiction_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = notices.clone();
    let participant =
        Participant::new(open(folder.path())).on_notice(move |it| told.lock().unwrap().push(it.to_string()));
    participant.answer_call(Call::new(Op::Commit, "a", "b")).await;
    assert_eq!(*notices.lock().unwrap(), [r#"CONTRADICTION: commit of "a", branch "b": never prepared here"#]);
}

#[tokio::test]
async fn a_promise_to_one_coordinator_is_not_ended_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = notices.clone();
    let participant = Participant::new(open(folder.path())).on_notice(move |it| told.lock().unwrap().push(it.clone()));
    let work = async |store: &str, op, attempt| {
        let mut call = Call::new(op, "order-17", "b").with_payload(PAYLOAD);
        call.mark = Some(Mark { store: store.to_owned(), fence: 1, attempt });
        participant.answer_call(call).await.status().as_u16()
    };
    let all = [Op::Prepare, Op::Rollback, Op::Commit, Op::CommitOnePhase];
    assert_eq!(work("ours", Op::Prepare, 1).await, 200);
    for op in all {
        assert_eq!(work("other", op, 9).await, 409, "{op:?}");
        assert_eq!(balances(participant.manager()).await, stock(100, 2));
    }
    assert_eq!(work("ours", Op::Commit, 2).await, 200);
    for op in all {
        assert_eq!(work("other", op, 9).await, 409, "{op:?} of what is committed");
    }
    assert_eq!(work("ours", Op::Commit, 3).await, 200, "the mark is still that of its coordinator");
    assert_eq!(balances(participant.manager()).await, stock(98, 0));
    let other = |op| Notice::OtherCoordinator { op, gid: "order-17".into(), branch: "b".into(), store: "other".into() };
    let expected: Vec<_> = all.into_iter().chain(all).map(other).collect();
    assert_eq!(*notices.lock().unwrap(), expected);
    let said = expected[1].to_string();
    assert!(
        said.starts_with(r#"rollback of "order-17", branch "b", by the coordinator with the store "other": "#),
        "{said}"
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let participant = Participant::new(open(folder.path()));
    let call = Call::new(Op::Prepare, "a", "b").with_payload(PAYLOAD);
    {
        let mut answer = std::pin::pin!(participant.answer_call(call));
        std::future::poll_fn(|context| {
            let _ = answer.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    until("the call of the caller who left", async || balances(participant.manager()).await == stock(100, 2)).await;
}

#[tokio::test]
async fn a_hook_sees_what_is_durable_and_a_broken_database_refuses_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, broken) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (ops, errors) = (seen.clone(), broken.clone());
    let branches = Branches::options()
        .on_durable(move |op| ops.lock().unwrap().push(op))
        .on_broken(move |error| errors.lock().unwrap().push(error.to_string()))
        .open(&folder.path().join("stock.db"), Accounts::new([("widgets", 100)]))
        .unwrap();
    let call = Call::new(Op::Prepare, "a", "b").with_payload(PAYLOAD);
    branches.prepare(&call).await.unwrap();
    branches.prepare(&call).await.unwrap();
    branches.rollback(&call).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [Op::Prepare, Op::Rollback], "what changed nothing is not told");
    assert!(branches.read(|db| db.execute("no sql", [])).await.is_err());
    // From here on no row can be written.
    branches.read(|db| db.execute_batch("DROP TABLE unanim_branches")).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(branches.prepare(&call).await, Err(Error::Unavailable { .. })));
    }
    assert_eq!(broken.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_what_is_held_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let branches = open(folder.path());
    for gid in ["a", "b", "c"] {
        branches.prepare(&Call::new(Op::Prepare, gid, "x").with_payload(PAYLOAD)).await.unwrap();
    }
    branches.commit(&Call::new(Op::Commit, "a", "x")).await.unwrap();
    branches.rollback(&Call::new(Op::Rollback, "b", "x")).await.unwrap();
    assert_eq!(branches.forget(Duration::from_secs(3600)).await, Ok(0));
    assert_eq!(branches.forget(Duration::ZERO).await, Ok(2));
    let left = branches.read(unanim::sqlite::states).await.unwrap();
    assert_eq!(left, [("c".to_owned(), "prepared".to_owned())].into());
}
