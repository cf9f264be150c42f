//! What the front doors share. One thread, one of it.
use crate::doors::docs::Shelf;
use crate::gate::Gate;
use crate::telemetry::metrics::Metrics;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use tokio::sync::Notify;
use unanim_adapters::transport::http::HttpTransport;
use unanim_adapters::transport::{AllowList, Endpoint, NotAllowed};
use unanim_api::inquiry::Signer;
use unanim_api::{BadEndpoint, Door};
use unanim_engine::{Limits, Participant};
use unanim_node::Handle;

/// Endpoints that are known to be allowed: the same ones come with every transaction.
const ENDPOINTS_MAX: usize = 2_048;
/// Streams of events at most, however many connections there may be.
const STREAMS_MAX: usize = 10_000;

/// What the front doors share.
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) transport: HttpTransport,
    pub(crate) gate: Gate,
    pub(crate) allow: AllowList,
    /// Endpoints that were judged already, and may be called.
    pub(crate) endpoints: RefCell<HashMap<Box<str>, Participant>>,
    pub(crate) limits: Limits,
    pub(crate) classic_is_on: bool,
    /// For the votes of a classic transaction, and for each of its calls.
    pub(crate) classic_prepare_ms: u32,
    /// The UUID of the store.
    pub(crate) store: String,
    /// Checks the keys of inquiries.
    pub(crate) signer: Signer,
    pub(crate) metrics: Metrics,
    /// The path of the public URL, under which clients see every path.
    pub(crate) base: String,
    pub(crate) shelf: Shelf,
    /// Every request is logged, whatever became of it.
    pub(crate) logs_access: bool,
    /// No further request is read.
    pub(crate) stop: Signal,
    /// Whoever waits is to be answered now.
    pub(crate) hurry: Signal,
    /// A connection has ended.
    pub(crate) left: Notify,
}

impl App {
    /// Whom an endpoint's calls go to, if they may.
    pub(crate) fn endpoint(&self, url: &str) -> Result<Participant, BadEndpoint> {
        if let Some(known) = self.endpoints.borrow().get(url) {
            return Ok(known.clone());
        }
        let participant = self.judge_endpoint(url)?;
        let mut endpoints = self.endpoints.borrow_mut();
        if endpoints.len() >= ENDPOINTS_MAX {
            endpoints.clear();
        }
        endpoints.insert(url.into(), participant.clone());
        Ok(participant)
    }

    fn judge_endpoint(&self, url: &str) -> Result<Participant, BadEndpoint> {
        let endpoint = Endpoint::parse(url).map_err(|why| match why {
            // An address in disguise: whatever it leads to, no entry of the list is spelled like this.
            unanim_adapters::transport::BadEndpoint::NumericHost => {
                BadEndpoint::NotAllowed(format!("{why}; --allow knows no other spelling"))
            }
            why => BadEndpoint::Invalid(why.to_string()),
        })?;
        self.allow.permits(&endpoint.host, endpoint.port).map_err(|why| match why {
            NotAllowed::Spelling(why) => BadEndpoint::Invalid(why.to_string()),
            why @ (NotAllowed::Unlisted { .. } | NotAllowed::Nowhere { .. } | NotAllowed::Resolved { .. }) => {
                BadEndpoint::NotAllowed(why.to_string())
            }
        })?;
        Participant::new(&endpoint.participant()).map_err(|why| BadEndpoint::Invalid(why.to_string()))
    }

    /// Streams of events that there may be: other requests keep half of the connections.
    pub(crate) fn streams_max(&self) -> usize {
        STREAMS_MAX.min(self.metrics.connections_max.get() / 2)
    }

    /// Judges a v1 body.
    pub(crate) fn with_door<T>(&self, traceparent: Option<&str>, judge: impl FnOnce(&Door<'_>) -> T) -> T {
        judge(&Door { limits: self.limits, endpoint: &|url| self.endpoint(url), traceparent })
    }
}

/// Is called once; whoever waits for it or comes later goes on.
#[derive(Default)]
pub(crate) struct Signal {
    is_called: Cell<bool>,
    waiting: Notify,
}

impl Signal {
    pub(crate) fn call(&self) {
        self.is_called.set(true);
        self.waiting.notify_waiters();
    }

    pub(crate) fn is_called(&self) -> bool {
        self.is_called.get()
    }

    pub(crate) async fn called(&self) {
        if !self.is_called() {
            self.waiting.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_reaches_those_who_wait_and_those_who_come_later() {
        let signal = Signal::default();
        tokio::join!(signal.called(), async { signal.call() });
        signal.called().await;
        assert!(signal.is_called());
    }
}
