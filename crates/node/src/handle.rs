//! How front doors reach the lane.
use crate::access::Access;
use crate::ports::{Clock, Identity, StoreFigures};
use crate::saves::{SaveFigures, Saves};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, oneshot};
use unanim_coordinator::{Admission, Answer, Figures, Input, Lane, Refusal, Request, Ticket};
use unanim_engine::{Gid, Timestamp};
use uuid::Uuid;

/// Asks the lane, from the thread that it lives on. Cheap to clone.
#[derive(Clone)]
pub struct Handle(pub(crate) Rc<Shared>);

/// What the handles and the driver share.
pub(crate) struct Shared {
    pub(crate) lane: RefCell<Lane>,
    pub(crate) clock: Box<dyn Clock>,
    identity: Identity,
    pub(crate) inbox: RefCell<Vec<Input>>,
    /// The driver has something to do.
    pub(crate) wake: Notify,
    tickets: RefCell<HashMap<Ticket, oneshot::Sender<Answer>>>,
    last_ticket: Cell<u64>,
    pub(crate) loading: Cell<bool>,
    pub(crate) disk_full: Cell<bool>,
    draining: Cell<bool>,
    pub(crate) ended: Cell<bool>,
    /// For how long the oldest finished transaction should have been gone.
    pub(crate) purge_lag: Cell<Duration>,
    pub(crate) saves: Saves,
    pub(crate) store: Box<dyn Access>,
    pub(crate) retention_ms: u64,
    /// One at a time: a store queues few, and whoever orders more would wait with the lane's thread.
    pub(crate) forgetting: Arc<Semaphore>,
    /// The driver has come to rest.
    pub(crate) rested: Notify,
}

/// Whether the node is of use to a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All open transactions are in memory, and new ones may begin.
    Ready,
    /// Open transactions are being read; so many are in memory.
    Loading {
        /// Read so far.
        loaded: u64,
    },
    /// New transactions are refused: the store has no room.
    DiskFull,
    /// New transactions are refused: the node is about to stop.
    Draining,
    /// The session is over.
    Ended,
}

/// Counts for people and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeFigures {
    /// The lane's.
    pub lane: Figures,
    /// The store's.
    pub store: StoreFigures,
    /// For how long the oldest finished transaction should have been gone: its retention is over.
    pub purge_lag: Duration,
    /// Of the saves.
    pub saves: SaveFigures,
}

impl Shared {
    pub(crate) fn new(
        lane: Lane,
        clock: Box<dyn Clock>,
        identity: Identity,
        store: Box<dyn Access>,
        retention_ms: u64,
    ) -> Shared {
        Shared {
            lane: RefCell::new(lane),
            clock,
            identity,
            inbox: RefCell::default(),
            wake: Notify::new(),
            tickets: RefCell::default(),
            last_ticket: Cell::new(0),
            loading: Cell::new(true),
            disk_full: Cell::new(false),
            draining: Cell::new(false),
            ended: Cell::new(false),
            purge_lag: Cell::default(),
            saves: Saves::default(),
            store,
            retention_ms,
            forgetting: Arc::new(Semaphore::new(1)),
            rested: Notify::new(),
        }
    }

    pub(crate) fn push(&self, input: Input) {
        self.inbox.borrow_mut().push(input);
        self.wake.notify_one();
    }

    pub(crate) fn answer(&self, ticket: Ticket, answer: Answer) {
        if let Some(asker) = self.tickets.borrow_mut().remove(&ticket) {
            // One that is gone needs none.
            let _ = asker.send(answer);
        }
    }

    /// Whether new transactions may begin.
    pub(crate) fn admission(&self) -> Admission {
        match (self.draining.get(), self.disk_full.get()) {
            (true, _) => Admission::Draining,
            (false, true) => Admission::DiskFull,
            (false, false) => Admission::Open,
        }
    }

    /// The driver has stopped: nobody will be answered any more.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.tickets.borrow_mut().clear();
        self.rested.notify_waiters();
    }
}

impl Handle {
    /// Asks; dropping the future tells the lane that the asker is gone, which changes nothing else.
    pub fn ask(&self, gid: Gid, request: Request) -> Asking {
        let shared = &self.0;
        let ticket = Ticket(shared.last_ticket.get() + 1);
        shared.last_ticket.set(ticket.0);
        let (sender, answer) = oneshot::channel();
        if !shared.ended.get() {
            shared.tickets.borrow_mut().insert(ticket, sender);
            shared.push(Input::Request(ticket, gid.clone(), request));
        }
        Asking { answer, ticket, gid, shared: shared.clone() }
    }

    /// A gid that nobody has used: a UUID of version 7, so that neighbours in time are neighbours in the store.
    pub fn new_gid(&self) -> Gid {
        let mut text = Uuid::encode_buffer();
        Gid::new(Uuid::now_v7().hyphenated().encode_lower(&mut text)).expect("a UUID is a name")
    }

    /// Whose store this is.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The node's time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Whether the node is of use to a load balancer.
    pub fn readiness(&self) -> Readiness {
        let shared = &self.0;
        match shared.admission() {
            _ if shared.ended.get() => Readiness::Ended,
            Admission::Draining => Readiness::Draining,
            _ if shared.loading.get() => Readiness::Loading { loaded: shared.lane.borrow().figures().loaded },
            Admission::DiskFull => Readiness::DiskFull,
            Admission::Open => Readiness::Ready,
        }
    }

    /// Counts for people and metrics.
    pub fn figures(&self) -> NodeFigures {
        let purge_lag = self.0.purge_lag.get();
        NodeFigures {
            lane: self.0.lane.borrow().figures(),
            store: self.0.store.figures(),
            saves: self.0.saves.figures(),
            purge_lag,
        }
    }

    /// From now on no new transaction begins.
    pub fn drain(&self) {
        self.0.draining.set(true);
        self.0.push(Input::Admit(self.0.admission()));
    }

    /// Resolves when no call is in flight, nothing waits in a line and nothing is being saved.
    pub async fn idle(&self) {
        loop {
            let rested = self.0.rested.notified();
            let nothing_waits = self.0.inbox.borrow().is_empty() && self.0.lane.borrow().idle();
            if nothing_waits || self.0.ended.get() {
                return;
            }
            rested.await;
        }
    }
}

/// An answer to come.
pub struct Asking {
    answer: oneshot::Receiver<Answer>,
    ticket: Ticket,
    gid: Gid,
    shared: Rc<Shared>,
}

impl Asking {
    /// Waits no longer for what was to be waited for: the answer comes as soon as it may be said.
    pub fn hurry(&self) {
        self.shared.push(Input::Hurry(self.ticket, self.gid.clone()));
    }
}

impl Future for Asking {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        // The sender is dropped unanswered only when the session has ended.
        Pin::new(&mut self.answer).poll(cx).map(|answer| answer.unwrap_or(Answer::Refused(Refusal::Unavailable)))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.shared.tickets.borrow_mut().remove(&self.ticket).is_some() {
            self.shared.push(Input::Gone(self.ticket, self.gid.clone()));
        }
    }
}
