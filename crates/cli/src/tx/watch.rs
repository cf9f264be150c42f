//! `unanim tx watch`: the events of one transaction, over restarts of the server.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::event::Shown;
use super::{ServerArgs, UNDECIDED, connect, ended};
use crate::coordinator::{Coordinator, Events, Next};
use crate::output;

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);

#[derive(clap::Args, Debug)]
#[command(after_help = "\
It prints what has happened so far and then every event as it happens. When the server is away
it waits until it is back, and goes on where it was.

Example:
  unanim tx watch order-17

Exit codes: 0 committed, 2 aborted, 3 not finished when --timeout was over, 1 error.")]
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
    let coordinator = connect(&args.server)?;
    let mut watch = Watch { json: args.json, last_id: None, outcome: None, is_finished: false };
    let watching = watch.follow(&coordinator, &args.gid);
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
        None => Ok(ended(&coordinator.outcome(&args.gid).await?)),
    }
}

struct Watch {
    json: bool,
    last_id: Option<String>,
    outcome: Option<String>,
    is_finished: bool,
}

impl Watch {
    /// Until it is finished.
    async fn follow(&mut self, coordinator: &Coordinator, gid: &str) -> anyhow::Result<()> {
        let mut pause = PAUSE_FIRST;
        let (mut was_there, mut is_told) = (false, false);
        while !self.is_finished {
            let lost = match coordinator.events(gid, self.last_id.as_deref()).await? {
                Next::Nothing => return Ok(()),
                Next::Stream(events) => {
                    if std::mem::take(&mut is_told) {
                        output::complain("unanim: it is back");
                    }
                    was_there = true;
                    let seen = self.last_id.clone();
                    let broken = self.read(events).await?;
                    if self.last_id != seen {
                        pause = PAUSE_FIRST;
                    }
                    broken
                }
                // A mistyped URL is not worth waiting for.
                Next::Away(error) if !was_there => return Err(error),
                Next::Away(error) | Next::Later(error) => Some(error),
            };
            if self.is_finished {
                break;
            }
            if let Some(error) = lost
                && !std::mem::replace(&mut is_told, true)
            {
                output::complain(format_args!("unanim: {error:#}; trying again"));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(())
    }

    /// Prints what comes, and says why no more does, unless the server has closed the stream as it should.
    async fn read(&mut self, mut events: Events) -> anyhow::Result<Option<anyhow::Error>> {
        loop {
            let event = match events.next().await {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(error.context("lost the stream of events"))),
            };
            let shown = Shown::parse(&event.data)?;
            match self.json {
                true => output::print(&format!("{}\n", event.data))?,
                false => output::print(&shown.line())?,
            }
            self.is_finished = shown.is_last();
            self.outcome = shown.outcome.or(self.outcome.take());
            self.last_id = event.id.or(self.last_id.take());
            if self.is_finished {
                return Ok(None);
            }
        }
    }
}
