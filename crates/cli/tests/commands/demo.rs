//! `unanim demo`: it must hold, and leave nothing behind, however it ends.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{unanim, wait_until};

fn demo(scratch: &Path) -> Command {
    let mut command = unanim();
    command.arg("demo").env("TMPDIR", scratch).stdout(Stdio::piped());
    command
}

fn assert_clean(scratch: &Path) {
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0, "the folder is still there");
    assert_eq!(processes(scratch), 0, "a process is still there");
}

/// How many processes have this folder in their arguments.
fn processes(scratch: &Path) -> usize {
    let name = scratch.to_str().unwrap();
    let runs = |entry: &std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(name)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(runs).count()
}

/// Starts it and lets it come to its second scene.
fn play(scratch: &Path) -> Child {
    let mut child = demo(scratch).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("2 "))).unwrap().unwrap();
    assert!(processes(scratch) > 0);
    child
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
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let scratch = tempfile::tempdir().unwrap();
        let mut child = play(scratch.path());
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = wait_until("the demo to end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(code), "{signal}");
        assert_clean(scratch.path());
    }
}

#[test]
fn killed_it_takes_its_processes_with_it() {
    let scratch = tempfile::tempdir().unwrap();
    let mut child = play(scratch.path());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("its processes to end", || (processes(scratch.path()) == 0).then_some(()));
}

#[test]
fn what_is_tied_to_a_process_that_is_gone_does_not_start() {
    for command in ["serve", "demo-participant"] {
        let folder = tempfile::tempdir().unwrap();
        let args = [command, "--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()];
        // Process 0 is nobody's parent.
        let output = unanim().args(args).env("_UNANIM_DIES_WITH", "0").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("is gone"), "{output:?}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
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
