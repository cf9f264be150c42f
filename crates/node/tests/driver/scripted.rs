//! A store and a transport that do as they are told.
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::LocalSet;
use unanim_coordinator::{
    Answer, Batch, BatchLimits, Begin, Call, CallId, Record, Request, Settings, Standing, Stored, View, Wait,
};
use unanim_engine::{
    BranchId, BranchSpec, Callee, Dialect, Gid, Mode, Op, Participant, Reply, RetryPolicy, Target, Timestamp,
};
use unanim_node::ports::{
    Ended, EndedCursor, Excerpt, Identity, LoadCursor, Purged, ReadError, Replies, Room, SaveError, Slice, Store,
    StoreFigures, Transport,
};
use unanim_node::{Handle, NodeSettings, SystemClock, start};
use uuid::Uuid;

pub(crate) struct Scripted {
    identity: Identity,
    /// How the next saves end; then all are applied.
    saves: RefCell<VecDeque<SaveError>>,
    pub(crate) tried: RefCell<Vec<Arc<Batch>>>,
    pub(crate) applied: RefCell<Vec<Arc<Batch>>>,
    pub(crate) room: Cell<Room>,
    pub(crate) broken: Cell<bool>,
    /// Forgets under way, and how many there have been at once.
    pub(crate) forgetting: Cell<(usize, usize)>,
}

impl Scripted {
    pub(crate) fn new(saves: impl IntoIterator<Item = SaveError>) -> Rc<Scripted> {
        Scripted::over(Vec::new(), saves)
    }

    /// A store that an earlier session left these batches in.
    pub(crate) fn over(applied: Vec<Arc<Batch>>, saves: impl IntoIterator<Item = SaveError>) -> Rc<Scripted> {
        Rc::new(Scripted {
            identity: Identity { uuid: Uuid::nil(), secret: [0; 32], fence: 1 },
            saves: RefCell::new(saves.into_iter().collect()),
            tried: RefCell::default(),
            applied: RefCell::new(applied),
            room: Cell::new(Room::Enough),
            broken: Cell::new(false),
            forgetting: Cell::default(),
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
    async fn history(&self, gid: &Gid, first_seq: u64, most: usize) -> Result<Option<Excerpt>, ReadError> {
        let Some((standing, stored)) = self.stored(gid) else { return Ok(None) };
        let events: Vec<_> = stored.history.into_iter().skip(first_seq as usize - 2).collect();
        let (more, finished) = (events.len() > most, matches!(standing, Standing::Finished(_)));
        Ok(Some(Excerpt { first_seq, events: events.into_iter().take(most).collect(), more, finished }))
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
    async fn ended(&self, cursor: &EndedCursor, most: usize) -> Result<Ended, ReadError> {
        let applied = self.applied.borrow();
        let ended = applied.iter().flat_map(|batch| &batch.records).filter_map(|record| match record.standing {
            Standing::Finished(at) => Some((at, record.gid.clone())),
            Standing::Decided | Standing::Preparing | Standing::Active => None,
        });
        let mut ended: Vec<_> = ended
            .filter(|(at, gid)| {
                (*at, Some(gid)) < (cursor.at, cursor.after.as_ref()) || (cursor.after.is_none() && *at <= cursor.at)
            })
            .collect();
        ended.sort_by(|a, b| b.cmp(a));
        let next = match ended.get(most.wrapping_sub(1)) {
            Some((at, gid)) if ended.len() > most => Some(EndedCursor { at: *at, after: Some(gid.clone()) }),
            _ => None,
        };
        let stored =
            ended.iter().take(most).filter_map(|(_, gid)| self.stored(gid)).map(|(_, stored)| stored).collect();
        Ok(Ended { stored, next })
    }
    async fn purge(&self, _finished_before: Timestamp, _most: usize) -> Result<Purged, SaveError> {
        Ok(Purged { removed: 0, next: None })
    }
    async fn forget(&self, gid: &Gid, _ended_at: Timestamp, left: Option<Record>) -> Result<bool, SaveError> {
        let (now, most) = self.forgetting.get();
        self.forgetting.set((now + 1, most.max(now + 1)));
        tokio::task::yield_now().await;
        self.forgetting.set((self.forgetting.get().0 - 1, self.forgetting.get().1));
        let there = self.stored(gid).is_some();
        let mut applied = self.applied.borrow_mut();
        for batch in applied.iter_mut() {
            let records = batch.records.iter().filter(|record| record.gid != *gid).cloned().collect();
            *batch = Arc::new(Batch { number: batch.number, records });
        }
        applied.extend(left.filter(|_| there).map(|left| Arc::new(Batch { number: 0, records: vec![left] })));
        Ok(there)
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
pub(crate) struct Participants {
    pub(crate) silent: Rc<Cell<bool>>,
    /// Nothing at all to this operation.
    pub(crate) silent_to: Rc<Cell<Option<Op>>>,
    pub(crate) called: Rc<RefCell<Vec<CallId>>>,
}

impl Transport for Participants {
    fn call(&self, call: Call, replies: &Replies) {
        self.called.borrow_mut().push(call.id.clone());
        if self.silent.get() || self.silent_to.get() == Some(call.id.op) {
            return;
        }
        let replies = replies.clone();
        tokio::task::spawn_local(async move { replies.deliver(call.id, Reply::Ok) });
    }
}

pub(crate) fn gid(name: &str) -> Gid {
    Gid::new(name).expect("a name")
}

pub(crate) fn begin(start: bool, wait: Option<Wait>) -> Request {
    let spec = BranchSpec::new(
        BranchId::new("a").expect("a name"),
        Callee {
            participant: Participant::new("http://p:1").expect("a name"),
            target: Target::One("http://p:1/tx".into()),
            dialect: Dialect::V1,
            call_timeout_ms: 10_000,
            retry: None,
            refused_statuses: Box::default(),
            one_phase: false,
        },
        None,
    );
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

pub(crate) fn view(answer: Answer) -> Arc<View> {
    match answer {
        Answer::Transaction(view) => view,
        other => panic!("expected a transaction, not {other:?}"),
    }
}

/// Runs a node beside the test's own future; what the session ended with, where it ended.
pub(crate) fn run<F: Future<Output = ()>>(
    store: &Rc<Scripted>,
    participants: &Participants,
    test: impl FnOnce(Handle) -> F,
) -> Option<unanim_node::Ended> {
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
