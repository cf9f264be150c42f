//! `unanim tx resolve`.

use std::process::ExitCode;

use anyhow::Context;
use unanim::client::Resolution;

use super::door::{Door, ServerArgs};
use super::{line, parsed, show};
use crate::output;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
For a branch whose participant will never answer, when you know how its work
really ended, or have done it by hand. --reason and --by stay in the
transaction's history.

An outcome that is decided does not change by it; where it differs from what
you say, the transaction is marked with a heuristic. Of a one-phase transaction
that is stuck, what you say is the decision. Anything else that is undecided is
refused: roll it back, or let its deadline do so.

Example:
  unanim tx resolve order-17 pay --outcome committed \\
                    --reason 'booked by hand, ticket 4711' --by alice

Exit codes: 0 resolved, 1 error.")]
pub(super) struct ResolveArgs {
    /// The transaction's gid
    gid: String,
    /// The branch's id
    branch: String,
    /// How the branch's work ended
    #[arg(long, value_enum)]
    outcome: Settled,
    /// Why it is settled by hand
    #[arg(long, value_name = "TEXT", value_parser = said)]
    reason: String,
    /// Who says so
    #[arg(long, value_name = "NAME", env = "USER", value_parser = said)]
    by: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answer as it is
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Settled {
    /// It took effect
    Committed,
    /// It had no effect
    #[value(name = "rolled_back", alias = "rolled-back")]
    RolledBack,
}

pub(super) async fn run(args: ResolveArgs) -> anyhow::Result<ExitCode> {
    let how = match args.outcome {
        Settled::Committed => Resolution::committed(args.reason, args.by),
        Settled::RolledBack => Resolution::rolled_back(args.reason, args.by),
    };
    let door = Door::new(&args.server)?;
    let answer = door.client.resolve_raw(&args.gid, &args.branch, &how).await.map_err(|error| door.explain(&error));
    let answer = answer.with_context(|| format!("branch {:?} of transaction {:?}", args.branch, args.gid))?;
    output::print(&match args.json {
        true => line(&answer),
        false => show::transaction(&parsed(&answer)?),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// They stay in the history: nobody would learn anything from a blank.
fn said(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("it says nothing") } else { Ok(text.to_owned()) }
}
