//! The thread that commits, where waiting for the disk takes longer than the way to it and back.
use super::writer::Writer;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use unanim_coordinator::{Batch, Record};
use unanim_engine::{Gid, Timestamp};
use unanim_node::ports::{Purged, SaveError};

/// Batches come one at a time, and so do purges and forgets: nobody waits for room.
const QUEUE_MAX: usize = 16;

enum Order {
    Save(Arc<Batch>, oneshot::Sender<Result<(), SaveError>>),
    Purge(Timestamp, usize, oneshot::Sender<Result<Purged, SaveError>>),
    Forget(Gid, Timestamp, Option<Record>, oneshot::Sender<Result<bool, SaveError>>),
}

/// The way to the thread; ends it when dropped, after what was ordered.
pub(super) struct Committer {
    orders: Option<mpsc::SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(writer: Writer) -> std::io::Result<Committer> {
        let (orders, received) = mpsc::sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("committer".into()).spawn(move || run(writer, &received))?;
        Ok(Committer { orders: Some(orders), thread: Some(thread) })
    }

    pub(super) async fn save(&self, batch: Arc<Batch>) -> Result<(), SaveError> {
        self.order(|answer| Order::Save(batch, answer)).await
    }

    pub(super) async fn purge(&self, before: Timestamp, most: usize) -> Result<Purged, SaveError> {
        self.order(|answer| Order::Purge(before, most, answer)).await
    }

    pub(super) async fn forget(&self, gid: Gid, ended_at: Timestamp, left: Option<Record>) -> Result<bool, SaveError> {
        self.order(|answer| Order::Forget(gid, ended_at, left, answer)).await
    }

    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, SaveError>>) -> Order,
    ) -> Result<T, SaveError> {
        let gone = || SaveError::Broken("the committer has ended".into());
        let (sender, answer) = oneshot::channel();
        let orders = self.orders.as_ref().expect("there until it is dropped");
        orders.send(order(sender)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers before it tidies up: what was saved is durable. If tidying fails, [`Store::room`] says so within moments, and
/// every further order is refused.
fn run(mut writer: Writer, orders: &mpsc::Receiver<Order>) {
    while let Ok(order) = orders.recv() {
        // Whoever went away without the answer changes nothing.
        match order {
            Order::Save(batch, answer) => drop(answer.send(writer.save(&batch))),
            Order::Purge(before, most, answer) => drop(answer.send(writer.purge(before, most))),
            Order::Forget(gid, ended_at, left, answer) => {
                drop(answer.send(writer.forget(&gid, ended_at, left.as_ref())));
            }
        }
        let _ = writer.tidy();
    }
}
