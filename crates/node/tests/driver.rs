//! The driver with a store and a transport that do as they are told.
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::LocalSet;
use unanim_coordinator::{
    Answer, Batch, BatchLimits, Begin, Call, CallId, Refusal, Request, Settings, Standing, Stored, View, Wait,
};
use unanim_engine::{
    BranchId, BranchSpec, Dialect, Gid, Mode, Op, Outcome, Participant, Reply, RetryPolicy, Target, Timestamp,
};
use unanim_node::ports::{
    Identity, LoadCursor, ReadError, Replies, Room, SaveError, Slice, Store, StoreFigures, Transport,
};
use unanim_node::{Ended, Handle, NodeSettings, Readiness, SystemClock, start};
use uuid::Uuid;

struct Scripted {
    identity: Identity,
    /// How the next saves end; then all are applied.
    saves: RefCell<VecDeque<SaveError>>,
    tried: RefCell<Vec<Arc<Batch>>>,
    applied: RefCell<Vec<Arc<Batch>>>,
    room: Cell<Room>,
    broken: Cell<bool>,
}

impl Scripted {
    fn new(saves: impl IntoIterator<Item = SaveError>) -> Rc<Scripted> {
        Scripted::over(Vec::new(), saves)
    }

    /// A store that an earlier session left these batches in.
    fn over(applied: Vec<Arc<Batch>>, saves: impl IntoIterator<Item = SaveError>) -> Rc<Scripted> {
        Rc::new(Scripted {
            identity: Identity { uuid: Uuid::nil(), secret: [0; 32], fence: 1 },
            saves: RefCell::new(saves.into_iter().collect()),
            tried: RefCell::default(),
            applied: RefCell::new(applied),
            room: Cell::new(Room::Enough),
            broken: Cell::new(false),
        })
    }

    fn stored(&self, gid: &Gid) -> Option<(Standing, Stored)> {
        let applied = self.applied.borrow();
        let records: Vec<_> = applied.iter().flat_map(|b| &b.records).filter(|r| r.gid == *gid).collect();
        let body = records.iter().find_map(|r| r.body.as_deref())?;
        let changes = records.iter().map(|r| &r.change[..]).filter(|c| !c.is_empty());
        Some((records.last()?.standing, Stored::decode(body, changes).expect("our own")))
    }
}

impl Store for Scripted {
    fn limits(&self) -> BatchLimits {
        BatchLimits { records_max: 100, bytes_max: 1 << 20 }
    }
    fn identity(&self) -> &Identity {
        &self.identity
    }
    async fn save(&self, batch: Arc<Batch>) -> Result<(), SaveError> {
        self.tried.borrow_mut().push(batch.clone());
        match self.saves.borrow_mut().pop_front() {
            Some(error) => Err(error),
            None => {
                self.applied.borrow_mut().push(batch);
                Ok(())
            }
        }
    }
    async fn find(&self, gid: &Gid) -> Result<Option<Stored>, ReadError> {
        Ok(self.stored(gid).map(|(_, stored)| stored))
    }
    async fn load(&self, cursor: &LoadCursor, _most: usize) -> Result<Slice, ReadError> {
        let gids: std::collections::BTreeSet<Gid> =
            self.applied.borrow().iter().flat_map(|b| &b.records).map(|r| r.gid.clone()).collect();
        let of_standing = gids.iter().filter_map(|gid| self.stored(gid)).filter(|(s, _)| *s == cursor.standing);
        let stored = of_standing.map(|(_, stored)| stored).collect();
        let at = Standing::OPEN.iter().position(|s| *s == cursor.standing).expect("an open one");
        let next = Standing::OPEN.get(at + 1).map(|standing| LoadCursor { standing: *standing, after: None });
        Ok(Slice { stored, next })
    }
    async fn purge(&self, _finished_before: Timestamp, _most: usize) -> Result<usize, SaveError> {
        Ok(0)
    }
    fn room(&self) -> Result<Room, String> {
        if self.broken.get() { Err("a checkpoint failed".into()) } else { Ok(self.room.get()) }
    }
    fn figures(&self) -> StoreFigures {
        StoreFigures { batches: self.applied.borrow().len() as u64, ..StoreFigures::default() }
    }
}

/// Says yes to everything, or nothing at all.
#[derive(Clone, Default)]
struct Participants {
    silent: Rc<Cell<bool>>,
    called: Rc<RefCell<Vec<CallId>>>,
}

impl Transport for Participants {
    fn call(&self, call: Call, replies: &Replies) {
        self.called.borrow_mut().push(call.id.clone());
        if self.silent.get() {
            return;
        }
        let replies = replies.clone();
        tokio::task::spawn_local(async move { replies.deliver(call.id, Reply::Ok) });
    }
}

fn gid(name: &str) -> Gid {
    Gid::new(name).expect("a name")
}

fn begin(start: bool, wait: Option<Wait>) -> Request {
    let spec = BranchSpec {
        id: BranchId::new("a").expect("a name"),
        participant: Participant::new("http://p:1").expect("a name"),
        target: Target::One("http://p:1/tx".into()),
        dialect: Dialect::V1,
        headers: Box::default(),
        payload: None,
        call_timeout_ms: 10_000,
        retry: None,
        refused_statuses: Box::default(),
        one_phase: false,
        digest: None,
    };
    Request::Begin(Box::new(Begin {
        mode: Mode::TwoPhase,
        digest: [1; 32],
        timeout_ms: 60_000,
        retry: RetryPolicy::default(),
        branches: vec![Arc::new(spec)],
        start,
        fresh: false,
        wait,
    }))
}

fn view(answer: Answer) -> Arc<View> {
    match answer {
        Answer::Transaction(view) => view,
        other => panic!("expected a transaction, not {other:?}"),
    }
}

/// Runs a node beside the test's own future; what the session ended with, where it ended.
fn run<F: Future<Output = ()>>(
    store: &Rc<Scripted>,
    participants: &Participants,
    test: impl FnOnce(Handle) -> F,
) -> Option<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let settings = NodeSettings { lane: Settings::default(), hash_key: [1, 2], retention_ms: 1_000 };
    LocalSet::new().block_on(&runtime, async {
        let (handle, node) = start(store.clone(), participants.clone(), SystemClock::start(), settings);
        let node = tokio::task::spawn_local(node);
        tokio::time::timeout(Duration::from_secs(20), test(handle)).await.expect("the test ends");
        match node.is_finished() {
            true => Some(node.await.expect("no panic")),
            false => None,
        }
    })
}

#[test]
fn a_transaction_goes_all_the_way() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    let ended = run(&store, &participants, |handle| async move {
        let view = view(handle.ask(gid("t"), begin(true, Some(Wait::Finished))).await);
        assert_eq!(view.outcome, Some(Outcome::Committed));
        handle.idle().await;
        assert_eq!(handle.readiness(), Readiness::Ready);
    });
    assert_eq!(ended, None);
    let called: Vec<Op> = participants.called.borrow().iter().map(|id| id.op).collect();
    assert_eq!(called, [Op::Prepare, Op::Commit]);
}

#[test]
fn what_is_ready_together_is_saved_together() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    run(&store, &participants, |handle| async move {
        let names: Vec<String> = (0..50).map(|i| format!("t{i}")).collect();
        let all = names.iter().map(|name| handle.ask(gid(name), begin(false, None)));
        futures_util::future::join_all(all).await;
    });
    assert_eq!(store.applied.borrow().iter().map(|b| b.records.len()).collect::<Vec<_>>(), [50]);
}

#[test]
fn the_identical_batch_is_sent_again_until_it_is_known_to_be_applied() {
    let saves = [SaveError::Unknown("cut off".into()), SaveError::Full, SaveError::Unknown("cut off".into())];
    let (store, participants) = (Scripted::new(saves), Participants::default());
    run(&store, &participants, |handle| async move {
        assert_eq!(view(handle.ask(gid("t"), begin(false, None)).await).seq, 1);
    });
    let tried = store.tried.borrow();
    assert_eq!(tried.len(), 4);
    assert!(tried.iter().all(|batch| **batch == *tried[0]));
}

#[test]
fn a_full_store_refuses_what_is_new_and_serves_again_by_itself() {
    let (store, participants) = (Scripted::new([SaveError::Full]), Participants::default());
    store.room.set(Room::Full);
    let room = store.clone();
    run(&store, &participants, |handle| async move {
        while handle.readiness() != Readiness::DiskFull {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let answer = handle.ask(gid("t"), begin(false, None)).await;
        assert!(matches!(answer, Answer::Refused(Refusal::NotAdmitted(_))), "{answer:?}");
        room.room.set(Room::Enough);
        while handle.readiness() != Readiness::Ready {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(view(handle.ask(gid("t"), begin(false, None)).await).seq, 1);
    });
}

#[test]
fn a_broken_store_ends_the_session_and_answers_everybody() {
    let (store, participants) = (Scripted::new([SaveError::Broken("fsync".into())]), Participants::default());
    let ended = run(&store, &participants, |handle| async move {
        let answer = handle.ask(gid("t"), begin(true, Some(Wait::Decided))).await;
        assert_eq!(answer, Answer::Refused(Refusal::Unavailable));
        while handle.readiness() != Readiness::Ended {
            tokio::task::yield_now().await;
        }
        assert_eq!(handle.ask(gid("u"), Request::Read).await, Answer::Refused(Refusal::Unavailable));
        tokio::task::yield_now().await;
    });
    assert_eq!(ended, Some(Ended::Broken("fsync".into())));
    assert_eq!(*participants.called.borrow(), [], "nothing leaves that is not durable");
}

#[test]
fn what_an_earlier_session_left_open_is_taken_up() {
    let (left, silent) = (Scripted::new([]), Participants::default());
    silent.silent.set(true);
    run(&left, &silent, |handle| async move {
        view(handle.ask(gid("t"), begin(true, None)).await);
    });
    let store = Scripted::over(left.applied.borrow().clone(), []);
    run(&store, &Participants::default(), |handle| async move {
        loop {
            match handle.ask(gid("t"), Request::Read).await {
                Answer::Transaction(view) if view.finished_at.is_some() => {
                    break assert_eq!(view.outcome, Some(Outcome::Committed));
                }
                Answer::Transaction(_) | Answer::Refused(Refusal::Loading) => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(handle.figures().lane.loaded, 1);
    });
}

#[test]
fn whoever_goes_away_changes_nothing_else() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    run(&store, &participants, |handle| async move {
        drop(handle.ask(gid("t"), begin(true, Some(Wait::Finished))));
        let view = view(handle.ask(gid("t"), begin(true, Some(Wait::Finished))).await);
        assert_eq!(view.outcome, Some(Outcome::Committed));
    });
}

#[test]
fn whoever_is_in_a_hurry_is_answered_all_the_same() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    participants.silent.set(true);
    run(&store, &participants, |handle| async move {
        let asking = handle.ask(gid("t"), begin(true, Some(Wait::Finished)));
        asking.hurry();
        assert_eq!(view(asking.await).outcome, None);
        let mut other = begin(true, Some(Wait::Finished));
        if let Request::Begin(begin) = &mut other {
            begin.digest = [2; 32];
        }
        let asking = handle.ask(gid("t"), other);
        asking.hurry();
        assert_eq!(asking.await, Answer::Refused(Refusal::GidConflict), "a refusal is not lost");
    });
}

#[test]
fn a_store_that_breaks_while_nothing_is_saved_ends_the_session() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    let broken = store.clone();
    let ended = run(&store, &participants, |handle| async move {
        view(handle.ask(gid("t"), begin(false, None)).await);
        broken.broken.set(true);
        while handle.readiness() != Readiness::Ended {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::task::yield_now().await;
    });
    assert_eq!(ended, Some(Ended::Broken("a checkpoint failed".into())));
}

#[test]
fn a_draining_node_ends_what_is_open_and_begins_nothing() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    run(&store, &participants, |handle| async move {
        let open = handle.ask(gid("t"), begin(true, Some(Wait::Finished)));
        tokio::task::yield_now().await;
        handle.drain();
        let refused = handle.ask(gid("u"), begin(true, None)).await;
        assert!(matches!(refused, Answer::Refused(Refusal::NotAdmitted(_))), "{refused:?}");
        assert_eq!(view(open.await).outcome, Some(Outcome::Committed));
        handle.idle().await;
        assert_eq!(handle.readiness(), Readiness::Draining);
    });
}
