//! `unanim bench` against a fake coordinator.

use std::io::Write;

use serde_json::Value;

use crate::fake::{Answer, Fake};
use crate::support::unanim;

fn run(fake: &Fake, more: &[&str]) -> (Option<i32>, String) {
    let base = ["bench", "--url", &fake.url, "--clients", "3", "--seconds", "0.3", "--warmup", "0.1"];
    let output = unanim().args(base).args(more).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn v1_submits_two_branches_and_waits_for_the_decision() {
    let fake = Fake::start(|_, _| Answer::Body(200, r#"{"gid":"g","outcome":"committed"}"#.into()));
    let pid = std::process::id().to_string();
    let (code, out) = run(&fake, &["--json", "--pid", &pid]);
    assert_eq!(code, Some(0), "{out}");
    let result: Value = serde_json::from_str(&out).unwrap();
    assert!(result["transactions"].as_u64().unwrap() > 0, "{out}");
    assert_eq!(result["errors"], 0);
    assert!(result["cpu_us_per_transaction"].as_f64().unwrap() > 0.0);
    for name in ["throughput", "p50_us", "p90_us", "p99_us", "max_us"] {
        assert!(result[name].as_f64().unwrap() > 0.0, "{name} in {out}");
    }
    let request = &fake.received()[0];
    assert_eq!(request.head, "POST /v1/transactions?wait=decided");
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["branches"].as_array().unwrap().len(), 2);
    let payload = body["branches"][0]["payload"].to_string().len();
    assert!((80..=120).contains(&payload), "{payload} bytes");
}

#[test]
fn classic_begins_and_prepares() {
    let fake = Fake::start(|_, request| match request.head.as_str() {
        "POST /transaction" => Answer::Body(200, r#"{"transaction_id":"g7"}"#.into()),
        "POST /transaction/g7/prepare" => Answer::Body(200, r#"{"result":"success"}"#.into()),
        _ => Answer::Body(404, "{}".into()),
    });
    let (code, out) = run(&fake, &["--door", "classic"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("transactions/s") && out.contains("p99"), "{out}");
    let prepare = fake.received().into_iter().find(|request| request.head.ends_with("/prepare")).unwrap();
    let body: Value = serde_json::from_str(&prepare.body).unwrap();
    assert_eq!(body["participants"].as_array().unwrap().len(), 2);
}

#[test]
fn it_shows_the_token() {
    let fake = Fake::start(|_, request| match request.header("authorization") {
        Some("Bearer s3cret") => Answer::Body(200, r#"{"gid":"g","outcome":"committed"}"#.into()),
        _ => Answer::Body(401, "{}".into()),
    });
    let mut token = tempfile::NamedTempFile::new().unwrap();
    writeln!(token, "s3cret").unwrap();
    let (code, out) = run(&fake, &["--token-file", token.path().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{out}");
    let (code, out) = run(&fake, &[]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("401"), "{out}");
}

#[test]
fn a_url_with_a_path_is_refused() {
    for path in ["/base", "/v1/", "/?wait=none"] {
        let fake = Fake::start(|_, _| Answer::Body(200, r#"{"gid":"g","outcome":"committed"}"#.into()));
        let output =
            unanim().args(["bench", "--seconds", "0.1", "--url", &format!("{}{path}", fake.url)]).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("--url is http://HOST:PORT") && told.contains(path), "{told}");
        assert!(fake.received().is_empty());
    }
}

#[test]
fn what_does_not_commit_is_an_error() {
    let fake = Fake::start(|_, _| Answer::Body(200, r#"{"gid":"g","outcome":"aborted"}"#.into()));
    let (code, out) = run(&fake, &[]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("the answer was \"aborted\", not \"committed\""), "{out}");
}
