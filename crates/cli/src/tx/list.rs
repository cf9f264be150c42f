//! `unanim tx list`, and the filters that other commands share with it.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use serde_json::value::RawValue;
use unanim::Transaction;
use unanim::client::Filter;

use super::door::{Door, ServerArgs};
use super::show;
use super::table::{printable, relative, table};
use crate::output;

/// What one request asks for at most.
const PAGE_MAX: usize = 100;
const PHASES: [&str; 6] = ["active", "preparing", "committing", "aborting", "committed", "aborted"];

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  unanim tx list --stuck
  unanim tx list --participant 127.0.0.1:5001 --phase committing
  unanim tx list --outcome aborted --since 1h --json | jq -r .gid

Exit codes: 0, also when there are none; 1 error.")]
pub(super) struct ListArgs {
    /// Only those in this phase
    #[arg(long, value_parser = PossibleValuesParser::new(PHASES))]
    phase: Option<String>,
    /// Only those with this outcome
    #[arg(long, value_parser = PossibleValuesParser::new(["undecided", "committed", "aborted"]))]
    outcome: Option<String>,
    /// Only those of this mode
    #[arg(long, value_parser = PossibleValuesParser::new(["two_phase"]))]
    mode: Option<String>,
    /// Only those with a branch at this participant: [http://]HOST:PORT
    #[arg(long, value_name = "PARTICIPANT", value_parser = participant)]
    participant: Option<String>,
    /// Only those that are stuck
    #[arg(long)]
    stuck: bool,
    /// Only from this instant on: 2026-11-21T12:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    since: Option<String>,
    /// Only up to this instant
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    until: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print the server's answers as they are: a JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: ListArgs) -> anyhow::Result<ExitCode> {
    let door = Door::new(&args.server)?;
    let filter = Filter {
        phase: args.phase.map(Into::into),
        mode: args.mode,
        participant: args.participant,
        stuck: args.stuck.then_some(true),
        outcome: args.outcome.map(Into::into),
        since_at: args.since,
        until_at: args.until,
        limit: None,
    };
    let mut pages = Pages::new(&door, filter, args.limit as usize);
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await? {
        for item in &page {
            match args.json {
                true => output::print(&format!("{}\n", item.get()))?,
                false => rows.push(row(&parsed(item)?, Timestamp::now())),
            }
        }
    }
    if !args.json {
        output::print(&match rows.is_empty() {
            true => "no transactions\n".to_owned(),
            false => format!("{}\n", table(["gid", "phase", "created", "ended", "remarks"], rows)),
        })?;
    }
    if pages.are_more {
        output::complain(format_args!("unanim: there are more than {}: --limit N", args.limit));
    }
    Ok(ExitCode::SUCCESS)
}

/// The pages of a list, up to a limit.
pub(super) struct Pages<'a> {
    door: &'a Door,
    filter: Filter,
    left: usize,
    cursor: Option<String>,
    is_over: bool,
    /// The limit has left some out.
    pub(super) are_more: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(door: &'a Door, filter: Filter, limit: usize) -> Self {
        Self { door, filter, left: limit, cursor: None, is_over: false, are_more: false }
    }

    /// None after the last one; one may be empty.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<Box<RawValue>>>> {
        if self.is_over {
            return Ok(None);
        }
        self.filter.limit = Some(self.left.min(PAGE_MAX) as u32);
        let page = self.door.client.list_raw(&self.filter, self.cursor.as_deref()).await;
        let page = page.map_err(|error| self.door.explain(&error))?;
        if page.next_cursor.is_some() && page.next_cursor == self.cursor {
            bail!("the list does not go on: its next page is this one again");
        }
        let mut items = page.items;
        self.are_more = items.len() > self.left || (items.len() == self.left && page.next_cursor.is_some());
        items.truncate(self.left);
        self.left -= items.len();
        self.cursor = page.next_cursor;
        self.is_over = self.cursor.is_none() || self.left == 0;
        Ok(Some(items))
    }
}

pub(super) fn parsed(item: &RawValue) -> anyhow::Result<Transaction> {
    serde_json::from_str(item.get()).context("the list holds something that is no transaction")
}

fn row(transaction: &Transaction, now: Timestamp) -> [String; 5] {
    let ago = |at: &Option<String>| at.as_ref().map(|at| relative(at, now)).unwrap_or_default();
    let remarks = [
        transaction.stuck.then(|| "STUCK".to_owned()),
        transaction.heuristic.as_ref().map(|heuristic| format!("HEURISTIC: {heuristic}")),
        transaction.reason.as_ref().map(show::why),
    ];
    [
        printable(&transaction.gid),
        transaction.phase.to_string(),
        ago(&transaction.created_at),
        ago(&transaction.finished_at),
        remarks.into_iter().flatten().collect::<Vec<_>>().join(", "),
    ]
}

/// A participant is called `scheme://host:port`. People leave out `http://`; a port is only known where a scheme is.
pub(super) fn participant(text: &str) -> Result<String, String> {
    let has_scheme = text.contains("://");
    let with_scheme = if has_scheme { text.to_owned() } else { format!("http://{text}") };
    let url: hyper::Uri = with_scheme.parse().map_err(|_| "it is no [http://]HOST:PORT".to_owned())?;
    let host = url.host().filter(|host| !host.is_empty()).ok_or("it names no host")?;
    if url.path() != "/" || url.query().is_some() {
        return Err("a participant has no path: [http://]HOST:PORT".into());
    }
    let port = match (url.port_u16(), url.scheme_str()) {
        (Some(port), _) => port,
        (None, _) if !has_scheme => return Err(format!("it names no port: {host}:PORT, as in the branch's endpoint")),
        (None, Some("https")) => 443,
        (None, _) => 80,
    };
    Ok(format!("{}://{}:{port}", url.scheme_str().unwrap_or("http"), host.to_ascii_lowercase()))
}

/// An instant, or how long ago it was.
fn instant(text: &str) -> Result<String, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant.to_string());
    }
    let ago = humantime::parse_duration(text).map_err(|_| "write 2026-11-21T12:00:00Z, or 2h for two hours ago")?;
    let millis = i64::try_from(ago.as_millis()).map_err(|_| "that is too long ago")?;
    let then = Timestamp::now().as_millisecond().saturating_sub(millis);
    Timestamp::from_millisecond(then).map(|at| at.to_string()).map_err(|_| "that is too long ago".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participants_may_be_written_short() {
        for (text, name) in [
            ("127.0.0.1:5001", "http://127.0.0.1:5001"),
            ("Stock:5001", "http://stock:5001"),
            ("http://stock", "http://stock:80"),
            ("https://pay.example", "https://pay.example:443"),
            ("http://[::1]:5001/", "http://[::1]:5001"),
        ] {
            assert_eq!(participant(text).as_deref(), Ok(name), "{text}");
        }
        for odd in ["", "http://", "stock:5001/tx", "a b", "http://x?y", "stock", "127.0.0.1", "[::1]", "stock:", ":80"]
        {
            assert!(participant(odd).is_err(), "{odd}");
        }
        assert!(participant("stock").unwrap_err().contains("it names no port"));
    }

    #[test]
    fn instants_may_be_ages() {
        assert_eq!(instant("2026-11-21T12:00:00Z").as_deref(), Ok("2026-11-21T12:00:00Z"));
        let hour_ago: Timestamp = instant("1h").unwrap().parse().unwrap();
        let ago = Timestamp::now().as_millisecond() - hour_ago.as_millisecond();
        assert!((3_600_000..3_610_000).contains(&ago), "{ago}");
        assert!(instant("yesterday").is_err() && instant("99999999999y").is_err());
    }

    #[test]
    fn a_row_says_what_wants_a_person() {
        let transaction: Transaction = serde_json::from_value(serde_json::json!({
            "gid": "order-17", "mode": "two_phase", "phase": "aborting", "outcome": "aborted", "stuck": true,
            "reason": {"code": "deadline"}, "heuristic": "mixed", "created_at": "2026-11-21T11:58:00Z", "seq": 4,
        }))
        .unwrap();
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let expected = ["order-17", "aborting", "2m ago", "", "STUCK, HEURISTIC: mixed, the deadline passed"];
        assert_eq!(row(&transaction, now), expected);
    }
}
