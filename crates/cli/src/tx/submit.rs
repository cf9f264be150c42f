//! `unanim tx submit`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;

use super::door::{Door, ServerArgs};
use super::submission::Submission;
use super::{ended, line, parsed, show};
use crate::output;

/// Whoever waits longer is told for what.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// What a submission waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wait {
    /// Every participant has acknowledged the decision
    Finished,
    /// Committed or aborted is decided, and durable
    Decided,
    /// It is accepted
    None,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
The file holds the JSON body of POST /v1/transactions. A gid that it lacks is
made before it is sent, so that it can be sent again, after a lost connection
or a 503, without running twice.

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
    let door = Door::new(&args.server)?;
    let began = Instant::now();
    let tried_for = humantime::format_duration(args.timeout).to_string();
    let (is_told, told_by) = (AtomicBool::new(false), door.clone());
    let client = door.client.clone().with_patience(args.timeout).on_retry(move |why| {
        if !is_told.swap(true, Ordering::Relaxed) {
            let why = told_by.explain(why);
            output::complain(format_args!("unanim: {why:#}; trying again for {tried_for}"));
        }
    });
    let wait = match args.wait {
        Wait::Finished => unanim::Wait::Finished,
        Wait::Decided => unanim::Wait::Decided,
        Wait::None => unanim::Wait::None,
    };
    let submitting = client.submit_raw(submission.body.clone(), wait);
    let mut submitting = std::pin::pin!(submitting);
    let answer = tokio::select! {
        answer = &mut submitting => answer,
        () = tokio::time::sleep(SILENCE_MAX) => {
            output::complain(format_args!("unanim: waiting for {0}; unanim tx get {0:?} shows it", submission.gid));
            submitting.await
        }
    };
    // Whoever loses the answer can still ask by the gid, so it must not get lost with it.
    let answer = answer.map_err(|error| door.explain(&error));
    let answer = answer.with_context(|| format!("transaction {:?}", submission.gid))?;
    let transaction = parsed(&answer)?;
    let shown = match args.json {
        true => line(&answer),
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
