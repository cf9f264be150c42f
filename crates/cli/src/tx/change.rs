//! `unanim tx retry`, `rollback` and `forget`: the same for one transaction as for thousands.

use std::process::ExitCode;

use anyhow::bail;
use bytes::Bytes;
use tokio::task::JoinSet;
use unanim::Wait;
use unanim::client::Filter;

use super::door::{Door, ServerArgs};
use super::list::{self, Pages};
use super::progress::Progress;
use super::table::printable;
use super::{line, parsed, show};
use crate::output;

/// Requests under way: enough to share flushes of the server's disk.
const IN_FLIGHT_MAX: usize = 16;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
A transaction whose participants do not answer is called again in growing
pauses, up to 30 s. When they are back, this saves the rest of the pause.

Example:
  unanim tx retry order-17
  unanim tx retry --participant 127.0.0.1:5001
  unanim tx retry --stuck

Exit codes: 0; 1 when one could not be retried, or on another error.")]
pub(super) struct RetryArgs {
    /// The transactions' gids
    #[arg(conflicts_with_all = ["participant", "stuck"])]
    gids: Vec<String>,
    /// All that are open and have a branch at this participant: [http://]HOST:PORT
    #[arg(long, value_name = "PARTICIPANT", value_parser = list::participant)]
    participant: Option<String>,
    /// All that are stuck
    #[arg(long)]
    stuck: bool,
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answers as they are, a JSON object per line, and no summary
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  unanim tx rollback order-17 order-18

Exit codes: 0; 1 when one could not be rolled back (it is committed, say), or
on another error.")]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    named: NamedArgs,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Finished transactions leave by themselves after --retention of the server;
this is for those that stay longer, such as those with a branch that was
resolved by hand.

Example:
  unanim tx forget order-17

Exit codes: 0; 1 when one could not be forgotten, or on another error.")]
pub(super) struct ForgetArgs {
    #[command(flatten)]
    named: NamedArgs,
}

/// Transactions by their names.
#[derive(clap::Args, Debug)]
struct NamedArgs {
    /// The transactions' gids
    #[arg(required = true)]
    gids: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answers as they are, a JSON object per line, and no summary
    #[arg(long)]
    json: bool,
}

/// What is asked of each.
#[derive(Clone, Copy)]
enum Change {
    Retry,
    Rollback,
    Forget,
}

pub(super) async fn retry(args: RetryArgs) -> anyhow::Result<ExitCode> {
    if args.gids.is_empty() && args.participant.is_none() && !args.stuck {
        bail!("which transactions? Name gids, or give --participant or --stuck");
    }
    let door = Door::new(&args.server)?;
    let gids = match args.participant.is_some() || args.stuck {
        true => open(&door, args.participant, args.stuck).await?,
        false => args.gids,
    };
    all(&door, Change::Retry, gids, args.json).await
}

pub(super) async fn rollback(args: RollbackArgs) -> anyhow::Result<ExitCode> {
    args.named.all(Change::Rollback).await
}

pub(super) async fn forget(args: ForgetArgs) -> anyhow::Result<ExitCode> {
    args.named.all(Change::Forget).await
}

impl NamedArgs {
    async fn all(self, change: Change) -> anyhow::Result<ExitCode> {
        all(&Door::new(&self.server)?, change, self.gids, self.json).await
    }
}

/// The gids of the open ones; all of them, before the first is touched.
async fn open(door: &Door, participant: Option<String>, stuck: bool) -> anyhow::Result<Vec<String>> {
    let mut gids = Vec::new();
    // By phase, in the order in which they follow: finished ones are not even read, and one that moves on meanwhile is
    // seen twice rather than not at all.
    for phase in ["active", "preparing", "committing", "aborting"] {
        let filter = Filter {
            phase: Some(phase.to_owned().into()),
            participant: participant.clone(),
            stuck: stuck.then_some(true),
            ..Filter::default()
        };
        let mut pages = Pages::new(door, filter, usize::MAX);
        while let Some(page) = pages.next().await? {
            for item in page {
                gids.push(list::parsed(&item)?.gid);
            }
        }
    }
    gids.sort();
    gids.dedup();
    Ok(gids)
}

/// A line for each, a summary when there are several, and on after one that failed.
async fn all(door: &Door, change: Change, gids: Vec<String>, json: bool) -> anyhow::Result<ExitCode> {
    let total = gids.len();
    if total == 0 && !json {
        output::print("no transactions\n")?;
    }
    let mut progress = Progress::new(total);
    let mut failed = 0;
    let mut under_way = JoinSet::new();
    let mut gids = gids.into_iter();
    loop {
        while under_way.len() < IN_FLIGHT_MAX
            && let Some(gid) = gids.next()
        {
            let door = door.clone();
            under_way.spawn(async move {
                let changed = change.ask(&door, &gid, json).await;
                (gid, changed)
            });
        }
        let Some(done) = under_way.join_next().await else { break };
        let (gid, changed) = done?;
        progress.step();
        match changed {
            Ok(line) => output::print(&line)?,
            Err(error) => {
                failed += 1;
                output::complain(format_args!("unanim: transaction {gid:?}: {error:#}"));
            }
        }
    }
    if total > 1 && !json {
        output::print(&format!("{} {}, {failed} failed\n", total - failed, change.done()))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Change {
    /// What it came to, in a line.
    async fn ask(self, door: &Door, gid: &str, json: bool) -> anyhow::Result<String> {
        let answer = match self {
            Change::Retry => door.client.retry_raw(gid).await,
            Change::Rollback => door.client.rollback_raw(gid, Wait::None).await,
            Change::Forget => door.client.forget(gid).await.map(|()| Bytes::new()),
        };
        let answer = answer.map_err(|error| door.explain(&error))?;
        match self {
            // There is nothing left to show.
            Change::Forget if json => Ok(format!("{}\n", serde_json::json!({"gid": gid}))),
            Change::Forget => Ok(format!("{} forgotten\n", printable(gid))),
            Change::Retry | Change::Rollback if json => Ok(line(&answer)),
            Change::Retry | Change::Rollback => Ok(format!("{}\n", show::headline(&parsed(&answer)?))),
        }
    }

    fn done(self) -> &'static str {
        match self {
            Change::Retry => "retried",
            Change::Rollback => "rolled back",
            Change::Forget => "forgotten",
        }
    }
}
