//! The loop around the one lane: everything that is ready goes in, one batch is cut, what may happen happens.
use crate::alerts::Alerts;
use crate::handle::{Handle, Shared};
use crate::ports::{Clock, LoadCursor, ReadError, Replies, Room, SaveError, Store, Transport};
use crate::purge;
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use unanim_coordinator::{Batch, Found, Input, Lane, Loading, Output, Saved, Settings, Standing, Stored};
use unanim_engine::{Gid, Timestamp};

/// Open transactions that are read at once while loading.
const SLICE_MAX: usize = 500;
/// How often a batch waits for others that are ready, so that a stream of them cannot put it off for ever.
const GATHER_MAX: usize = 16;
/// The pause before a batch of unknown outcome is sent again, and before a failed read is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// How often the store is asked whether it has room.
const ROOM_EVERY: Duration = Duration::from_millis(500);

/// What a node is set to.
#[derive(Clone, Copy, Debug)]
pub struct NodeSettings {
    /// The lane's bounds; those of a batch are replaced by the store's.
    pub lane: Settings,
    /// For the lane's maps: random, so that nobody can choose gids that collide.
    pub hash_key: [u64; 2],
    /// How long a finished transaction stays readable, in milliseconds.
    pub retention_ms: u64,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The store can no longer be trusted: the process must end at once and say this.
    Broken(String),
    /// Another session has taken over.
    Fenced,
}

/// Makes a node of a store with a session, a transport and a clock. The future runs it, and resolves when the session
/// is over; it must be polled on this thread, within a `LocalSet`.
pub fn start<S: Store + 'static, T: Transport + 'static, C: Clock + 'static>(
    store: Rc<S>,
    transport: T,
    clock: C,
    settings: NodeSettings,
) -> (Handle, impl Future<Output = Ended>) {
    let identity = store.identity().clone();
    let lane = Lane::new(Settings { batch: store.limits(), ..settings.lane }, settings.hash_key, identity.fence);
    let shared = Rc::new(Shared::new(lane, Box::new(clock), identity, Box::new(store.clone()), settings.retention_ms));
    let handle = Handle(shared.clone());
    let inbox = shared.clone();
    let driver = Driver {
        replies: Replies::new(move |id, reply| inbox.push(Input::Replied(id, reply))),
        loading: Some(Box::pin(load(store.clone(), LoadCursor { standing: Standing::OPEN[0], after: None }))),
        finds: FuturesUnordered::new(),
        saving: None,
        out: Vec::new(),
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        timer_for: (None, Instant::now()),
        room_at: Instant::now(),
        alerts: Alerts::new(),
        store: store.clone(),
        transport,
        shared: shared.clone(),
    };
    let ended = async move {
        let purging = purge::run(store, shared.clone(), settings.retention_ms);
        let ended = tokio::select! {
            ended = driver.run() => ended,
            ended = purging => ended,
        };
        shared.end();
        ended
    };
    (handle, ended)
}

pub(crate) type Local<T> = Pin<Box<dyn Future<Output = T>>>;
/// A slice of open transactions, and where the next one begins.
type Loaded = (Vec<Stored>, Option<LoadCursor>);

struct Driver<S, T> {
    store: Rc<S>,
    transport: T,
    shared: Rc<Shared>,
    replies: Replies,
    loading: Option<Local<Result<Loaded, String>>>,
    finds: FuturesUnordered<Local<(Gid, Found)>>,
    saving: Option<Local<Result<(), Ended>>>,
    out: Vec<Output>,
    timer: Pin<Box<Sleep>>,
    /// What the timer was last set for: the lane's due time, and when to look at the room.
    timer_for: (Option<Timestamp>, Instant),
    room_at: Instant,
    alerts: Alerts,
}

/// What woke the driver, beside the inbox and the timer.
enum Woken {
    Saved(Result<(), Ended>),
    Loaded(Result<Loaded, String>),
    Found(Gid, Found),
    Inbox,
}

impl<S: Store + 'static, T: Transport> Driver<S, T> {
    async fn run(mut self) -> Ended {
        loop {
            if let Err(broken) = self.look_at_room() {
                return Ended::Broken(broken);
            }
            self.take_in();
            if self.saving.is_none() && self.shared.lane.borrow().wants_flush(self.shared.clock.now()) {
                self.gather().await;
                self.cut();
            }
            if self.shared.lane.borrow().idle() {
                self.shared.rested.notify_waiters();
            }
            match self.woken().await {
                Woken::Saved(Ok(())) => {
                    self.saving = None;
                    // What a full disk still has is for open transactions: new ones are refused from the next on.
                    if !self.shared.disk_full.get() && self.store.room() == Ok(Room::Full) {
                        self.room_at = Instant::now();
                    }
                    self.handle(Input::Saved(Saved::Applied));
                }
                Woken::Saved(Err(ended)) => {
                    self.handle(Input::Saved(Saved::Fenced));
                    return ended;
                }
                Woken::Loaded(Ok((slice, next))) => {
                    self.loaded(slice, next);
                    // A store that reads at once would otherwise load everything before anybody else gets a turn.
                    tokio::task::yield_now().await;
                }
                Woken::Loaded(Err(broken)) => return Ended::Broken(broken),
                Woken::Found(gid, found) => self.handle(Input::Found(gid, found)),
                Woken::Inbox => {}
            }
        }
    }

    /// Everything that has come in, and what is due.
    fn take_in(&mut self) {
        let mut inputs = std::mem::take(&mut *self.shared.inbox.borrow_mut());
        for input in inputs.drain(..) {
            self.handle(input);
        }
        // Its allocation serves again.
        let mut inbox = self.shared.inbox.borrow_mut();
        if inbox.capacity() < inputs.capacity() && inbox.is_empty() {
            *inbox = inputs;
        }
        drop(inbox);
        // Polled with a waker of its own again before the driver rests.
        while let Some(Some((gid, found))) = self.finds.next().now_or_never() {
            self.handle(Input::Found(gid, found));
        }
        let now = self.shared.clock.now();
        if self.shared.lane.borrow().next_due().is_some_and(|at| at <= now) {
            self.handle(Input::Due);
        }
    }

    /// What else is ready belongs into the same batch: other tasks and the sockets get their turn until nothing new
    /// comes in.
    async fn gather(&mut self) {
        for _ in 0..GATHER_MAX {
            tokio::task::yield_now().await;
            if self.shared.inbox.borrow().is_empty() {
                return;
            }
            self.take_in();
        }
    }

    fn handle(&mut self, input: Input) {
        let now = self.shared.clock.now();
        self.shared.lane.borrow_mut().handle(input, now, &mut self.out);
        self.carry_out();
    }

    fn cut(&mut self) {
        let now = self.shared.clock.now();
        self.shared.lane.borrow_mut().flush(now, &mut self.out);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        for output in out.drain(..) {
            match output {
                Output::Save(batch) => {
                    assert!(self.saving.is_none(), "one batch in flight");
                    let save = save_until_known(self.store.clone(), Arc::new(batch), self.shared.clone());
                    self.saving = Some(Box::pin(save));
                }
                Output::Call(call) => self.transport.call(call, &self.replies),
                Output::Answer(ticket, answer) => self.shared.answer(ticket, answer),
                Output::Alert(gid, alert) => self.alerts.tell(&gid, alert),
                Output::Find(gid) => self.finds.push(Box::pin(find(self.store.clone(), gid))),
            }
        }
        // Its allocation serves again.
        self.out = out;
    }

    fn loaded(&mut self, slice: Vec<Stored>, next: Option<LoadCursor>) {
        let loading = if next.is_some() { Loading::More } else { Loading::Over };
        self.handle(Input::Loaded(slice, loading));
        self.loading = next.map(|cursor| Box::pin(load(self.store.clone(), cursor)) as Local<_>);
        if loading == Loading::Over {
            self.shared.loading.set(false);
            let loaded = self.shared.lane.borrow().figures().loaded;
            tracing::info!(open = loaded, "all open transactions are in memory");
        }
    }

    fn look_at_room(&mut self) -> Result<(), String> {
        let now = Instant::now();
        if now < self.room_at {
            return Ok(());
        }
        self.alerts.sum_up(now);
        self.room_at = now + ROOM_EVERY;
        let full = self.store.room()? == Room::Full;
        if self.shared.disk_full.replace(full) != full {
            if full {
                tracing::error!("the disk is full: new transactions are refused, open ones go on");
            } else {
                tracing::info!("the disk has room again: new transactions are accepted");
            }
        }
        let admission = self.shared.admission();
        self.handle(Input::Admit(admission));
        Ok(())
    }

    /// Waits for whatever comes first. A save comes before everything else: gates wait for it.
    async fn woken(&mut self) -> Woken {
        let due = self.shared.lane.borrow().next_due();
        let now = self.shared.clock.now();
        if due.is_some_and(|at| at <= now) {
            // More is due than one input handles: the sockets get their turn, then it goes on.
            tokio::task::yield_now().await;
            return Woken::Inbox;
        }
        if self.timer_for != (due, self.room_at) {
            let wait = due.map(|at| Instant::now() + Duration::from_millis(at.0 - now.0));
            self.timer.as_mut().reset(wait.map_or(self.room_at, |at| at.min(self.room_at)));
            self.timer_for = (due, self.room_at);
        }
        let notified = self.shared.wake.notified();
        tokio::pin!(notified);
        poll_fn(|cx| {
            if let Some(saving) = &mut self.saving
                && let Poll::Ready(saved) = saving.as_mut().poll(cx)
            {
                return Poll::Ready(Woken::Saved(saved));
            }
            if let Poll::Ready(Some((gid, found))) = self.finds.poll_next_unpin(cx) {
                return Poll::Ready(Woken::Found(gid, found));
            }
            if let Some(loading) = &mut self.loading
                && let Poll::Ready(loaded) = loading.as_mut().poll(cx)
            {
                return Poll::Ready(Woken::Loaded(loaded));
            }
            if let Poll::Ready(()) = notified.as_mut().poll(cx) {
                return Poll::Ready(Woken::Inbox);
            }
            self.timer.as_mut().poll(cx).map(|()| Woken::Inbox)
        })
        .await
    }
}

/// A save does not fail: it is applied; or nobody knows, and the identical batch is sent again; or the session is over.
async fn save_until_known<S: Store>(store: Rc<S>, batch: Arc<Batch>, shared: Rc<Shared>) -> Result<(), Ended> {
    let began = Instant::now();
    loop {
        match store.save(batch.clone()).await {
            Ok(()) => {
                shared.saves.add(batch.records.len(), began.elapsed());
                return Ok(());
            }
            Err(SaveError::Fenced) => return Err(Ended::Fenced),
            Err(SaveError::Broken(what)) => return Err(Ended::Broken(what)),
            Err(SaveError::Full) => {
                if !shared.disk_full.replace(true) {
                    tracing::error!("the disk is full: what has to be written waits for room");
                }
                shared.push(Input::Admit(shared.admission()));
            }
            Err(SaveError::Unknown(what)) => {
                tracing::warn!(batch = batch.number, "the outcome of a save is unknown: {what}")
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn find<S: Store>(store: Rc<S>, gid: Gid) -> (Gid, Found) {
    let found = match store.find(&gid).await {
        Ok(Some(stored)) => Found::Record(Box::new(stored)),
        Ok(None) => Found::Absent,
        Err(error @ (ReadError::Unavailable(_) | ReadError::Corrupt(_))) => {
            tracing::error!(%gid, %error, "a transaction could not be read");
            Found::Unreadable
        }
    };
    (gid, found)
}

async fn load<S: Store>(store: Rc<S>, cursor: LoadCursor) -> Result<Loaded, String> {
    loop {
        match store.load(&cursor, SLICE_MAX).await {
            Ok(slice) => return Ok((slice.stored, slice.next)),
            Err(ReadError::Corrupt(what)) => return Err(what),
            Err(ReadError::Unavailable(what)) => {
                tracing::warn!("open transactions could not be read, trying again: {what}")
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}
