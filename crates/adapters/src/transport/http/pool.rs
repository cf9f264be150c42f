//! Who is called, over which connections, and who waits for one.
use super::HttpOptions;
use super::figures::Figures;
use super::origin::{Counted, Job, Origin, Seat, Spot, Waiting};
use super::request::Renderer;
use super::tls::Trust;
use crate::transport::endpoint::Endpoint;
use http::Uri;
use http::header::HeaderValue;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use tokio::time::Instant;
use unanim_coordinator::CallId;
use unanim_engine::Reply;
use unanim_node::ports::Replies;

/// Connections that may lie idle, of all origins together.
const IDLE_MAX: usize = 4_096;
/// URLs whose parts are kept.
const SPOTS_MAX: usize = 8_192;

/// What becomes of a call.
pub(super) enum Placed {
    /// An idle connection has it.
    Seated,
    /// It needs a connection of its own.
    Connect(Counted, Job),
    /// It waits; whoever is told looks after its time.
    Waits(Rc<Waiting>, Instant),
}

/// Everything that connections share.
pub(super) struct Pool {
    pub(super) options: HttpOptions,
    pub(super) renderer: Renderer,
    pub(super) trust: Trust,
    pub(super) figures: Figures,
    origins: RefCell<HashMap<String, Rc<Origin>>>,
    spots: RefCell<HashMap<Box<str>, Rc<Spot>>>,
    idle: Cell<usize>,
    closed: Cell<bool>,
}

impl Pool {
    pub(super) fn new(options: HttpOptions, renderer: Renderer, trust: Trust) -> Pool {
        Pool {
            options,
            renderer,
            trust,
            figures: Figures::default(),
            origins: RefCell::default(),
            spots: RefCell::default(),
            idle: Cell::new(0),
            closed: Cell::new(false),
        }
    }

    /// A URL's parts; none where it is no endpoint.
    pub(super) fn spot(&self, url: &str) -> Option<Rc<Spot>> {
        if let Some(spot) = self.spots.borrow().get(url) {
            return Some(spot.clone());
        }
        let endpoint = Endpoint::parse(url).ok()?;
        let uri = Uri::try_from(&*endpoint.path).ok()?;
        let base = endpoint.path.split('?').next().unwrap_or_default().trim_end_matches('/').into();
        let spot = Rc::new(Spot { origin: self.origin(endpoint)?, uri, base });
        let mut spots = self.spots.borrow_mut();
        if spots.len() >= SPOTS_MAX {
            spots.clear();
            // Only those that somebody is still connected to.
            self.origins.borrow_mut().retain(|_, origin| origin.connections.get() > 0);
        }
        spots.insert(url.into(), spot.clone());
        Some(spot)
    }

    fn origin(&self, endpoint: Endpoint) -> Option<Rc<Origin>> {
        let name = endpoint.participant();
        if let Some(origin) = self.origins.borrow().get(&name) {
            return Some(origin.clone());
        }
        let host = match endpoint.port == endpoint.scheme.default_port() {
            true => endpoint.host.to_string(),
            false => format!("{}:{}", endpoint.host, endpoint.port),
        };
        let origin = Rc::new(Origin {
            host_header: HeaderValue::try_from(host).ok()?,
            endpoint,
            lookup: RefCell::default(),
            left_alone_until: Cell::default(),
            idle: RefCell::default(),
            connections: Cell::new(0),
            waiting: RefCell::default(),
        });
        self.origins.borrow_mut().insert(name, origin.clone());
        Some(origin)
    }

    /// Finds a connection for a call.
    pub(super) fn place(&self, job: Job) -> Placed {
        let origin = &job.spot.origin;
        let seat = origin.idle.borrow_mut().pop();
        if let Some(seat) = seat {
            self.idle.set(self.idle.get() - 1);
            *seat.job.borrow_mut() = Some(job);
            seat.wake();
            return Placed::Seated;
        }
        if origin.connections.get() >= self.options.connections_per_origin_max {
            let (origin, deadline) = (origin.clone(), job.deadline);
            let waiting = Rc::new(Waiting(RefCell::new(Some(job))));
            origin.waiting.borrow_mut().push_back(waiting.clone());
            return Placed::Waits(waiting, deadline);
        }
        origin.connections.set(origin.connections.get() + 1);
        Placed::Connect(Counted(origin.clone()), job)
    }

    /// Leaves an idle connection's seat where the next call finds it; not where there are too many.
    pub(super) fn park(&self, origin: &Origin, seat: &Rc<Seat>) -> bool {
        if self.closed.get() || self.idle.get() >= IDLE_MAX {
            return false;
        }
        self.idle.set(self.idle.get() + 1);
        origin.idle.borrow_mut().push(seat.clone());
        true
    }

    /// Takes a seat back whose connection ends.
    pub(super) fn unpark(&self, origin: &Origin, seat: &Rc<Seat>) {
        let mut idle = origin.idle.borrow_mut();
        if let Some(at) = idle.iter().position(|other| Rc::ptr_eq(other, seat)) {
            idle.swap_remove(at);
            self.idle.set(self.idle.get() - 1);
        }
    }

    /// Delivers a call's one reply. Nothing of the pool is borrowed meanwhile: whoever gets it may make calls.
    pub(super) fn deliver(&self, id: CallId, replies: &Replies, reply: Reply) {
        self.figures.count(&id.participant, &reply);
        replies.deliver(id, reply);
    }

    /// [`Pool::deliver`] for a call that was on its way.
    pub(super) fn answer(&self, mut job: Job, reply: Reply) {
        if let Some(replies) = job.owed.take() {
            self.deliver(job.call.id.clone(), &replies, reply);
        }
    }

    pub(super) fn closed(&self) -> bool {
        self.closed.get()
    }

    /// No further connections lie idle, and those that do end.
    pub(super) fn close(&self) {
        self.closed.set(true);
        let origins: Vec<_> = self.origins.borrow().values().cloned().collect();
        origins.iter().for_each(|origin| origin.idle.borrow().iter().for_each(|seat| seat.wake()));
    }

    /// Connections that are open or being opened.
    pub(super) fn connections(&self) -> usize {
        self.origins.borrow().values().map(|origin| origin.connections.get()).sum()
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.get()
    }
}
