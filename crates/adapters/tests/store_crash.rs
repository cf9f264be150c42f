//! What was acknowledged is there after a SIGKILL; a failed write ends everything; a second process is told who is first.
#![cfg(feature = "embedded")]
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use unanim_adapters::store::Embedded;
use unanim_adapters::store::embedded::{CommitMode, OpenError, OpenOptions};
use unanim_coordinator::{Batch, Standing};
use unanim_engine::Gid;
use unanim_node::conformance::store::{begun, body};
use unanim_node::ports::{ReadError, SaveError, Store};

const CHILD_DIR: &str = "STORE_CHILD_DIR";
const CHILD_COMMIT: &str = "STORE_CHILD_COMMIT";

/// A process of this binary that runs [`child`].
fn child(shell: &str, dir: &Path, commit: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} exec \"$0\" --exact saves_as_a_child --nocapture")]);
    command.arg(std::env::current_exe().expect("this binary"));
    command.env(CHILD_DIR, dir).env(CHILD_COMMIT, commit).stdout(Stdio::piped());
    command.spawn().expect("a child")
}

fn options(dir: &Path) -> OpenOptions {
    OpenOptions { commit: CommitMode::Inline, reserve_bytes: 0, ..OpenOptions::new(dir) }
}

fn gids(fence: u64, number: u64) -> [Gid; 2] {
    ["a", "b"].map(|half| Gid::new(&format!("{fence}-{number}-{half}")).expect("a gid"))
}

/// As a test it does nothing; as a child it saves until it is killed, and says what is durable.
#[tokio::test]
async fn saves_as_a_child() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let commit = std::env::var(CHILD_COMMIT).expect("a mode").parse().expect("a mode");
    let store = Embedded::open(OpenOptions { commit, ..options(Path::new(&dir)) }).expect("a store");
    let fence = store.identity().fence;
    println!("\nopened {fence}");
    for number in 1.. {
        let records = gids(fence, number).map(|gid| begun(&body(gid.as_str(), &[0; 300]), Standing::Preparing));
        match store.save(Arc::new(Batch { number, records: records.into() })).await {
            Ok(()) => println!("saved {number}"),
            Err(SaveError::Broken(why)) => {
                println!("broken {why}");
                let again = store.save(Arc::new(Batch { number, records: vec![] })).await;
                assert!(matches!(again, Err(SaveError::Broken(_))), "nothing is tried again: {again:?}");
                assert!(matches!(store.find(&gids(fence, 1)[0]).await, Err(ReadError::Unavailable(_))));
                println!("refuses");
                return;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// What a child says, line by line; the noise of the test harness is left out.
fn lines(child: &mut Child) -> impl Iterator<Item = (String, String)> + use<> {
    let words = ["opened", "saved", "broken", "refuses"];
    BufReader::new(child.stdout.take().expect("piped")).lines().filter_map(move |line| {
        let line = line.expect("a line");
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        words.contains(&word).then(|| (word.to_owned(), rest.to_owned()))
    })
}

async fn has(store: &Embedded, gid: &Gid) -> bool {
    store.find(gid).await.expect("a find").is_some()
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = TempDir::new().expect("a folder");
    let mut sessions = Vec::new();
    for (round, commit) in ["inline", "thread"].into_iter().cycle().take(8).enumerate() {
        let mut child = child("", folder.path(), commit);
        let mut said = lines(&mut child);
        let fence: u64 = said.next().expect("it opens").1.parse().expect("a fence");
        let mut last = 0;
        for (_, number) in said {
            last = number.parse().expect("a number");
            if last == 1 + 37 * round as u64 {
                child.kill().expect("a kill");
            }
        }
        assert_eq!(child.wait().expect("an end").signal(), Some(9));
        sessions.push((fence, last));
    }
    assert!(sessions.is_sorted_by(|a, b| a.0 < b.0), "fences rise: {sessions:?}");

    let store = Embedded::open(options(folder.path())).expect("a store");
    for (fence, last) in sessions {
        for number in 1..=last {
            for gid in gids(fence, number) {
                assert!(has(&store, &gid).await, "{gid} was acknowledged");
            }
        }
        // The one that was under way is there or not, but never half of it; none came after it.
        let [a, b] = gids(fence, last + 1);
        assert_eq!(has(&store, &a).await, has(&store, &b).await);
        assert!(!has(&store, &gids(fence, last + 2)[0]).await);
    }
}

#[tokio::test]
async fn a_failed_write_is_the_end() {
    for commit in ["inline", "thread"] {
        let folder = TempDir::new().expect("a folder");
        // Files stay below so many blocks of 512 bytes or 1 KiB: a write beyond fails, and not for want of room.
        let mut child = child("trap '' XFSZ; ulimit -f 1500;", folder.path(), commit);
        let said: Vec<_> = lines(&mut child).collect();
        assert!(child.wait().expect("an end").success());
        let words: Vec<&str> = said.iter().map(|(word, _)| word.as_str()).rev().take(2).collect();
        assert_eq!(words, ["refuses", "broken"]);

        let fence = said[0].1.parse().expect("a fence");
        let saved = said.iter().filter(|(word, _)| word == "saved").count() as u64;
        let store = Embedded::open(options(folder.path())).expect("the next process opens it");
        for number in 1..=saved {
            assert!(has(&store, &gids(fence, number)[1]).await, "{number} was acknowledged");
        }
    }
}

#[test]
fn a_second_process_is_told_who_is_first() {
    let folder = TempDir::new().expect("a folder");
    let mut first = child("", folder.path(), "inline");
    let mut said = lines(&mut first);
    assert_eq!(said.next().expect("it opens").0, "opened");
    let refused = Embedded::open(options(folder.path())).err().expect("a refusal");
    first.kill().expect("a kill");
    first.wait().expect("an end");
    assert!(matches!(refused, OpenError::Locked { holder: Some(pid), .. } if pid == first.id()), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains(&format!("pid {}", first.id())) && text.contains("--data-dir"), "{text}");

    let store = Embedded::open(options(folder.path())).expect("its lock went with it");
    let refused = Embedded::open(options(folder.path())).err().expect("a refusal");
    assert!(refused.to_string().contains(&format!("pid {}", std::process::id())), "{refused}");
    drop(store);
    Embedded::open(options(folder.path())).expect("free again");
}
