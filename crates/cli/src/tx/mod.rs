//! `unanim tx`: hand in a transaction and read one, from a shell.

mod show;
mod submission;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;

use self::submission::Submission;
use crate::coordinator::{Coordinator, Transaction, Wait};
use crate::output;

/// Exit codes of `tx submit`, beside 0 for committed and 1 for an error.
const ABORTED: u8 = 2;
const UNDECIDED: u8 = 3;

/// What `unanim tx --help` shows.
#[derive(clap::Args, Debug)]
pub(crate) struct TxArgs {
    #[command(subcommand)]
    command: TxCommand,
}

#[derive(clap::Subcommand, Debug)]
enum TxCommand {
    /// Submit a transaction and wait for its end
    #[command(after_help = "\
The file holds the JSON body of POST /v1/transactions. A gid that it lacks is made before it is
sent, so that it can be sent again, after a lost connection or a 503, without running twice.

Example:
  unanim tx submit - <<'END'
  {\"mode\": \"two_phase\", \"branches\": [
    {\"id\": \"stock\", \"endpoint\": \"http://127.0.0.1:5001/tx\",
     \"payload\": {\"account\": \"widgets\", \"amount\": -2}},
    {\"id\": \"pay\", \"endpoint\": \"http://127.0.0.1:5002/tx\",
     \"payload\": {\"account\": \"alice\", \"amount\": -50}}]}
  END

Exit codes: 0 committed, 2 aborted, 3 undecided, 1 error.")]
    Submit(SubmitArgs),
    /// Show a transaction
    #[command(after_help = "\
Example:
  unanim tx get order-17

Exit codes: 0 found, 1 not found or another error.")]
    Get(GetArgs),
}

#[derive(clap::Args, Debug)]
struct SubmitArgs {
    /// The file with the transaction; - reads standard input
    file: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
    /// What to wait for
    #[arg(long, value_enum, default_value = "finished")]
    wait: Wait,
    /// How long to try and to wait. What is undecided aborts 60s after it was accepted, unless its timeout_ms says
    /// otherwise: by default this waits longer, to be told
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Print the server's answer as it is
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct GetArgs {
    /// The transaction's gid
    gid: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answer as it is
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct ServerArgs {
    /// The coordinator
    #[arg(long, value_name = "URL", env = "UNANIM_SERVER", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// A file with the token to show
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// CA certificates (PEM) to trust, instead of the system's
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
}

/// Whoever waits longer is told for what.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// Runs one of the subcommands.
pub(crate) fn run(args: TxArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match args.command {
        TxCommand::Submit(args) => runtime.block_on(submit(args)),
        TxCommand::Get(args) => runtime.block_on(get(args)),
    }
}

async fn submit(args: SubmitArgs) -> anyhow::Result<ExitCode> {
    let submission = Submission::read(&args.file)?;
    let coordinator = connect(&args.server)?;
    let began = Instant::now();
    let tried_for = humantime::format_duration(args.timeout);
    let told = |why: anyhow::Error| output::complain(format_args!("unanim: {why:#}; trying again for {tried_for}"));
    let submitting = coordinator.submit(&submission.body, args.wait, args.timeout, told);
    let mut submitting = std::pin::pin!(submitting);
    let answer = tokio::select! {
        answer = &mut submitting => answer,
        () = tokio::time::sleep(SILENCE_MAX) => {
            output::complain(format_args!("unanim: waiting for {0}; unanim tx get {0:?} shows it", submission.gid));
            submitting.await
        }
    };
    // Whoever loses the answer can still ask by the gid, so it must not get lost with it.
    let answer = answer.with_context(|| format!("transaction {:?}", submission.gid))?;
    let transaction: Transaction = answer.parse()?;
    let shown = match args.json {
        true => format!("{}\n", answer.text().trim_end()),
        false => show::submitted(&transaction, began.elapsed()),
    };
    // What became of the transaction does not depend on who can be told: the exit code says it all the same.
    if let Err(unwritten) = output::print(&shown) {
        output::explain(&unwritten.into());
    }
    Ok(match transaction.outcome.as_str() {
        "committed" => ExitCode::SUCCESS,
        "aborted" => ABORTED.into(),
        _ => UNDECIDED.into(),
    })
}

async fn get(args: GetArgs) -> anyhow::Result<ExitCode> {
    let answer = connect(&args.server)?.get(&args.gid).await;
    let answer = answer.with_context(|| format!("transaction {:?}", args.gid))?;
    let shown = match args.json {
        true => format!("{}\n", answer.text().trim_end()),
        false => show::transaction(&answer.parse()?),
    };
    output::print(&shown)?;
    Ok(ExitCode::SUCCESS)
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

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;

    /// How long a server gives a transaction that names no `timeout_ms`.
    const DEADLINE: Duration = Duration::from_secs(60);

    #[test]
    fn by_default_it_outlasts_the_deadline_of_what_it_submits() {
        let command = SubmitArgs::augment_args(clap::Command::new("submit"));
        let timeout = command.get_arguments().find(|arg| arg.get_id() == "timeout").unwrap();
        let default = timeout.get_default_values()[0].to_str().unwrap();
        assert!(humantime::parse_duration(default).unwrap() >= DEADLINE + Duration::from_secs(10), "{default}");
    }
}
