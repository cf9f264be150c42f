//! `unanim tx`: hand in a transaction, follow it, and help one that is stuck, from a shell.

mod change;
mod door;
mod event;
mod get;
mod history;
mod list;
mod progress;
mod resolve;
mod show;
mod submission;
mod submit;
mod table;
mod watch;

use std::process::ExitCode;

use anyhow::Context;
use unanim::{Outcome, Transaction};

/// Exit codes of `tx submit` and `tx watch`, beside 0 for committed and 1 for an error.
const ABORTED: u8 = 2;
const UNDECIDED: u8 = 3;

/// What `unanim tx --help` shows.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  unanim tx submit order.json   submit a transaction and wait for its end
  unanim tx list --stuck        what wants a person to look
  unanim tx get order-17        who has not answered, and the last reply
  unanim tx retry --stuck       call now, not when the next attempt is due
  unanim tx watch order-17      every event, as it happens

All of them take --server (or UNANIM_SERVER), --token-file (or
UNANIM_TOKEN_FILE), and --json.")]
pub(crate) struct TxArgs {
    #[command(subcommand)]
    command: TxCommand,
}

#[derive(clap::Subcommand, Debug)]
enum TxCommand {
    /// Submit a transaction and wait for its end
    Submit(submit::SubmitArgs),
    /// Show a transaction
    Get(get::GetArgs),
    /// List transactions
    List(list::ListArgs),
    /// Follow a transaction's events until it is finished
    Watch(watch::WatchArgs),
    /// Show what happened to a transaction, event by event
    History(history::HistoryArgs),
    /// Make the calls of transactions now, instead of when they are due
    Retry(change::RetryArgs),
    /// Roll transactions back, as long as they are undecided
    Rollback(change::RollbackArgs),
    /// Settle a branch by hand: it is not called any more
    Resolve(resolve::ResolveArgs),
    /// Remove the records of finished transactions that are past their retention
    Forget(change::ForgetArgs),
}

/// Runs one of the subcommands.
pub(crate) fn run(args: TxArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match args.command {
        TxCommand::Submit(args) => runtime.block_on(submit::run(args)),
        TxCommand::Get(args) => runtime.block_on(get::run(args)),
        TxCommand::List(args) => runtime.block_on(list::run(args)),
        TxCommand::Watch(args) => runtime.block_on(watch::run(args)),
        TxCommand::History(args) => runtime.block_on(history::run(args)),
        TxCommand::Retry(args) => runtime.block_on(change::retry(args)),
        TxCommand::Rollback(args) => runtime.block_on(change::rollback(args)),
        TxCommand::Resolve(args) => runtime.block_on(resolve::run(args)),
        TxCommand::Forget(args) => runtime.block_on(change::forget(args)),
    }
}

/// What became of a transaction, as scripts are told.
fn ended(outcome: &Outcome) -> ExitCode {
    match outcome {
        Outcome::Committed => ExitCode::SUCCESS,
        Outcome::Aborted => ABORTED.into(),
        _ => UNDECIDED.into(),
    }
}

/// An answer as it is, on one line of its own.
fn line(answer: &[u8]) -> String {
    format!("{}\n", String::from_utf8_lossy(answer).trim_end())
}

/// An answer as a transaction.
fn parsed(answer: &[u8]) -> anyhow::Result<Transaction> {
    serde_json::from_slice(answer).context("the answer is no transaction: is that a Unanim server?")
}
