//! `unanim tx submit`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::submission::Submission;
use super::{ServerArgs, connect, ended, show};
use crate::coordinator::{Transaction, Wait};
use crate::output;

/// Whoever waits longer is told for what.
const SILENCE_MAX: Duration = Duration::from_secs(2);

#[derive(clap::Args, Debug)]
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
pub(super) struct SubmitArgs {
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

pub(super) async fn run(args: SubmitArgs) -> anyhow::Result<ExitCode> {
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
    Ok(ended(&transaction.outcome))
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
