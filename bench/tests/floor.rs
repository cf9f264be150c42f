//! The floor answers like a coordinator and calls like one: else nothing may be compared with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

struct Floor {
    child: Child,
    address: String,
}

impl Floor {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floor"));
        let mut child = command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect(&line).to_owned();
        Self { child, address }
    }

    fn post(&self, path: &str, body: &Value) -> (String, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let body = body.to_string();
        let head = format!("POST {path} HTTP/1.1\r\nhost: floor\r\nconnection: close\r\n");
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        (head.to_owned(), serde_json::from_str(body).expect(body))
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A participant that gives one answer to every prepare; it tells the path, `Unanim-Op` and body of every call.
fn participant(vote: &'static str) -> (String, Receiver<(String, String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (calls, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let calls = calls.clone();
            thread::spawn(move || answer_calls(stream.unwrap(), vote, &calls));
        }
    });
    (address, receiver)
}

fn answer_calls(mut stream: TcpStream, vote: &str, calls: &Sender<(String, String, String)>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
        let path = line.split(' ').nth(1).unwrap().to_owned();
        let (mut op, mut length) = (String::new(), 0);
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            match line.trim_end().split_once(": ") {
                Some(("unanim-op", value)) => op = value.to_owned(),
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let result = if op == "prepare" { vote } else { "success" };
        let answer = json!({"result": result}).to_string();
        calls.send((path, op, String::from_utf8(body).unwrap())).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).unwrap();
        line.clear();
    }
}

fn next(calls: &Receiver<(String, String, String)>) -> (String, String, String) {
    calls.recv_timeout(Duration::from_secs(10)).expect("a call")
}

fn call(path: &str, op: &str, body: &str) -> (String, String, String) {
    (path.to_owned(), op.to_owned(), body.to_owned())
}

#[test]
fn v1_asks_both_and_tells_both() {
    let floor = Floor::start();
    for (vote, outcome, op) in [("success", "committed", "commit"), ("failed", "aborted", "rollback")] {
        let ((a, a_calls), (b, b_calls)) = (participant("success"), participant(vote));
        let branches = json!([{"id": "a", "endpoint": format!("http://{a}/tx"), "payload": {"n": 1}},
                              {"id": "b", "endpoint": format!("http://{b}/tx"), "payload": {"n": 2}}]);
        let (head, view) = floor.post("/v1/transactions?wait=decided", &json!({"branches": branches}));
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(view["outcome"], outcome);
        assert_eq!(view["branches"][1]["participant"], format!("http://{b}"));
        assert!(head.contains(&format!("/v1/transactions/{}", view["gid"].as_str().unwrap())), "{head}");
        for (calls, payload) in [(&a_calls, r#"{"n":1}"#), (&b_calls, r#"{"n":2}"#)] {
            assert_eq!(next(calls), call("/tx", "prepare", payload));
            assert_eq!(next(calls), call("/tx", op, payload));
        }
    }
}

#[test]
fn classic_answers_after_both_phases() {
    let floor = Floor::start();
    for (vote, result, op) in [("success", "success", "commit"), ("failed", "failed", "rollback")] {
        let ((a, a_calls), (b, b_calls)) = (participant("success"), participant(vote));
        let gid = floor.post("/transaction", &json!({})).1["transaction_id"].as_str().unwrap().to_owned();
        let (_, answer) = floor.post(&format!("/transaction/{gid}/prepare"), &json!({"participants": [a, b]}));
        assert_eq!(answer, json!({"result": result}));
        for calls in [&a_calls, &b_calls] {
            assert_eq!(next(calls), call(&format!("/transaction/{gid}/prepare"), "prepare", ""));
            assert_eq!(next(calls), call(&format!("/transaction/{gid}/{op}"), op, ""));
        }
    }
}
