//! `unanim tx resolve`.

use std::process::ExitCode;

use anyhow::Context;

use super::{ServerArgs, connect, show};
use crate::coordinator::Resolution;
use crate::output;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
For a branch whose participant will never answer, when you know how its work really ended, or have
done it by hand. The transaction's outcome does not change by it; where it differs from what you
say, the transaction is marked with a heuristic. --reason and --by stay in its history.

Example:
  unanim tx resolve order-17 pay --outcome committed --reason 'booked by hand, ticket 4711' --by alice

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
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who says so
    #[arg(long, value_name = "NAME", env = "USER")]
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
    let outcome = match args.outcome {
        Settled::Committed => "committed",
        Settled::RolledBack => "rolled_back",
    };
    let how = Resolution { outcome, reason: &args.reason, by: &args.by };
    let answer = connect(&args.server)?.resolve(&args.gid, &args.branch, &how).await;
    let answer = answer.with_context(|| format!("branch {:?} of transaction {:?}", args.branch, args.gid))?;
    output::print(&match args.json {
        true => format!("{}\n", answer.text().trim_end()),
        false => show::transaction(&answer.parse()?),
    })?;
    Ok(ExitCode::SUCCESS)
}
