//! `GET /v1/transactions/{gid}/events`: what happened, and what happens from now on, as server-sent events.
//!
//! Each stream is a task that holds one page of events at most, and nothing while it waits. It ends behind the last event,
//! when its client is gone, when the coordinator is about to stop, and when the transaction cannot be followed: whoever
//! connects again goes on behind the last event that was seen.
use super::history::seq;
use crate::app::App;
use crate::doors::refusal::problem;
use crate::http::{Query, Reply, header};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use unanim_api::{Problem, ProblemCode, event_frame};
use unanim_coordinator::Refusal;
use unanim_engine::Gid;
use unanim_node::HistoryPage;

/// Events that are read, and sent, at once.
const EVENTS_MAX: usize = 100;
/// So that whatever is in between sees that the connection lives, and the server whether the client does.
const PING_EVERY: Duration = Duration::from_secs(15);
/// The pause before a transaction that may not be loaded yet is asked for again.
const LOADING_AGAIN: Duration = Duration::from_millis(100);
/// A comment: clients pass over it.
const PING: Bytes = Bytes::from_static(b": ping\n\n");

pub(in crate::doors) async fn events(app: &Rc<App>, gid: Gid, request: &Request<Incoming>) -> Result<Reply, Problem> {
    Query::parse(request.uri().query(), &[])?;
    let after = last_event_id(request)?;
    // Its place is free again when this ends early, too.
    let place = Place::take(app).ok_or_else(|| too_many(&gid))?;
    if app.stop.is_called() {
        return Err(Problem::new(ProblemCode::Draining, "no stream begins any more").about(&gid));
    }
    let first = app.handle.history(&gid, after, EVENTS_MAX).await;
    let first = first.map_err(|refusal| problem(&gid, refusal, |_| String::new()))?;
    if first.finished && first.events.is_empty() {
        return Ok(Reply::nothing().about(gid));
    }
    let (sender, pieces) = mpsc::channel(1);
    let stream = Stream { place, gid: gid.clone(), after, sender };
    spawn_local(stream.run(first));
    Ok(Reply::stream("text/event-stream", pieces).about(gid))
}

/// The number of the last event that the client has seen; 0 before the first.
fn last_event_id(request: &Request<Incoming>) -> Result<u64, Problem> {
    const NAME: &str = "last-event-id";
    if !request.headers().contains_key(NAME) {
        return Ok(0);
    }
    match header(request.headers(), NAME) {
        Some("") => Ok(0),
        id => id.and_then(seq).ok_or_else(|| {
            Problem::new(ProblemCode::InvalidRequest, "Last-Event-ID is not the id of an event: a whole number")
        }),
    }
}

fn too_many(gid: &Gid) -> Problem {
    Problem::new(ProblemCode::TooManyStreams, "read the history instead, or follow fewer transactions").about(gid)
}

/// One of the streams that there may be.
struct Place(Rc<App>);

impl Place {
    fn take(app: &Rc<App>) -> Option<Place> {
        let streams = app.metrics.streams.get();
        (streams < app.streams_max()).then(|| {
            app.metrics.streams.set(streams + 1);
            Place(app.clone())
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.metrics.streams.set(self.0.metrics.streams.get() - 1);
    }
}

struct Stream {
    place: Place,
    gid: Gid,
    after: u64,
    sender: mpsc::Sender<Bytes>,
}

impl Stream {
    /// What is not sent when it ends is read again by whoever connects again.
    async fn run(mut self, first: HistoryPage) {
        let app = self.place.0.clone();
        let sender = self.sender.clone();
        tokio::select! {
            biased;
            () = app.stop.called() => {}
            () = sender.closed() => {}
            () = self.send_all(first) => {}
        }
    }

    async fn send_all(&mut self, mut page: HistoryPage) {
        loop {
            if !page.events.is_empty() && self.sender.send(self.frames(&page)).await.is_err() {
                return;
            }
            self.after = page.events.last().map_or(self.after, |event| event.seq);
            if page.finished {
                return;
            }
            let Some(next) = self.next().await else { return };
            page = next;
        }
    }

    /// The next page; none where there will be none for this stream.
    async fn next(&self) -> Option<HistoryPage> {
        let handle = &self.place.0.handle;
        let mut following = pin!(handle.follow(&self.gid, self.after, EVENTS_MAX));
        loop {
            match timeout(PING_EVERY, following.as_mut()).await {
                Ok(Ok(page)) => return Some(page),
                Ok(Err(Refusal::Loading)) => {
                    sleep(LOADING_AGAIN).await;
                    following.set(handle.follow(&self.gid, self.after, EVENTS_MAX));
                }
                Ok(Err(refusal)) => {
                    tracing::debug!(gid = %self.gid, ?refusal, "a stream of events ends early");
                    return None;
                }
                Err(_) => self.sender.send(PING).await.ok()?,
            }
        }
    }

    fn frames(&self, page: &HistoryPage) -> Bytes {
        let mut frames = Vec::new();
        page.events.iter().for_each(|event| event_frame(event, &mut frames));
        frames.into()
    }
}
