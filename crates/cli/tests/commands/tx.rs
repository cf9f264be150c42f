//! `unanim tx` against a fake coordinator: what it sends, when it sends it again, what it says.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::fake::{Answer, Fake};
use crate::support::unanim;

const BRANCHES: &str = r#"{"branches": [{"id": "a", "endpoint": "http://127.0.0.1:1/", "payload": {"b":1.50,"a":1}}]}"#;

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs `unanim tx` with this on standard input.
fn tx(server: &str, args: &[&str], input: &str) -> Ran {
    let mut command = unanim();
    command.arg("tx").args(args).args(["--server", server]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

pub(crate) fn view(outcome: &str) -> String {
    json!({"gid": "order-17", "mode": "two_phase", "phase": outcome, "outcome": outcome, "reason": null, "stuck": false,
           "branches": [{"id": "a", "participant": "http://127.0.0.1:1", "state": "done", "op": "commit", "attempts": 2,
                         "last": {"at": "2026-11-21T11:59:59Z", "code": "ok"}, "next_at": null}]})
    .to_string()
}

fn problem(status: u16, code: &str) -> String {
    json!({"type": format!("/docs/errors/{code}"), "title": "t", "status": status, "detail": "what is wrong", "code": code,
           "errors": [{"pointer": "/branches/0/endpoint", "code": "no_url", "detail": "it has no scheme"}], "retryable": false})
    .to_string()
}

#[test]
fn the_exit_code_tells_the_outcome() {
    for (outcome, code) in [("committed", 0), ("aborted", 2), ("undecided", 3)] {
        let fake = Fake::start(move |_, _| Answer::Body(200, view(outcome)));
        let ran = tx(&fake.url, &["submit", "-"], BRANCHES);
        assert_eq!(ran.code, Some(code), "{}", ran.err);
        assert!(ran.out.starts_with(&format!("order-17 {outcome}")), "{}", ran.out);
        assert!(ran.out.contains("attempts"), "{}", ran.out);
        assert!(fake.received()[0].head.starts_with("POST /v1/transactions?wait=finished&timeout_ms="));
    }
}

#[test]
fn the_same_request_is_sent_again_after_503_and_after_a_lost_answer() {
    let fake = Fake::start(|number, _| match number {
        0 => Answer::RetryAfter(503, 0, problem(503, "loading")),
        1 => Answer::HangUp,
        2 => Answer::Body(202, view("undecided")),
        _ => Answer::Body(200, view("committed")),
    });
    let ran = tx(&fake.url, &["submit", "-"], BRANCHES);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let bodies: Vec<_> = fake.received().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies.len(), 4);
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!(serde_json::from_str::<Value>(&bodies[0]).unwrap()["gid"].as_str().unwrap().len(), 36);
    assert!(bodies[0].ends_with(&BRANCHES[1..]), "the rest keeps its bytes: {}", bodies[0]);
}

#[test]
fn it_gives_up_in_time() {
    let fake = Fake::start(|_, _| Answer::RetryAfter(503, 1, problem(503, "disk_full")));
    let ran = tx(&fake.url, &["submit", "-", "--timeout", "300ms"], BRANCHES);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("disk_full (503)"), "{}", ran.err);
    let fake = Fake::start(|_, _| Answer::Body(202, view("undecided")));
    assert_eq!(tx(&fake.url, &["submit", "-", "--timeout", "300ms"], BRANCHES).code, Some(3));
}

#[test]
fn nothing_is_waited_for_when_nothing_is_to_be() {
    let fake = Fake::start(|_, _| Answer::Body(202, view("undecided")));
    assert_eq!(tx(&fake.url, &["submit", "-", "--wait", "none"], BRANCHES).code, Some(3));
    let heads: Vec<_> = fake.received().into_iter().map(|request| request.head).collect();
    assert_eq!(heads, ["POST /v1/transactions"]);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let ran = tx("http://127.0.0.1:1", &["submit", "-", "--timeout", "200ms"], BRANCHES);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("cannot reach http://127.0.0.1:1"), "{}", ran.err);
    assert!(ran.err.contains("Connection refused"), "{}", ran.err);
}

#[test]
fn bad_json_says_where() {
    let ran = tx("http://127.0.0.1:1", &["submit", "-"], "{\n  \"branches\" [] }");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("standard input") && ran.err.contains("line 2 column 14"), "{}", ran.err);
    let ran = tx("http://127.0.0.1:1", &["submit", "/nowhere/at-all.json"], "");
    assert!(ran.err.contains("cannot read /nowhere/at-all.json"), "{}", ran.err);
}

#[test]
fn a_problem_is_shown_with_its_code_and_pointers() {
    let fake = Fake::start(|_, _| Answer::Body(400, problem(400, "invalid_request")));
    let ran = tx(&fake.url, &["submit", "-"], BRANCHES);
    assert_eq!(ran.code, Some(1));
    for part in ["invalid_request (400): what is wrong", "at /branches/0/endpoint: no_url: it has no scheme"] {
        assert!(ran.err.contains(part), "{part} is not in {}", ran.err);
    }
    let fake = Fake::start(|_, _| Answer::Body(502, "<html>".into()));
    assert!(tx(&fake.url, &["submit", "-"], BRANCHES).err.contains("not as a Unanim server does"));
}

#[test]
fn get_reads_any_gid_and_shows_the_token() {
    let fake = Fake::start(|_, request| match request.header("authorization") {
        Some("Bearer s3cret") => Answer::Body(200, view("committed")),
        _ => Answer::Body(401, problem(401, "unauthenticated")),
    });
    let mut token = tempfile::NamedTempFile::new().unwrap();
    writeln!(token, "s3cret").unwrap();
    let with_token = ["--token-file", token.path().to_str().unwrap()];
    let ran = tx(&fake.url, &[&["get", "a/b c"], &with_token[..]].concat(), "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("127.0.0.1:1 "), "{}", ran.out);
    assert_eq!(fake.received()[0].head, "GET /v1/transactions/a%2Fb%20c");
    let ran = tx(&fake.url, &[&["get", "x", "--json"], &with_token[..]].concat(), "");
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["gid"], "order-17");
    assert_eq!(tx(&fake.url, &["get", "x"], "").code, Some(1));
}
