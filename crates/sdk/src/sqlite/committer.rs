//! The thread that owns the database. Everything that waits when it is free goes into one database transaction: a hundred
//! calls at once cost one flush, and the next batch gathers while this one is written.

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::record::{Applied, Batch};
use super::work::Work;
use crate::participant::{Call, Error, Op, Vote};

const BATCH_MAX: usize = 1024;

type Told = oneshot::Sender<Result<Vote, Error>>;

/// Reads or writes outside of calls; what it sends is sent once the batch is durable.
pub(super) type Aside = Box<dyn FnOnce(&Connection) -> rusqlite::Result<Box<dyn FnOnce() + Send>> + Send>;

pub(super) enum Command {
    Call(Call, Told),
    /// In a transaction with calls: may write.
    Aside(Aside),
}

/// Called after a batch is durable and before anybody hears of it, with each operation that changed something.
pub(super) type OnDurable = Box<dyn FnMut(Op) + Send>;
/// Called once, when the database cannot be written any more.
pub(super) type OnBroken = Box<dyn FnOnce(&rusqlite::Error) + Send>;

pub(super) struct Committer<W> {
    pub(super) db: Connection,
    pub(super) work: W,
    pub(super) on_durable: Option<OnDurable>,
    pub(super) on_broken: Option<OnBroken>,
}

impl<W: Work> Committer<W> {
    /// Works until nobody is left to ask, or the database fails. Then what is durable is unknown: nothing more is said,
    /// and every question from here on finds nobody.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut batch = Vec::new();
        while commands.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
            if let Err(error) = self.handle(&mut batch) {
                tracing::error!("the database of the participant cannot be used: {error}");
                if let Some(told) = self.on_broken.take() {
                    told(&error);
                }
                return;
            }
        }
    }

    fn handle(&mut self, commands: &mut Vec<Command>) -> rusqlite::Result<()> {
        let (mut answers, mut asides, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let batch = Batch { db: &tx, work: &self.work };
        for command in commands.drain(..) {
            match command {
                Command::Call(call, told) => {
                    let (answer, has_changed): Applied = batch.apply(&call)?;
                    if has_changed {
                        changed.push(call.op);
                    }
                    answers.push((told, answer));
                }
                Command::Aside(aside) => asides.push(aside(&tx)?),
            }
        }
        tx.commit()?;
        if let Some(told) = &mut self.on_durable {
            changed.into_iter().for_each(told);
        }
        // An asker that went away changes nothing.
        for (told, answer) in answers {
            let _ = told.send(answer);
        }
        for tell in asides {
            tell();
        }
        Ok(())
    }
}
