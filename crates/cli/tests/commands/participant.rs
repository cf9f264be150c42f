//! `unanim demo-participant` over HTTP: repeated, reordered, killed and restarted.

use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Listening, http, wait_until};

const PAYLOAD: &str = r#"{"account":"widgets","amount":-2}"#;

/// One participant with a hundred widgets, in a folder that may have been used before.
fn start(folder: &Path, more: &[&str]) -> Listening {
    let folder = folder.to_str().expect("a temp folder is UTF-8");
    let base = ["demo-participant", "--listen", "127.0.0.1:0", "--data-dir", folder, "--name", "stock"];
    let accounts = ["--account", "widgets=100", "--inquire-after", "1h"];
    Listening::start(&[&base[..], &accounts, more].concat())
}

fn call(participant: &Listening, op: &str, gid: &str, payload: &str) -> (u16, Value) {
    try_call(participant, op, gid, payload).expect("an answer")
}

fn try_call(participant: &Listening, op: &str, gid: &str, payload: &str) -> std::io::Result<(u16, Value)> {
    let headers = [("unanim-op", op), ("unanim-gid", gid), ("unanim-branch", "b")];
    let (status, body) = http(&participant.address, "POST /tx", &headers, payload)?;
    Ok((status, serde_json::from_str(&body).expect(&body)))
}

fn books(participant: &Listening) -> Value {
    let (status, body) = http(&participant.address, "GET /books", &[], "").expect("an answer");
    assert_eq!(status, 200);
    serde_json::from_str(&body).expect(&body)
}

fn state(widgets: i64, held: i64, transactions: Value) -> Value {
    json!({"name": "stock", "accounts": {"widgets": widgets}, "held": held, "transactions": transactions})
}

#[test]
fn repeated_calls_count_once() {
    let folder = tempfile::tempdir().unwrap();
    let stock = start(folder.path(), &[]);
    for _ in 0..3 {
        assert_eq!(call(&stock, "prepare", "a", PAYLOAD), (200, json!({"result": "success"})));
    }
    assert_eq!(books(&stock), state(100, 2, json!({"a": "prepared"})));
    for op in ["commit", "commit", "prepare", "commit"] {
        assert_eq!(call(&stock, op, "a", PAYLOAD).0, 200);
    }
    assert_eq!(books(&stock), state(98, 0, json!({"a": "committed"})));
}

#[test]
fn a_tombstone_refuses_a_late_prepare_also_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut stock = start(folder.path(), &[]);
    assert_eq!(call(&stock, "rollback", "late", PAYLOAD).0, 200);
    stock.kill9();
    let stock = start(folder.path(), &[]);
    let (status, body) = call(&stock, "prepare", "late", PAYLOAD);
    assert_eq!((status, &body["result"]), (409, &json!("failed")));
    assert_eq!(call(&stock, "rollback", "late", PAYLOAD).0, 200);
    assert_eq!(books(&stock), state(100, 0, json!({"late": "rolled_back"})));
}

#[test]
fn what_was_prepared_survives_kill_9_and_the_restart_gives_no_new_balance() {
    let folder = tempfile::tempdir().unwrap();
    let mut stock = start(folder.path(), &[]);
    for gid in ["x", "y", "z"] {
        assert_eq!(call(&stock, "prepare", gid, PAYLOAD).0, 200);
    }
    assert_eq!(call(&stock, "commit", "x", PAYLOAD).0, 200);
    stock.kill9();
    let stock = start(folder.path(), &[]);
    assert_eq!(books(&stock), state(98, 4, json!({"x": "committed", "y": "prepared", "z": "prepared"})));
    assert_eq!(call(&stock, "commit", "y", "").0, 200);
    assert_eq!(call(&stock, "rollback", "z", "").0, 200);
    assert_eq!(books(&stock), state(96, 0, json!({"x": "committed", "y": "committed", "z": "rolled_back"})));
}

#[test]
fn a_vote_needs_what_it_reserves_and_holds_count() {
    let folder = tempfile::tempdir().unwrap();
    let stock = start(folder.path(), &[]);
    assert_eq!(call(&stock, "prepare", "most", r#"{"account":"widgets","amount":-99}"#).0, 200);
    let (status, body) = call(&stock, "prepare", "more", PAYLOAD);
    assert_eq!(
        (status, &body["result"], &body["detail"]),
        (200, &json!("failed"), &json!("widgets has 1 free, not 2"))
    );
    // An amount that will come in is no cover before it is committed.
    assert_eq!(call(&stock, "prepare", "in", r#"{"account":"widgets","amount":50}"#).0, 200);
    assert_eq!(call(&stock, "prepare", "more-yet", PAYLOAD).1["result"], "failed");
    assert_eq!(call(&stock, "commit", "in", "").0, 200);
    assert_eq!(call(&stock, "prepare", "covered", PAYLOAD).1["result"], "success");
    assert_eq!(call(&stock, "prepare", "more", PAYLOAD).0, 409, "its no is remembered");
    assert_eq!(call(&stock, "prepare", "who", r#"{"account":"gadgets","amount":1}"#).1["result"], "failed");
    assert_eq!(call(&stock, "prepare", "odd", r#"{"account":7}"#).0, 422);
}

#[test]
fn calls_that_contradict_are_conflicts() {
    let folder = tempfile::tempdir().unwrap();
    let stock = start(folder.path(), &[]);
    assert_eq!(call(&stock, "commit", "never", PAYLOAD).0, 409);
    assert_eq!(call(&stock, "prepare", "a", PAYLOAD).0, 200);
    assert_eq!(call(&stock, "prepare", "a", r#"{"account":"widgets","amount":-3}"#).0, 409);
    assert_eq!(call(&stock, "commit", "a", PAYLOAD).0, 200);
    assert_eq!(call(&stock, "rollback", "a", PAYLOAD).0, 409);
    assert_eq!(call(&stock, "rollback", "b", PAYLOAD).0, 200);
    assert_eq!(call(&stock, "commit", "b", PAYLOAD).0, 409);
    assert_eq!(call(&stock, "action", "c", PAYLOAD).0, 400);
    assert_eq!(books(&stock), state(98, 0, json!({"a": "committed", "b": "rolled_back"})));
}

#[test]
fn one_phase_is_prepare_and_commit_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let stock = start(folder.path(), &[]);
    assert_eq!(call(&stock, "commit_one_phase", "a", PAYLOAD).0, 200);
    assert_eq!(call(&stock, "commit_one_phase", "a", PAYLOAD).0, 200);
    assert_eq!(call(&stock, "commit_one_phase", "b", r#"{"account":"widgets","amount":-99}"#).1["result"], "failed");
    assert_eq!(books(&stock), state(98, 0, json!({"a": "committed", "b": "rolled_back"})));
}

#[test]
fn classic_calls_work_on_the_classic_account() {
    let folder = tempfile::tempdir().unwrap();
    let stock = start(folder.path(), &["--classic-account", "widgets", "--classic-amount", "-5"]);
    let classic = |path: &str| http(&stock.address, &format!("POST /transaction/{path}"), &[], "").expect("an answer");
    assert_eq!(classic("g%201/prepare"), (200, r#"{"result":"success"}"#.to_owned()));
    assert_eq!(books(&stock), state(100, 5, json!({"g 1": "prepared"})));
    assert_eq!(classic("g%201/commit").0, 200);
    assert_eq!(classic("two/rollback").0, 200);
    assert_eq!(classic("two/prepare").0, 409);
    assert_eq!(books(&stock), state(95, 0, json!({"g 1": "committed", "two": "rolled_back"})));
}

#[test]
fn faults_come_as_ordered_and_end_with_their_count() {
    let folder = tempfile::tempdir().unwrap();
    let stock = start(folder.path(), &["--fail", "prepare:1", "--fail", "commit:2"]);
    assert_eq!(call(&stock, "prepare", "a", PAYLOAD).1["result"], "failed");
    assert_eq!(call(&stock, "prepare", "a", PAYLOAD).1["result"], "success");
    assert_eq!(call(&stock, "commit", "a", PAYLOAD).0, 500);
    assert_eq!(call(&stock, "commit", "a", PAYLOAD).0, 500);
    assert_eq!(books(&stock)["held"], 2);
    assert_eq!(call(&stock, "commit", "a", PAYLOAD).0, 200);
}

#[test]
fn crash_after_dies_once_it_is_durable_and_before_it_answers() {
    for (op, expected) in [("prepare", "prepared"), ("commit", "committed"), ("rollback", "rolled_back")] {
        let folder = tempfile::tempdir().unwrap();
        let mut stock = start(folder.path(), &["--crash-after", op]);
        if op == "commit" {
            assert_eq!(call(&stock, "prepare", "a", PAYLOAD).0, 200);
        }
        assert!(try_call(&stock, op, "a", PAYLOAD).is_err(), "{op} was answered");
        stock.wait_dead();
        let stock = start(folder.path(), &["--crash-after", op]);
        assert_eq!(books(&stock)["transactions"]["a"], expected);
        assert_eq!(call(&stock, op, "a", PAYLOAD).0, 200, "a repeated {op} makes nothing durable");
    }
}

#[test]
fn crash_after_vote_dies_once_its_yes_has_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut stock = start(folder.path(), &["--crash-after", "vote"]);
    assert_eq!(call(&stock, "prepare", "big", r#"{"account":"widgets","amount":-101}"#).1["result"], "failed");
    assert_eq!(call(&stock, "prepare", "a", PAYLOAD), (200, json!({"result": "success"})));
    stock.wait_dead();
    assert_eq!(books(&start(folder.path(), &[])), state(100, 2, json!({"a": "prepared", "big": "rolled_back"})));
}

#[test]
fn a_delay_holds_up_its_own_call_only_and_outlives_its_caller() {
    let folder = tempfile::tempdir().unwrap();
    let stock = start(folder.path(), &["--delay", "300"]);
    let began = Instant::now();
    thread::scope(|scope| {
        for gid in ["a", "b", "c", "d"] {
            let stock = &stock;
            scope.spawn(move || assert_eq!(call(stock, "prepare", gid, PAYLOAD).0, 200));
        }
    });
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(began.elapsed() < Duration::from_millis(1100), "{:?}: one after the other", began.elapsed());
    {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(&stock.address).unwrap();
        let head = "POST /tx HTTP/1.1\r\nhost: x\r\nunanim-op: prepare\r\nunanim-gid: gone\r\nunanim-branch: b\r\n";
        write!(stream, "{head}content-length: {}\r\n\r\n{PAYLOAD}", PAYLOAD.len()).unwrap();
        // Long enough for the request to be read, and shorter than its delay.
        wait_until("the request to be taken", || (began.elapsed() > Duration::from_millis(500)).then_some(()));
    }
    wait_until("the call of the caller who left", || (books(&stock)["held"] == 10).then_some(()));
}

#[test]
fn in_doubt_it_asks_until_it_is_told_and_holds_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/transactions/a/outcome", coordinator.local_addr().unwrap());
    let mut stock = start(folder.path(), &[]);
    let headers =
        [("unanim-op", "prepare"), ("unanim-gid", "a"), ("unanim-branch", "b"), ("unanim-inquiry", url.as_str())];
    assert_eq!(http(&stock.address, "POST /tx", &headers, PAYLOAD).unwrap().0, 200);
    stock.kill9();

    // It asks after a restart too; the flag given last counts.
    let base = ["demo-participant", "--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()];
    let stock = Listening::start(&[&base[..], &["--name", "stock", "--inquire-after", "100ms"]].concat());
    let answers = [(421, "aborted"), (200, "undecided"), (503, "committed"), (200, "committed")];
    for (status, outcome) in answers {
        assert_eq!(books(&stock)["held"], 2, "before it is told");
        let (mut stream, _) = coordinator.accept().unwrap();
        let mut buffer = [0; 1024];
        let length = std::io::Read::read(&mut stream, &mut buffer).unwrap();
        assert!(buffer[..length].starts_with(b"GET /v1/transactions/a/outcome "));
        let body = json!({"gid": "a", "branch": "b", "outcome": outcome}).to_string();
        let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        std::io::Write::write_all(&mut stream, (head + &body).as_bytes()).unwrap();
    }
    wait_until("the commit", || (books(&stock) == state(98, 0, json!({"a": "committed"}))).then_some(()));
}

#[test]
fn a_hundred_at_once_all_count() {
    let folder = tempfile::tempdir().unwrap();
    let stock = start(folder.path(), &[]);
    thread::scope(|scope| {
        for number in 0..100 {
            let stock = &stock;
            scope.spawn(move || {
                let gid = format!("order-{number}");
                let answer = call(stock, "prepare", &gid, r#"{"account":"widgets","amount":-3}"#);
                let op = if answer.1["result"] == "success" { "commit" } else { "rollback" };
                assert_eq!(call(stock, op, &gid, "").0, 200);
            });
        }
    });
    let books = books(&stock);
    let ended = |state: &str| books["transactions"].as_object().unwrap().values().filter(|s| *s == state).count();
    assert_eq!(ended("committed") + ended("rolled_back"), 100);
    assert_eq!(books["accounts"]["widgets"], 100 - 3 * ended("committed"));
    assert_eq!(books["held"], 0);
}

#[test]
fn two_processes_cannot_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _stock = start(folder.path(), &[]);
    let args = ["demo-participant", "--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()];
    let second = crate::support::unanim().args(args).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("does another process use them"));
}
