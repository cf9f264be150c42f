//! `unanim tx get`.

use std::process::ExitCode;

use anyhow::Context;

use super::{ServerArgs, connect, show};
use crate::output;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  unanim tx get order-17

Exit codes: 0 found, 1 not found or another error.")]
pub(super) struct GetArgs {
    /// The transaction's gid
    gid: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answer as it is
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: GetArgs) -> anyhow::Result<ExitCode> {
    let answer = connect(&args.server)?.get(&args.gid).await;
    let answer = answer.with_context(|| format!("transaction {:?}", args.gid))?;
    let shown = match args.json {
        true => format!("{}\n", answer.text().trim_end()),
        false => show::transaction(&answer.parse()?),
    };
    output::print(&shown)?;
    Ok(ExitCode::SUCCESS)
}
