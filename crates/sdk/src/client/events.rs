//! Server-sent events of one transaction: as they happen, and from where they broke off.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::attempts::{Attempt, READ_TIMEOUT, Try};
use super::{Client, Error, of};
use crate::http::Failure;
use crate::words::words;

/// The server says something every 15 s; a connection that is silent for longer has broken.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// No event is larger: a participant's reply is in it in part at most.
const LINE_MAX: usize = 1 << 20;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);

words! {
    /// What happened.
    EventKind {
        /// It was accepted.
        Begun = "begun",
        /// A branch was added.
        BranchAdded = "branch_added",
        /// A phase was entered.
        Phase = "phase",
        /// A branch voted.
        Voted = "voted",
        /// The outcome is decided.
        Decided = "decided",
        /// A branch has acknowledged the decision.
        Acknowledged = "acknowledged",
        /// It has been in its phase for longer than is normal.
        Stuck = "stuck",
        /// A participant finished on its own.
        Heuristic = "heuristic",
        /// A person has settled a branch.
        Resolved = "resolved",
        /// The end.
        Finished = "finished",
    }
}

/// One durable event of a transaction.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its number.
    pub seq: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// What happened.
    pub kind: EventKind,
    /// The whole object, as it came.
    pub body: Box<RawValue>,
}

impl Event {
    /// The whole object, for what belongs to its kind.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.body.get())
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Said {
            seq: u64,
            at: String,
            r#type: EventKind,
        }
        let body = Box::<RawValue>::deserialize(from)?;
        let said: Said = serde_json::from_str(body.get()).map_err(serde::de::Error::custom)?;
        Ok(Self { seq: said.seq, at: said.at, kind: said.r#type, body })
    }
}

/// The events of a transaction, first those that there are, then each as it happens, until it is finished. None is missed
/// and none comes twice, over lost connections and restarts of the coordinator.
#[derive(Debug)]
pub struct Events {
    client: Client,
    gid: String,
    last_id: Option<String>,
    open: Option<Connection>,
    /// Before it connects again, when nothing came the last time.
    pause: Duration,
    is_over: bool,
}

impl Client {
    /// The events of a transaction.
    ///
    /// ```no_run
    /// # async fn example(client: unanim::Client) -> Result<(), unanim::Error> {
    /// let mut events = client.events("order-17");
    /// while let Some(event) = events.next().await? {
    ///     println!("{} {} {}", event.seq, event.at, event.kind);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self, gid: impl Into<String>) -> Events {
        Events { client: self.clone(), gid: gid.into(), last_id: None, open: None, pause: PAUSE_FIRST, is_over: false }
    }

    /// The events of a transaction after the one of this number.
    pub fn events_after(&self, gid: impl Into<String>, seq: u64) -> Events {
        Events { last_id: Some(seq.to_string()), ..self.events(gid) }
    }
}

impl Events {
    /// The next event; none when the transaction is finished. When the connection breaks, the coordinator is asked for
    /// what follows, for as long as the client has patience. After an error it may be called again, and goes on.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            self.connect().await?;
            // All were seen.
            let Some(open) = self.open.as_mut().filter(|_| !self.is_over) else { return Ok(None) };
            match open.next().await {
                Ok(Some(message)) => return self.read(message).map(Some),
                // Closed without an end: the coordinator is about to stop.
                Ok(None) => self.open = None,
                Err(why) => {
                    let why = Error::failed(&open.address, why);
                    self.open = None;
                    if !why.is_retryable() || self.client.patience.is_zero() {
                        return Err(why);
                    }
                    if let Some(told) = &self.client.on_retry {
                        told(&why);
                    }
                }
            }
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
    }

    /// Connects, if it is not connected and there is more to come, without waiting for an event.
    pub async fn connect(&mut self) -> Result<(), Error> {
        if self.open.is_none() && !self.is_over {
            let connect = Connect { path: of(&self.gid, "/events"), last_id: self.last_id.clone() };
            self.open = self.client.attempt(connect).await?;
            self.is_over = self.open.is_none();
        }
        Ok(())
    }

    /// Whether it listens just now.
    pub fn is_connected(&self) -> bool {
        self.open.is_some()
    }

    /// The same as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Event, Error>> + Send {
        unfold(Some(self), |events| async {
            let mut events = events?;
            match events.next().await {
                Ok(event) => event.map(|event| (Ok(event), Some(events))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    fn read(&mut self, message: Message) -> Result<Event, Error> {
        let event: Event = serde_json::from_str(&message.data)
            .map_err(|error| Error::Invalid(format!("an event cannot be read ({error}): is that a Unanim server?")))?;
        self.last_id = message.id.or(self.last_id.take());
        self.pause = PAUSE_FIRST;
        self.is_over = event.kind == EventKind::Finished;
        Ok(event)
    }
}

/// A stream under way.
#[derive(Debug)]
struct Connection {
    address: String,
    body: Incoming,
    parser: Parser,
}

impl Connection {
    async fn next(&mut self) -> Result<Option<Message>, Failure> {
        loop {
            if let Some(message) = self.parser.next().map_err(Failure::Invalid)? {
                return Ok(Some(message));
            }
            match tokio::time::timeout(SILENCE_MAX, self.body.frame()).await {
                Err(_) => return Err(Failure::Lost(format!("nothing came for {} s", SILENCE_MAX.as_secs()))),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(Failure::Lost(format!("the events broke off: {error}"))),
                Ok(Some(Ok(frame))) => self.parser.push(&frame.into_data().unwrap_or_else(|_| Bytes::new())),
            }
        }
    }
}

/// Asks for a stream.
struct Connect {
    path: String,
    last_id: Option<String>,
}

impl Connect {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/event-stream"))]);
        if let Some(id) = self.last_id.as_ref().and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert("last-event-id", id);
        }
        headers
    }
}

impl Try for Connect {
    /// None when there is nothing more to come.
    type Good = Option<Connection>;

    async fn attempt(&self, client: &Client, address: &str, _: Duration) -> Attempt<Self::Good> {
        let url = format!("{address}{}", self.path);
        let opening = client.http.open(Method::GET, &url, self.headers(), Bytes::new());
        let answer = match tokio::time::timeout(READ_TIMEOUT, opening).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => return Attempt::lost(address, failure),
            Err(_) => return Attempt::lost(address, Failure::Lost("no answer in time".into())),
        };
        match answer.status() {
            StatusCode::NO_CONTENT => Attempt::Done(None),
            StatusCode::OK if !has_events(&answer) => {
                Attempt::Failed(Error::Foreign { address: address.to_owned(), status: StatusCode::OK })
            }
            StatusCode::OK => {
                let (address, body) = (address.to_owned(), answer.into_body());
                Attempt::Done(Some(Connection { address, body, parser: Parser::default() }))
            }
            _ => match tokio::time::timeout(READ_TIMEOUT, crate::http::whole(answer)).await {
                Ok(Ok(reply)) => Attempt::refused(address, &reply),
                Ok(Err(failure)) => Attempt::lost(address, failure),
                Err(_) => Attempt::lost(address, Failure::Lost("the answer broke off".into())),
            },
        }
    }
}

fn has_events(answer: &Response<Incoming>) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// One event as it is sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    /// What resumes after it.
    id: Option<String>,
    /// A JSON object.
    data: String,
}

/// Bytes as events, after <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
#[derive(Debug, Default)]
struct Parser {
    unread: Vec<u8>,
    /// Up to where `unread` holds no end of a line.
    searched: usize,
    event: Message,
    has_data: bool,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Result<Option<Message>, String> {
        while let Some(at) = self.unread[self.searched..].iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=self.searched + at).collect();
            self.searched = 0;
            let line = String::from_utf8_lossy(&line);
            if let Some(event) = self.line(line.trim_end_matches(['\n', '\r'])) {
                return Ok(Some(event));
            }
        }
        self.searched = self.unread.len();
        if self.searched > LINE_MAX {
            return Err(format!("an event is longer than {LINE_MAX} bytes: is that a Unanim server?"));
        }
        Ok(None)
    }

    /// An empty line ends an event; one without data is none.
    fn line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                // Between the lines of JSON a space is as good as their end, and keeps it one line.
                if self.has_data {
                    self.event.data.push(' ');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            // A comment, such as a ping; `event`, which the data has too; and what later versions add.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pieces: &[&str]) -> Vec<(Option<String>, String)> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser.push(piece.as_bytes());
            while let Some(event) = parser.next().unwrap() {
                events.push((event.id, event.data));
            }
        }
        events
    }

    #[test]
    fn events_come_in_any_pieces() {
        let text = "id: 3\nevent: decided\ndata: {\"seq\":3}\n\n: ping\n\nid:4\r\ndata:{\ndata: \"seq\":4}\r\n\r\nid: 5\n\ndata: half";
        let expected =
            [(Some("3".to_owned()), "{\"seq\":3}".to_owned()), (Some("4".to_owned()), "{ \"seq\":4}".to_owned())];
        assert_eq!(parsed(&[text]), expected);
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(parsed(&bytes.iter().map(String::as_str).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn every_type_that_a_server_says_is_known() {
        for word in unanim_api::EVENT_TYPES {
            assert!(!matches!(EventKind::from((*word).to_owned()), EventKind::Other(_)), "{word}");
        }
    }

    #[test]
    fn a_line_without_end_is_an_error() {
        let mut parser = Parser::default();
        parser.push(&vec![b'x'; LINE_MAX + 1]);
        assert!(parser.next().is_err());
    }
}
