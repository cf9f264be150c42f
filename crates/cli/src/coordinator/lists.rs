//! Lists of transactions and of events, page by page.

use std::fmt::Write;

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Coordinator, READ_TIMEOUT, encoded};

/// What one request asks for at most.
const PAGE_MAX: usize = 100;

/// Which transactions a list has; what is not said lets everything through.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) phase: Option<String>,
    pub(crate) mode: Option<String>,
    pub(crate) participant: Option<String>,
    pub(crate) stuck: Option<bool>,
    pub(crate) outcome: Option<String>,
    pub(crate) since_at: Option<String>,
    pub(crate) until_at: Option<String>,
}

/// A part of a list, as it was written.
pub(crate) struct Page {
    pub(crate) items: Vec<Box<RawValue>>,
    /// What asks for the next one.
    pub(crate) next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Transactions {
    transactions: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Events {
    events: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

impl Coordinator {
    /// Transactions without their branches, at most `limit`.
    pub(crate) async fn list(&self, filter: &Filter, limit: usize, cursor: Option<&str>) -> anyhow::Result<Page> {
        let url = format!("{}/v1/transactions{}", self.base, filter.query(limit.min(PAGE_MAX), cursor));
        let reply = self.client.get(&url, READ_TIMEOUT).await.map_err(|failure| self.lost(failure))?;
        let page: Transactions =
            serde_json::from_slice(&self.accept(reply)?.0).context("the answer is no list of transactions")?;
        Ok(Page { items: page.transactions, next_cursor: page.next_cursor })
    }

    /// What happened to a transaction.
    pub(crate) async fn history(&self, gid: &str, cursor: Option<&str>) -> anyhow::Result<Page> {
        let follows = cursor.map(|cursor| format!("?cursor={}", encoded(cursor))).unwrap_or_default();
        let url = self.url(gid, &format!("/history{follows}"));
        let reply = self.client.get(&url, READ_TIMEOUT).await.map_err(|failure| self.lost(failure))?;
        let page: Events = serde_json::from_slice(&self.accept(reply)?.0).context("the answer is no history")?;
        Ok(Page { items: page.events, next_cursor: page.next_cursor })
    }
}

impl Filter {
    fn query(&self, limit: usize, cursor: Option<&str>) -> String {
        let stuck = self.stuck.map(|stuck| stuck.to_string());
        let named = [
            ("phase", self.phase.as_deref()),
            ("mode", self.mode.as_deref()),
            ("participant", self.participant.as_deref()),
            ("stuck", stuck.as_deref()),
            ("outcome", self.outcome.as_deref()),
            ("since_at", self.since_at.as_deref()),
            ("until_at", self.until_at.as_deref()),
            ("cursor", cursor),
        ];
        let mut query = format!("?limit={limit}");
        for (name, value) in named {
            if let Some(value) = value {
                let _ = write!(query, "&{name}={}", encoded(value));
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
        assert_eq!(Filter::default().query(100, None), "?limit=100");
        let filter = Filter {
            participant: Some("http://a:1".into()),
            stuck: Some(true),
            since_at: Some("2026-11-21T12:00:00Z".into()),
            ..Filter::default()
        };
        let expected =
            "?limit=7&participant=http%3A%2F%2Fa%3A1&stuck=true&since_at=2026-11-21T12%3A00%3A00Z&cursor=a%2Bb";
        assert_eq!(filter.query(7, Some("a+b")), expected);
    }
}
