//! A whole node on a disk that fails: what it told clients and asked of participants holds in every later session.
use crate::env;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::{LocalSet, spawn_local};
use unanim_adapters::store::Embedded;
use unanim_adapters::store::embedded::{CommitMode, OpenOptions};
use unanim_coordinator::{Answer, Begin, Call, Refusal, Request, Settings, Wait};
use unanim_engine::{Gid, Mode, Op, Outcome, Reply, RetryPolicy};
use unanim_faulty_disk::{Disk, Fault, Rng};
use unanim_node::conformance::store::body;
use unanim_node::ports::{Replies, Transport};
use unanim_node::{Handle, NodeSettings, SystemClock, start};

/// What people outside know for certain.
type Known = Rc<RefCell<BTreeMap<Gid, Outcome>>>;

/// Two who say yes, or of every fifth transaction no; each commit and rollback that they hear is known from then on.
#[derive(Clone)]
struct Participants(Known);

impl Transport for Participants {
    fn call(&self, call: Call, replies: &Replies) {
        let refuses = call.id.gid.as_str().ends_with(['0', '5']) && call.id.branch == 1;
        let reply = match call.id.op {
            Op::Prepare if refuses => Reply::Refused(None),
            Op::Prepare => Reply::Ok,
            Op::Commit | Op::CommitOnePhase => self.hears(&call.id.gid, Outcome::Committed),
            Op::Rollback => self.hears(&call.id.gid, Outcome::Aborted),
        };
        let replies = replies.clone();
        spawn_local(async move { replies.deliver(call.id, reply) });
    }
}

impl Participants {
    fn hears(&self, gid: &Gid, outcome: Outcome) -> Reply {
        let before = *self.0.borrow_mut().entry(gid.clone()).or_insert(outcome);
        assert_eq!(before, outcome, "{gid}");
        Reply::Ok
    }
}

fn begin(gid: &Gid) -> Request {
    Request::Begin(Box::new(Begin {
        mode: Mode::TwoPhase,
        digest: [1; 32],
        timeout_ms: 60_000,
        retry: RetryPolicy::default(),
        branches: body(gid.as_str(), b"{}").branches,
        start: true,
        fresh: false,
        wait: Some(Wait::Decided),
    }))
}

/// Whether there was an answer: none after a session that ended.
async fn asked(handle: &Handle, gid: &Gid, known: &Known) -> bool {
    loop {
        match handle.ask(gid.clone(), begin(gid)).await {
            Answer::Transaction(view) => {
                let outcome = view.outcome.expect("it was waited for");
                let before = *known.borrow_mut().entry(gid.clone()).or_insert(outcome);
                assert_eq!(before, outcome, "{gid}");
                return true;
            }
            Answer::Refused(Refusal::Unavailable) => return false,
            Answer::Refused(Refusal::Loading | Refusal::NotAdmitted(_)) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => panic!("{gid}: {other:?}"),
        }
    }
}

/// A session that begins all of these and waits for them; how many were answered.
fn session(dir: &Path, commit: CommitMode, gids: &[Gid], known: &Known) -> Option<usize> {
    let store = Embedded::open(OpenOptions { commit, reserve_bytes: 0, ..OpenOptions::new(dir) }).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let settings = NodeSettings { lane: Settings::default(), hash_key: [1, 2], retention_ms: 3_600_000 };
    Some(LocalSet::new().block_on(&runtime, async {
        let (handle, node) = start(Rc::new(store), Participants(known.clone()), SystemClock::start(), settings);
        let node = spawn_local(node);
        let asking = gids.iter().map(|gid| {
            let (handle, gid, known) = (handle.clone(), gid.clone(), known.clone());
            spawn_local(async move { asked(&handle, &gid, &known).await })
        });
        let mut answered = 0;
        for one in asking.collect::<Vec<_>>() {
            let answer = tokio::time::timeout(Duration::from_secs(20), one).await;
            answered += usize::from(answer.expect("an answer").expect("no panic"));
        }
        node.abort();
        answered
    }))
}

fn live(seed: u64) -> (u64, u64) {
    let folder = TempDir::new().expect("a folder");
    let (disk, mut rng) = (Disk::watch(folder.path(), seed).expect("a disk"), Rng::new(seed));
    let (known, mut gids) = (Known::default(), Vec::new());
    let (mut faults, mut kept) = (0, 0);
    for round in 0..4 {
        gids.extend((0..6).map(|n| Gid::new(&format!("{round}-{n}")).expect("a gid")));
        let fault = [Fault::Write, Fault::Flush, Fault::Power][rng.below(3) as usize];
        disk.plan(fault, if fault == Fault::Flush { rng.below(30) } else { rng.below(150) });
        let commit = if rng.permille(500) { CommitMode::Thread } else { CommitMode::Inline };
        let answered = session(&folder.path().join("data"), commit, &gids, &known);
        let failed = answered != Some(gids.len());
        assert!(!failed || disk.happened().is_some(), "SEED={seed}: {answered:?} of {} for no reason", gids.len());
        faults += u64::from(failed);
        kept += answered.unwrap_or_default() as u64;
        disk.mend();
        if disk.happened() == Some(Fault::Power) || rng.permille(500) {
            disk.power_off();
            disk.power_on().expect("a folder");
        }
    }
    let answered = session(&folder.path().join("data"), CommitMode::Inline, &gids, &known);
    assert_eq!(answered, Some(gids.len()), "SEED={seed}: on a disk that works all end");
    (faults, kept)
}

#[test]
fn what_a_node_said_holds_after_every_fault() {
    let (first, count) = (env("SEED", 0), env("SEEDS", 300) / 4 + 1);
    let (mut faults, mut kept) = (0, 0);
    for seed in first..first + count {
        let (some_faults, some_kept) = live(seed);
        (faults, kept) = (faults + some_faults, kept + some_kept);
    }
    println!("{faults} sessions failed, {kept} answers");
    assert!(count < 70 || (faults > count && kept > count));
}
