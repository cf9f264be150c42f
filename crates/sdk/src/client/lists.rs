//! Lists of transactions and of events, page by page.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::attempts::Request;
use super::events::Event;
use super::{Client, Error, Outcome, Phase, Transaction, encoded, of, parsed};

/// Which transactions a list has; what is not said lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// In this phase.
    pub phase: Option<Phase>,
    /// Of this mode.
    pub mode: Option<String>,
    /// With a branch at this participant, `scheme://host:port`.
    pub participant: Option<String>,
    /// Stuck, or not.
    pub stuck: Option<bool>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// From this instant on (RFC 3339).
    pub since_at: Option<String>,
    /// Up to this instant.
    pub until_at: Option<String>,
    /// At most this many on a page; the server has a limit of its own.
    pub limit: Option<u32>,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What asks for the next one; none after the last.
    pub next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(alias = "transactions", alias = "events")]
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

impl Client {
    /// Transactions, without their branches; the first page without a cursor. Open ones come from memory: a hint, no
    /// promise.
    pub async fn list(&self, filter: &Filter, cursor: Option<&str>) -> Result<Page<Transaction>, Error> {
        typed(self.list_raw(filter, cursor).await?)
    }

    /// As [`list`](Client::list), as they come.
    pub async fn list_raw(&self, filter: &Filter, cursor: Option<&str>) -> Result<Page<Box<RawValue>>, Error> {
        self.page(format!("/v1/transactions{}", filter.query(cursor))).await
    }

    /// What happened to a transaction; the first page without a cursor.
    pub async fn history(&self, gid: &str, cursor: Option<&str>) -> Result<Page<Event>, Error> {
        typed(self.history_raw(gid, cursor).await?)
    }

    /// As [`history`](Client::history), as it comes.
    pub async fn history_raw(&self, gid: &str, cursor: Option<&str>) -> Result<Page<Box<RawValue>>, Error> {
        let query = cursor.map(|cursor| format!("?cursor={}", encoded(cursor))).unwrap_or_default();
        self.page(of(gid, &format!("/history{query}"))).await
    }

    async fn page(&self, path: String) -> Result<Page<Box<RawValue>>, Error> {
        let listed: Listed = parsed(&self.attempt(Request::read(path)).await?)?;
        Ok(Page { items: listed.items, next_cursor: listed.next_cursor })
    }
}

fn typed<T: for<'de> Deserialize<'de>>(page: Page<Box<RawValue>>) -> Result<Page<T>, Error> {
    let items: Result<_, _> = page.items.iter().map(|item| serde_json::from_str(item.get())).collect();
    let items = items.map_err(|error| Error::Invalid(format!("the list cannot be read: {error}")))?;
    Ok(Page { items, next_cursor: page.next_cursor })
}

impl Filter {
    fn query(&self, cursor: Option<&str>) -> String {
        let (limit, stuck) = (self.limit.map(|limit| limit.to_string()), self.stuck.map(|stuck| stuck.to_string()));
        let named = [
            ("limit", limit.as_deref()),
            ("phase", self.phase.as_ref().map(Phase::as_str)),
            ("mode", self.mode.as_deref()),
            ("participant", self.participant.as_deref()),
            ("stuck", stuck.as_deref()),
            ("outcome", self.outcome.as_ref().map(Outcome::as_str)),
            ("since_at", self.since_at.as_deref()),
            ("until_at", self.until_at.as_deref()),
            ("cursor", cursor),
        ];
        let mut query = String::new();
        for (name, value) in named {
            if let Some(value) = value {
                let _ = write!(query, "{}{name}={}", if query.is_empty() { '?' } else { '&' }, encoded(value));
            }
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_said_is_asked_for() {
        assert_eq!(Filter::default().query(None), "");
        let filter = Filter {
            limit: Some(7),
            participant: Some("http://a:1".into()),
            phase: Some(Phase::Committing),
            stuck: Some(true),
            since_at: Some("2026-11-21T12:00:00Z".into()),
            ..Filter::default()
        };
        let expected = "?limit=7&phase=committing&participant=http%3A%2F%2Fa%3A1&stuck=true\
                        &since_at=2026-11-21T12%3A00%3A00Z&cursor=a%2Bb";
        assert_eq!(filter.query(Some("a+b")), expected);
    }
}
