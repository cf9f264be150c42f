//! Calls over HTTP/1.1: pooled keep-alive connections, a task each, all on one thread.
//!
//! A call goes to an idle connection of its origin, or a new one is made for it; the connection's task delivers the
//! reply. No redirect is followed, no proxy asked, no cookie kept. Lives inside a `LocalSet` or a `LocalRuntime`.
mod connect;
mod connection;
mod figures;
mod origin;
mod pool;
mod reply;
mod request;
mod tls;

pub use figures::{Ended, TransportFigures};
pub use reply::{Answer, classify};
pub use request::{BadHeader, check_header};
pub use tls::BadCaFile;

use super::AllowList;
use origin::{Job, Waiting};
use pool::{Placed, Pool};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};
use unanim_coordinator::Call;
use unanim_engine::{Failure, Reply};
use unanim_node::ports::{Replies, Transport};
use uuid::Uuid;

/// What a transport over HTTP needs to know.
#[derive(Clone)]
pub struct HttpOptions {
    /// Under which participants reach this coordinator; the beginning of `Unanim-Inquiry`.
    pub public_url: String,
    /// Whose the inquiry is.
    pub store_uuid: Uuid,
    /// Signs the inquiry's URL.
    pub secret: [u8; 32],
    /// Whom calls may reach.
    pub allow: AllowList,
    /// PEM file with the only certificates that vouch for `https` participants; the platform's without one.
    pub ca: Option<PathBuf>,
    /// To resolve, connect and shake hands.
    pub connect_timeout: Duration,
    /// An idle connection is closed after this.
    pub idle_timeout: Duration,
    /// Connections to one origin; further calls wait. Above what a lane has in flight to one participant.
    pub connections_per_origin_max: usize,
    /// No more of a reply's body is read.
    pub reply_bytes_max: usize,
}

impl HttpOptions {
    /// The defaults; calls to loopback only.
    pub fn new(public_url: &str, store_uuid: Uuid, secret: [u8; 32]) -> HttpOptions {
        HttpOptions {
            public_url: public_url.to_owned(),
            store_uuid,
            secret,
            allow: AllowList::default(),
            ca: None,
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(60),
            connections_per_origin_max: 256,
            reply_bytes_max: 64 << 10,
        }
    }
}

/// Reaches participants over HTTP. Clones share their connections.
#[derive(Clone)]
pub struct HttpTransport(Rc<Pool>);

impl HttpTransport {
    /// Makes no connection yet.
    ///
    /// # Errors
    /// The file of `ca` cannot be read, or holds no certificate.
    pub fn new(options: HttpOptions) -> Result<HttpTransport, BadCaFile> {
        let renderer = request::Renderer::new(&options.public_url, options.store_uuid, &options.secret);
        let trust = tls::Trust::new(options.ca.as_deref())?;
        Ok(HttpTransport(Rc::new(Pool::new(options, renderer, trust))))
    }

    /// Ends idle connections, and the others after their calls. Later calls are made over connections of their own.
    pub fn close(&self) {
        self.0.close();
    }

    /// What it counted.
    pub fn figures(&self) -> TransportFigures {
        self.0.figures.read(self.0.connections(), self.0.idle())
    }

    /// A call that failed before it was one; told later, as every reply is.
    fn fail(&self, id: unanim_coordinator::CallId, replies: &Replies, failure: Failure) {
        let (pool, replies, reply) = (self.0.clone(), replies.clone(), Reply::unknown(failure));
        spawn_local(async move { pool.deliver(id, &replies, reply) });
    }
}

impl Transport for HttpTransport {
    fn call(&self, call: Call, replies: &Replies) {
        figures::bump(&self.0.figures.calls);
        let spot = call.spec.callee.target.url(call.id.op).and_then(|url| self.0.spot(url));
        let Some(spot) = spot else { return self.fail(call.id, replies, Failure::Connect) };
        let deadline = Instant::now() + Duration::from_millis(call.spec.callee.call_timeout_ms.into());
        match self.0.place(Job::new(call, replies.clone(), spot, deadline)) {
            Placed::Seated => {}
            Placed::Connect(counted, job) => drop(spawn_local(connection::run(self.0.clone(), counted, job))),
            Placed::Waits(waiting, until) => drop(spawn_local(expire(self.0.clone(), waiting, until))),
        }
    }
}

/// Ends a call that waits for a connection when its time is up, unless one has taken it.
async fn expire(pool: Rc<Pool>, waiting: Rc<Waiting>, until: Instant) {
    sleep_until(until).await;
    if let Some(job) = waiting.take() {
        pool.answer(job, Reply::unknown(Failure::Timeout));
    }
}
