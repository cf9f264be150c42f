//! Server-sent events of one transaction: as they happen, and from where they broke off.

use std::time::Duration;

use anyhow::{anyhow, bail};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;

use super::{Coordinator, READ_TIMEOUT};
use crate::http::{Failure, whole};

/// The server says something every 15 s; a connection that is silent for longer has broken.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// No event is larger: a participant's reply is in it in part at most.
const LINE_MAX: usize = 1 << 20;

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// What resumes after it.
    pub(crate) id: Option<String>,
    /// A JSON object.
    pub(crate) data: String,
}

/// A stream under way.
pub(crate) struct Events {
    body: Incoming,
    parser: Parser,
}

/// How an attempt to follow a transaction began.
pub(crate) enum Next {
    /// Events come.
    Stream(Events),
    /// All were seen: it is finished.
    Nothing,
    /// Nobody answers.
    Away(anyhow::Error),
    /// The server says that it will work later.
    Later(anyhow::Error),
}

impl Coordinator {
    /// The events after `last_id`, or all of them.
    pub(crate) async fn events(&self, gid: &str, last_id: Option<&str>) -> anyhow::Result<Next> {
        let answer = match self.client.open(&self.url(gid, "/events"), last_id, READ_TIMEOUT).await {
            Ok(answer) => answer,
            Err(failure @ Failure::Invalid(_)) => return Err(failure.into()),
            Err(failure) => return Ok(Next::Away(self.lost(failure))),
        };
        match answer.status() {
            StatusCode::NO_CONTENT => Ok(Next::Nothing),
            StatusCode::OK => {
                let kind = answer.headers().get(hyper::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
                    bail!("{} does not answer with events: is that a Unanim server?", self.base);
                }
                Ok(Next::Stream(Events { body: answer.into_body(), parser: Parser::default() }))
            }
            status => {
                let reply = match tokio::time::timeout(READ_TIMEOUT, whole(answer)).await {
                    Ok(Ok(reply)) => reply,
                    _ => return Ok(Next::Later(anyhow!("{} answered {status}", self.base))),
                };
                match self.accept(reply) {
                    Err(error) if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {
                        Ok(Next::Later(error))
                    }
                    Err(error) => Err(error),
                    Ok(_) => bail!("{} answered {status} instead of events", self.base),
                }
            }
        }
    }
}

impl Events {
    /// The next event; none when the server has closed the stream.
    ///
    /// # Errors
    /// The connection broke, or was silent for too long.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            if let Some(event) = self.parser.next()? {
                return Ok(Some(event));
            }
            match tokio::time::timeout(SILENCE_MAX, self.body.frame()).await {
                Err(_) => bail!("nothing came for {}", humantime::format_duration(SILENCE_MAX)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(error.into()),
                Ok(Some(Ok(frame))) => self.parser.push(&frame.into_data().unwrap_or_else(|_| Bytes::new())),
            }
        }
    }
}

/// Bytes as events, after <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
#[derive(Default)]
struct Parser {
    unread: Vec<u8>,
    /// Up to where `unread` holds no end of a line.
    searched: usize,
    event: Event,
    has_data: bool,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    fn next(&mut self) -> anyhow::Result<Option<Event>> {
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
            bail!("an event is longer than {LINE_MAX} bytes: is that a Unanim server?");
        }
        Ok(None)
    }

    /// An empty line ends an event; one without data is none.
    fn line(&mut self, line: &str) -> Option<Event> {
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
    fn a_line_without_end_is_an_error() {
        let mut parser = Parser::default();
        parser.push(&vec![b'x'; LINE_MAX + 1]);
        assert!(parser.next().is_err());
    }
}
