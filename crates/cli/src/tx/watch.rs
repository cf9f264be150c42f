//! `unanim tx watch`: the events of one transaction, over restarts of the server.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use unanim::{Error, Outcome};

use super::door::{Door, ServerArgs};
use super::event::Shown;
use super::{UNDECIDED, ended};
use crate::output;

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);

#[derive(clap::Args, Debug)]
#[command(after_help = "\
It prints what has happened so far and then every event as it happens. When the
server is away it waits until it is back, and goes on where it was.

Example:
  unanim tx watch order-17

Exit codes: 0 committed, 2 aborted, 3 not finished when --timeout was over,
1 error.")]
pub(super) struct WatchArgs {
    /// The transaction's gid
    gid: String,
    #[command(flatten)]
    server: ServerArgs,
    /// How long to watch at most [default: until it is finished]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Print the events as the server sends them: a JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let door = Door::new(&args.server)?;
    let mut watch = Watch { json: args.json, outcome: None };
    let watching = watch.follow(&door, &args.gid);
    let followed = match args.timeout {
        Some(timeout) => match tokio::time::timeout(timeout, watching).await {
            Ok(followed) => followed,
            Err(_) => return Ok(UNDECIDED.into()),
        },
        None => watching.await,
    };
    followed.with_context(|| format!("transaction {:?}", args.gid))?;
    match watch.outcome {
        Some(outcome) => Ok(ended(&outcome)),
        // It was decided before what was seen.
        None => Ok(ended(&door.client.outcome(&args.gid).await.map_err(|error| door.explain(&error))?)),
    }
}

struct Watch {
    json: bool,
    outcome: Option<Outcome>,
}

impl Watch {
    /// Until it is finished. The client has no patience, so that what it waits for is told.
    async fn follow(&mut self, door: &Door, gid: &str) -> anyhow::Result<()> {
        let mut events = door.client.events(gid);
        let (mut was_there, mut is_told, mut pause) = (false, false, PAUSE_FIRST);
        loop {
            let next = match events.connect().await {
                Ok(()) => {
                    was_there = true;
                    if std::mem::take(&mut is_told) {
                        output::complain("unanim: it is back");
                    }
                    events.next().await
                }
                Err(error) => Err(error),
            };
            match next {
                Ok(Some(event)) => {
                    pause = PAUSE_FIRST;
                    self.print(event.body.get())?;
                }
                Ok(None) => return Ok(()),
                // A mistyped URL is not worth waiting for.
                Err(error @ Error::Unreachable { .. }) if !was_there => return Err(door.explain(&error)),
                Err(error) if error.is_retryable() => {
                    if !std::mem::replace(&mut is_told, true) {
                        output::complain(format_args!("unanim: {:#}; trying again", door.explain(&error)));
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(error) => return Err(door.explain(&error)),
            }
        }
    }

    fn print(&mut self, event: &str) -> anyhow::Result<()> {
        let shown = Shown::parse(event)?;
        match self.json {
            true => output::print(&format!("{event}\n"))?,
            false => output::print(&shown.line())?,
        }
        self.outcome = shown.outcome.map(Outcome::from).or(self.outcome.take());
        Ok(())
    }
}
