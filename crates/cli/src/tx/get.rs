//! `unanim tx get`.

use std::process::ExitCode;

use anyhow::Context;

use super::door::{Door, ServerArgs};
use super::{line, parsed, show};
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
    let door = Door::new(&args.server)?;
    let answer = door.client.get_raw(&args.gid).await.map_err(|error| door.explain(&error));
    let answer = answer.with_context(|| format!("transaction {:?}", args.gid))?;
    let shown = match args.json {
        true => line(&answer),
        false => show::transaction(&parsed(&answer)?),
    };
    output::print(&shown)?;
    Ok(ExitCode::SUCCESS)
}
