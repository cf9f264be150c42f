//! `unanim demo`: the main job in one command. It starts a coordinator and three services as processes of their own,
//! breaks them at the worst moments, and shows that the books add up.

mod books;
mod narrator;
mod process;
mod scenes;
mod shop;
mod stage;
mod tether;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use self::narrator::Narrator;
use self::scenes::Play;
use self::stage::Stage;

pub(crate) use self::tether::hold;

/// What `unanim demo --help` shows.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
It runs on free loopback ports, in a temporary folder which it removes, and
takes a few seconds. After a SIGKILL its processes are gone too, but the folder
stays.

Example:
  unanim demo
  unanim demo --keep        then look at databases and logs in its folder

Exit codes: 0 when the books add up and nothing is held; 1 when not, with the
reason; when interrupted 130 (SIGINT), 143 (SIGTERM) or 129 (SIGHUP).")]
pub(crate) struct DemoArgs {
    /// Leave the folder with databases and logs behind
    #[arg(long)]
    keep: bool,
}

/// Plays it through; every process it started is gone when this returns.
pub(crate) fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        // Whichever ends first drops the other, and with the play all of its processes.
        tokio::select! {
            ended = play(args) => ended,
            _ = interrupt.recv() => Ok(ended_by(SignalKind::interrupt())),
            _ = terminate.recv() => Ok(ended_by(SignalKind::terminate())),
            _ = hangup.recv() => Ok(ended_by(SignalKind::hangup())),
        }
    })
}

/// As a shell reports a command that a signal has ended.
fn ended_by(signal: SignalKind) -> ExitCode {
    ExitCode::from(128 + signal.as_raw_value() as u8)
}

async fn play(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let narrator = Narrator::new();
    let mut stage = Stage::new(args.keep)?;
    let ended = Play::new(&mut stage, &narrator).run().await;
    if let Err(error) = &ended {
        narrator.wrong(&format!("{error:#}"));
        for (name, log) in stage.logs() {
            narrator.log(name, &log);
        }
    }
    if args.keep {
        narrator.say(&format!("kept: {}", stage.folder().display()));
    }
    Ok(if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
