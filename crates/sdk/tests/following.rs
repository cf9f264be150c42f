//! Lists, histories, event streams and what a person changes, against a fake coordinator.

mod fake;

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use unanim::client::{EventKind, Filter, Resolution};
use unanim::{Client, Error, ProblemCode};

use fake::{Answer, Fake};

fn client(fake: &Fake) -> Client {
    Client::new([fake.url.as_str()]).unwrap().with_patience(Duration::from_secs(20))
}

fn event(seq: u64, kind: &str) -> Value {
    json!({"seq": seq, "at": "2026-11-21T12:00:00Z", "type": kind, "outcome": "committed"})
}

/// A stream of these, which then breaks off in the middle of another, or ends as it should.
fn stream(events: &[(u64, &str)], breaks: bool) -> Answer {
    let mut body = String::from(": ping\n\n");
    for (seq, kind) in events {
        body += &format!("id: {seq}\nevent: {kind}\ndata: {}\n\n", event(*seq, kind));
    }
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let end = if breaks { chunk("id: 99\ndata: {\"se") } else { "0\r\n\r\n".to_owned() };
    let head = "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    Answer::Bytes(format!("{head}{}{end}", chunk(&body)))
}

fn problem(status: u16, code: &str) -> String {
    json!({"status": status, "code": code, "title": "t", "detail": "d"}).to_string()
}

#[tokio::test]
async fn events_go_on_where_they_broke_off_and_end_with_the_transaction() {
    let fake = Fake::start(|number, _| match number {
        0 => stream(&[(1, "begun"), (2, "phase")], true),
        1 => Answer::RetryAfter(503, 0, problem(503, "loading")),
        2 => Answer::HangUp,
        // A drain.
        3 => stream(&[(3, "decided")], false),
        _ => stream(&[(4, "from_the_future"), (5, "finished")], false),
    });
    let mut events = client(&fake).events("a/b");
    let mut seen = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        assert_eq!(event.json::<Value>().unwrap()["outcome"], "committed");
        seen.push((event.seq, event.kind));
    }
    let future = EventKind::Other("from_the_future".into());
    let expected =
        [(1, EventKind::Begun), (2, EventKind::Phase), (3, EventKind::Decided), (4, future), (5, EventKind::Finished)];
    assert_eq!(seen, expected);
    let received = fake.received();
    assert_eq!(received[0].head, "GET /v1/transactions/a%2Fb/events");
    let ids: Vec<_> = received.iter().map(|request| request.header("last-event-id")).collect();
    assert_eq!(ids, [None, Some("2"), Some("2"), Some("2"), Some("3")]);
    assert!(events.next().await.unwrap().is_none(), "and it stays over");
}

#[tokio::test]
async fn nothing_more_to_come_is_the_end_and_a_refusal_an_error() {
    let fake = Fake::start(|_, _| Answer::Bytes("HTTP/1.1 204 x\r\n\r\n".into()));
    assert!(client(&fake).events_after("g", 9).next().await.unwrap().is_none());
    assert_eq!(fake.received()[0].header("last-event-id"), Some("9"));
    let fake = Fake::start(|_, _| Answer::Body(404, problem(404, "not_found")));
    let stream = client(&fake).events("g").into_stream();
    let all: Vec<_> = pin!(stream).collect::<Vec<_>>().await;
    assert!(matches!(&all[..], [Err(error)] if error.code() == Some(ProblemCode::NotFound)));
    let fake = Fake::start(|_, _| Answer::Body(200, "{}".into()));
    assert!(matches!(client(&fake).events("g").next().await, Err(Error::Foreign { .. })));
}

#[tokio::test]
async fn without_patience_a_break_is_told_and_the_next_call_goes_on() {
    let fake = Fake::start(|number, _| match number {
        0 => stream(&[(1, "begun")], true),
        _ => stream(&[(2, "finished")], false),
    });
    let mut events = client(&fake).with_patience(Duration::ZERO).events("g");
    assert_eq!(events.next().await.unwrap().unwrap().seq, 1);
    assert!(matches!(events.next().await, Err(Error::Lost { .. })) && !events.is_connected());
    assert_eq!(events.next().await.unwrap().unwrap().kind, EventKind::Finished);
}

#[tokio::test]
async fn pages_are_read_one_by_one() {
    let fake = Fake::start(|_, request| match request.head.as_str() {
        "GET /v1/transactions?stuck=true" => {
            let one =
                json!({"gid": "g", "mode": "two_phase", "phase": "committing", "outcome": "committed", "stuck": true});
            Answer::Body(200, json!({"transactions": [one], "next_cursor": "a b"}).to_string())
        }
        "GET /v1/transactions?stuck=true&cursor=a%20b" => {
            Answer::Body(200, json!({"transactions": [], "next_cursor": null}).to_string())
        }
        "GET /v1/transactions/g/history" => {
            Answer::Body(200, json!({"events": [event(1, "begun")], "next_cursor": null}).to_string())
        }
        _ => Answer::Body(404, problem(404, "not_found")),
    });
    let (client, filter) = (client(&fake), Filter { stuck: Some(true), ..Filter::default() });
    let first = client.list(&filter, None).await.unwrap();
    assert!(first.items[0].gid == "g" && first.items[0].stuck);
    let last = client.list(&filter, first.next_cursor.as_deref()).await.unwrap();
    assert!(last.items.is_empty() && last.next_cursor.is_none());
    let history = client.history("g", None).await.unwrap();
    assert_eq!((history.items[0].seq, &history.items[0].kind), (1, &EventKind::Begun));
    assert_eq!(history.items[0].body.get(), event(1, "begun").to_string());
}

#[tokio::test]
async fn what_a_person_changes() {
    let view = json!({"gid": "g", "mode": "two_phase", "phase": "committing", "outcome": "committed"}).to_string();
    let fake = Fake::start(move |_, request| match request.head.starts_with("DELETE") {
        true => Answer::Bytes("HTTP/1.1 204 x\r\n\r\n".into()),
        false => Answer::Body(200, view.clone()),
    });
    let client = client(&fake);
    client.retry("g").await.unwrap();
    client.resolve("g", "a b", &Resolution::rolled_back("it burned down", "alice")).await.unwrap();
    client.forget("g").await.unwrap();
    let seen: Vec<_> = fake.received().into_iter().map(|request| (request.head, request.body)).collect();
    let resolution = r#"{"outcome":"rolled_back","reason":"it burned down","by":"alice"}"#;
    let expected = [
        ("POST /v1/transactions/g/retry", ""),
        ("POST /v1/transactions/g/branches/a%20b/resolve", resolution),
        ("DELETE /v1/transactions/g", ""),
    ];
    assert_eq!(seen, expected.map(|(head, body)| (head.to_owned(), body.to_owned())));
}
