//! What ties the demo's processes to it: they die with it, also by a SIGKILL, which gives it no time to end them.

use std::process::Command;

use anyhow::{Context, bail};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// Names the process that the tied one dies with. Not UNANIM_…, which is what settings of a coordinator are called.
const VARIABLE: &str = "_UNANIM_DIES_WITH";

/// Lets what this command starts die with this process.
pub(super) fn tie(command: &mut Command) {
    command.env(VARIABLE, getpid().to_string());
}

/// In a process that was tied to the one that started it: has it killed when that one ends, whatever ends it. An
/// error when that one is gone already. Any other process goes on as it is.
pub(crate) fn hold() -> anyhow::Result<()> {
    let Some(starter) = std::env::var_os(VARIABLE) else { return Ok(()) };
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot be tied to the process that started it")?;
    // Whoever ended before that call sends no signal any more, and has left its children to somebody else.
    if getppid().map(|parent| parent.to_string().into()) != Some(starter) {
        bail!("the process that started this one is gone");
    }
    Ok(())
}
