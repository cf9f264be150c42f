//! The thread that owns the books. Everything that waits when it is free goes into one database transaction: a hundred
//! calls at once cost one flush, and the next batch gathers while this one is written.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::faults::{CrashAfter, crash};
use super::ledger::{Books, Call, Doubt, Ledger, Verb, Verdict, now_ms};
use crate::output;

const QUEUE_MAX: usize = 4096;
const BATCH_MAX: usize = 1024;
const DOUBTS_MAX: usize = 1000;

/// The exit code when the database cannot be written: what is durable is unknown, so nothing more may be said.
const BROKEN_STORE: i32 = 70;

enum Command {
    Call(Call, oneshot::Sender<Verdict>),
    Books(oneshot::Sender<Books>),
    Doubts(Duration, oneshot::Sender<Vec<Doubt>>),
}

/// The way to the books for everyone else.
#[derive(Clone)]
pub(super) struct Desk {
    commands: mpsc::Sender<Command>,
}

impl Desk {
    /// The verdict, once what it says is durable. `None` when the process is ending.
    pub(super) async fn call(&self, call: Call) -> Option<Verdict> {
        self.ask(|answer| Command::Call(call, answer)).await
    }

    /// What `/books` shows; everything in it is durable.
    pub(super) async fn books(&self) -> Option<Books> {
        self.ask(Command::Books).await
    }

    /// Branches that have been prepared for longer than `age`.
    pub(super) async fn doubts(&self, age: Duration) -> Option<Vec<Doubt>> {
        self.ask(|answer| Command::Doubts(age, answer)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.commands.send(command(sender)).await.ok()?;
        receiver.await.ok()
    }
}

/// Starts the thread. With `crash_after` it kills the process right after such a change is durable.
pub(super) fn start(ledger: Ledger, name: String, crash_after: Option<CrashAfter>) -> std::io::Result<Desk> {
    let (commands, receiver) = mpsc::channel(QUEUE_MAX);
    let thread = Committer { ledger, name, crash_after };
    std::thread::Builder::new().name("committer".into()).spawn(move || thread.run(receiver))?;
    Ok(Desk { commands })
}

struct Committer {
    ledger: Ledger,
    name: String,
    crash_after: Option<CrashAfter>,
}

impl Committer {
    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut batch = Vec::new();
        while commands.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
            if let Err(error) = self.handle(&mut batch) {
                output::complain(format_args!("{}: the books cannot be written: {error}", self.name));
                std::process::exit(BROKEN_STORE);
            }
        }
    }

    fn handle(&mut self, commands: &mut Vec<Command>) -> rusqlite::Result<()> {
        let mut reads = Vec::new();
        let mut answers = Vec::new();
        let mut last = false;
        let batch = self.ledger.batch()?;
        for command in commands.drain(..) {
            match command {
                Command::Call(call, answer) => {
                    let (verdict, changed) = batch.apply(&call)?;
                    last |= changed && self.crash_after == Some(CrashAfter::Durable(call.verb));
                    complain(&self.name, &call, &verdict);
                    answers.push((answer, verdict));
                }
                read @ (Command::Books(_) | Command::Doubts(..)) => reads.push(read),
            }
        }
        batch.commit()?;
        if last {
            crash(&self.name);
        }
        // An asker that went away changes nothing.
        for (answer, verdict) in answers {
            let _ = answer.send(verdict);
        }
        for read in reads {
            match read {
                Command::Books(answer) => drop(answer.send(self.ledger.summary(&self.name)?)),
                Command::Doubts(age, answer) => {
                    let before_ms = now_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
                    drop(answer.send(self.ledger.doubts(before_ms, DOUBTS_MAX)?));
                }
                Command::Call(..) => unreachable!("calls were applied above"),
            }
        }
        Ok(())
    }
}

/// A second phase that contradicts the books means that a promise was broken somewhere: say so where people look.
fn complain(name: &str, call: &Call, verdict: &Verdict) {
    if let (Verb::Commit | Verb::Rollback, Verdict::Conflict(why)) = (call.verb, verdict) {
        let Call { verb, gid, branch, .. } = call;
        output::complain(format_args!("{name}: CONTRADICTION: {verb:?} of {gid:?}, branch {branch:?}: {why}"));
    }
}
