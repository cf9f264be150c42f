//! Events of a transaction as lines. Versions to come add types and fields, so nothing is expected but what all have.

use std::fmt::Write;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Map, Value};
use unanim::client::Reason;

use super::show;
use super::table::printable;

/// One event, as in a history and in a stream.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) seq: String,
    pub(super) at: String,
    pub(super) kind: String,
    /// `branch=pay outcome=committed`
    pub(super) details: String,
    /// What is decided, if this event says it.
    pub(super) outcome: Option<String>,
}

impl Shown {
    pub(super) fn parse(data: &str) -> anyhow::Result<Self> {
        let mut fields: Map<String, Value> = serde_json::from_str(data).context("the answer holds no event")?;
        let mut take = |name: &str| fields.remove(name).map(|value| text(&value)).unwrap_or_default();
        let (seq, at, kind) = (take("seq"), take("at"), take("type"));
        let outcome = match (kind.as_str(), fields.get("outcome")) {
            ("decided" | "finished", Some(Value::String(outcome))) => Some(outcome.clone()),
            _ => None,
        };
        // As everywhere else: why it aborted, in words.
        if let Some(Ok(reason)) = fields.get("reason").filter(|reason| reason.is_object()).map(Reason::deserialize) {
            fields.insert("reason".to_owned(), Value::String(show::why(&reason)));
        }
        let mut details = String::new();
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let gap = if details.is_empty() { "" } else { " " };
            let _ = write!(details, "{gap}{}={}", printable(name), text(value));
        }
        Ok(Self { seq, at, kind, details, outcome })
    }

    /// `2026-11-21T12:00:00.000Z     3 decided       outcome=committed`
    pub(super) fn line(&self) -> String {
        let line = format!("{} {:>5} {:<13} {}", self.at, self.seq, self.kind, self.details);
        format!("{}\n", line.trim_end())
    }
}

/// A word stands as it is; anything else is JSON, so that it is seen where it ends.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => format!("{:?}", printable(text)),
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let at = "2026-11-21T12:00:00.000Z";
        let decided =
            Shown::parse(&format!(r#"{{"seq":3,"at":"{at}","type":"decided","outcome":"committed"}}"#)).unwrap();
        assert_eq!(decided.line(), format!("{at}     3 decided       outcome=committed\n"));
        assert_eq!(decided.outcome.as_deref(), Some("committed"));
        let data = format!(
            r#"{{"at":"{at}","branch":"p\u001b","detail":"no funds","later":{{"a":1}},"none":null,"seq":12345,"type":"voted"}}"#
        );
        let voted = Shown::parse(&data).unwrap();
        assert_eq!(
            voted.line(),
            format!("{at} 12345 voted         branch=p\\u{{1b}} detail=\"no funds\" later={{\"a\":1}}\n")
        );
        let aborted =
            Shown::parse(r#"{"type":"decided","reason":{"code":"refused","branch":"pay","detail":"no"}}"#).unwrap();
        assert_eq!(aborted.details, "reason=\"pay refused (no)\"");
        assert!(Shown::parse("{}").is_ok() && Shown::parse("[]").is_err());
    }

    #[test]
    fn how_a_branch_was_resolved_is_not_the_outcome() {
        let resolved = Shown::parse(r#"{"type":"resolved","branch":"b","outcome":"rolled_back"}"#).unwrap();
        assert_eq!(resolved.outcome, None);
    }
}
