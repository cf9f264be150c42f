//! `unanim tx history`.

use std::process::ExitCode;

use anyhow::{Context, bail};

use super::door::{Door, ServerArgs};
use super::event::Shown;
use crate::output;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  unanim tx history order-17

Exit codes: 0 found, 1 not found or another error.")]
pub(super) struct HistoryArgs {
    /// The transaction's gid
    gid: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Print the events as the server sends them: a JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: HistoryArgs) -> anyhow::Result<ExitCode> {
    let door = Door::new(&args.server)?;
    let mut cursor: Option<String> = None;
    loop {
        let page = door.client.history_raw(&args.gid, cursor.as_deref()).await.map_err(|error| door.explain(&error));
        let page = page.with_context(|| format!("transaction {:?}", args.gid))?;
        let mut lines = String::new();
        for event in &page.items {
            match args.json {
                true => lines += &format!("{}\n", event.get()),
                false => lines += &Shown::parse(event.get())?.line(),
            }
        }
        output::print(&lines)?;
        match page.next_cursor {
            None => return Ok(ExitCode::SUCCESS),
            same if same == cursor => bail!("the history does not go on: its next page is this one again"),
            next => cursor = next,
        }
    }
}
