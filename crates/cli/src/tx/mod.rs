//! `unanim tx`: hand in a transaction, follow it, and help one that is stuck, from a shell.

mod change;
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

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::coordinator::Coordinator;

/// Exit codes of `tx submit` and `tx watch`, beside 0 for committed and 1 for an error.
const ABORTED: u8 = 2;
const UNDECIDED: u8 = 3;

/// What `unanim tx --help` shows.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  unanim tx submit order.json            submit a transaction and wait for its end
  unanim tx list --stuck                 what wants a person to look
  unanim tx get order-17                 who has not answered, and what the last reply was
  unanim tx retry --stuck                call now, instead of when the next attempt is due
  unanim tx watch order-17               every event, as it happens

All of them take --server (or UNANIM_SERVER), --token-file (or UNANIM_TOKEN_FILE), and --json.")]
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

#[derive(clap::Args, Debug)]
struct ServerArgs {
    /// The coordinator
    #[arg(long, value_name = "URL", env = "UNANIM_SERVER", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// A file with the token to show
    #[arg(long, value_name = "FILE", env = "UNANIM_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// CA certificates (PEM) to trust, instead of the system's
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
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

fn connect(args: &ServerArgs) -> anyhow::Result<Coordinator> {
    let token = args.token_file.as_ref().map(|path| {
        let token = std::fs::read_to_string(path);
        token.with_context(|| format!("cannot read the token file {}", path.display()))
    });
    let token = token.transpose()?.map(|token| token.trim().to_owned());
    let client = crate::http::Client::new(args.ca_file.as_deref())?.with_token(token)?;
    Coordinator::new(&args.server, client)
}

/// What became of a transaction, as scripts are told.
fn ended(outcome: &str) -> ExitCode {
    match outcome {
        "committed" => ExitCode::SUCCESS,
        "aborted" => ABORTED.into(),
        _ => UNDECIDED.into(),
    }
}
