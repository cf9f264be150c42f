//! `unanim demo`: it must hold, and leave nothing behind, however it ends.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{unanim, wait_until};

fn demo(scratch: &Path) -> Command {
    let mut command = unanim();
    command.arg("demo").env("TMPDIR", scratch).stdout(Stdio::piped());
    command
}

fn assert_clean(scratch: &Path) {
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0, "the folder is still there");
    let name = scratch.to_str().unwrap();
    let runs = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(name)
    };
    let left = std::fs::read_dir("/proc").unwrap().flatten().any(runs);
    assert!(!left, "a process is still there");
}

#[test]
fn the_books_add_up_and_nothing_stays() {
    let scratch = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let output = demo(scratch.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(text.contains("nothing is held"), "{text}");
    assert!(!text.contains('\x1b'), "plain in a pipe: {text}");
    assert_clean(scratch.path());
}

#[test]
fn interrupted_it_takes_everything_with_it() {
    let scratch = tempfile::tempdir().unwrap();
    let mut child = demo(scratch.path()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("2 "))).unwrap().unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = wait_until("the demo to end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    assert_clean(scratch.path());
}

#[test]
fn kept_on_demand() {
    let scratch = tempfile::tempdir().unwrap();
    let output = demo(scratch.path()).arg("--keep").output().unwrap();
    assert!(output.status.success());
    let folder = std::fs::read_dir(scratch.path()).unwrap().next().unwrap().unwrap().path();
    assert!(String::from_utf8_lossy(&output.stdout).contains(folder.to_str().unwrap()));
    for name in ["coordinator", "stock", "stock.log"] {
        assert!(folder.join(name).exists(), "{name}");
    }
}
