//! One origin: its connections' seats, the calls that wait for one, and what is known of its addresses.
use crate::transport::endpoint::Endpoint;
use http::Uri;
use http::header::HeaderValue;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;
use tokio::sync::Notify;
use tokio::time::Instant;
use unanim_coordinator::Call;
use unanim_engine::{Failure, Reply};
use unanim_node::ports::Replies;

/// One call on its way. However its task ends, it is answered: the lane waits for that.
pub(super) struct Job {
    pub(super) call: Call,
    pub(super) spot: Rc<Spot>,
    /// When its time is up.
    pub(super) deadline: Instant,
    pub(super) owed: Option<Replies>,
}

impl Job {
    pub(super) fn new(call: Call, replies: Replies, spot: Rc<Spot>, deadline: Instant) -> Job {
        Job { call, spot, deadline, owed: Some(replies) }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(replies) = self.owed.take() {
            replies.deliver(self.call.id.clone(), Reply::unknown(Failure::Reset));
        }
    }
}

/// A URL, taken apart once.
pub(super) struct Spot {
    pub(super) origin: Rc<Origin>,
    /// What the request line says.
    pub(super) uri: Uri,
    /// The path without its last slash: what the small protocol's paths hang on.
    pub(super) base: Box<str>,
}

/// Scheme, host and port, and the connections there.
pub(super) struct Origin {
    pub(super) endpoint: Endpoint,
    pub(super) host_header: HeaderValue,
    pub(super) lookup: RefCell<Lookup>,
    /// Nobody could be reached there a moment ago.
    pub(super) left_alone_until: Cell<Option<Instant>>,
    /// The one that was used last is taken first, so that those too many grow old.
    pub(super) idle: RefCell<Vec<Rc<Seat>>>,
    pub(super) connections: Cell<usize>,
    pub(super) waiting: RefCell<VecDeque<Rc<Waiting>>>,
}

/// Where an idle connection's next call is left.
#[derive(Default)]
pub(super) struct Seat {
    pub(super) job: RefCell<Option<Job>>,
    waker: RefCell<Option<Waker>>,
}

/// A call for which there may be no more connections.
pub(super) struct Waiting(pub(super) RefCell<Option<Job>>);

impl Origin {
    /// The call that has waited longest, if any still does.
    pub(super) fn next_waiting(&self) -> Option<Job> {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(next) = waiting.pop_front() {
            if let Some(job) = next.take() {
                return Some(job);
            }
        }
        None
    }
}

/// Counts a connection that [`super::pool::Pool::place`] has asked for until it has ended, however that may be.
pub(super) struct Counted(pub(super) Rc<Origin>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
    }
}

impl Waiting {
    /// Whoever comes first has the call.
    pub(super) fn take(&self) -> Option<Job> {
        self.0.borrow_mut().take()
    }
}

impl Seat {
    /// The call that was left here.
    pub(super) fn take(&self) -> Option<Job> {
        self.job.borrow_mut().take()
    }

    /// Who is to be woken when one is.
    pub(super) fn register(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        match &mut *known {
            Some(known) => known.clone_from(waker),
            None => *known = Some(waker.clone()),
        }
    }

    pub(super) fn wake(&self) {
        let waker = self.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What is known of a name's addresses. One look-up per origin is under way at a time: each holds a thread.
#[derive(Default)]
pub(super) enum Lookup {
    #[default]
    Unknown,
    /// Somebody asks; the others are told.
    Running(Rc<Notify>),
    /// Good until then.
    Known(Instant, Rc<[SocketAddr]>),
}
