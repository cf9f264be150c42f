//! Standard output that is full, or that nobody reads any more.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Output, Stdio};

use crate::fake::{Answer, Fake};
use crate::support::unanim;
use crate::tx::view;

/// Runs it with this standard output, and the text on its standard input.
fn run(args: &[&str], stdout: impl Into<Stdio>, input: &str) -> Output {
    let mut command = unanim();
    command.args(args).stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The exit code and the words of a run that can write nothing, and the exit code of one whose reader went away, which
/// must say nothing.
fn unheard(args: &[&str], input: &str) -> (Option<i32>, String, Option<i32>) {
    let full = run(args, OpenOptions::new().write(true).open("/dev/full").unwrap(), input);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let closed = run(args, writer, input);
    assert_eq!(String::from_utf8_lossy(&closed.stderr), "", "{args:?}");
    (full.status.code(), String::from_utf8(full.stderr).unwrap(), closed.status.code())
}

const FULL: &str = "unanim: cannot write to standard output: No space left on device (os error 28)\n";

#[test]
fn a_submission_ends_with_its_outcome_whoever_reads_it() {
    for (outcome, code) in [("committed", 0), ("aborted", 2), ("undecided", 3)] {
        let fake = Fake::start(move |_, _| Answer::Body(200, view(outcome)));
        let url = fake.url.clone();
        for more in [&[][..], &["--json"]] {
            let args = [&["tx", "submit", "-", "--server", &url], more].concat();
            assert_eq!(unheard(&args, r#"{"branches": []}"#), (Some(code), FULL.into(), Some(code)), "{args:?}");
        }
    }
}

#[test]
fn everything_else_fails_without_a_panic() {
    let fake = Fake::start(|_, _| Answer::Body(200, view("committed")));
    let (url, folder) = (fake.url.clone(), tempfile::tempdir().unwrap());
    let folder = folder.path().to_str().unwrap();
    for args in [
        &["tx", "get", "order-17", "--server", &url][..],
        &["tx", "get", "order-17", "--server", &url, "--json"],
        &["bench", "--url", &url, "--clients", "1", "--seconds", "0.05", "--warmup", "0"],
        &["bench", "--url", &url, "--clients", "1", "--seconds", "0.05", "--warmup", "0", "--json"],
        &["demo-participant", "--listen", "127.0.0.1:0", "--data-dir", folder],
        &["completions", "bash"],
    ] {
        assert_eq!(unheard(args, ""), (Some(1), FULL.into(), Some(1)), "{args:?}");
    }
    let (full, _, closed) = unheard(&["--help"], "");
    assert_eq!((full, closed), (Some(1), Some(1)));
}

#[test]
fn an_error_that_nobody_can_be_told_is_still_an_error() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = unanim().args(["tx", "submit", "/nowhere/at-all.json"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
