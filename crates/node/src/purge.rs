//! Finished transactions leave the store when their retention is over, in small slices.
use crate::driver::Ended;
use crate::handle::Shared;
use crate::ports::{SaveError, Store};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;
use unanim_engine::Timestamp;

/// Transactions that one slice removes at most.
const SLICE_MAX: usize = 200;
/// How often it is looked whether there is anything to remove.
const IDLE: Duration = Duration::from_secs(5);
/// The share of its time that a backlog is purged for: one part in so many.
const SHARE: u32 = 4;

/// Purges until the session is over.
pub(crate) async fn run<S: Store>(store: Rc<S>, shared: Rc<Shared>, retention_ms: u64) -> Ended {
    loop {
        let before = Timestamp(shared.clock.now().0.saturating_sub(retention_ms));
        let started = Instant::now();
        let pause = match store.purge(before, SLICE_MAX).await {
            Ok(SLICE_MAX) => started.elapsed() * (SHARE - 1),
            Ok(_) | Err(SaveError::Full) => IDLE,
            Err(SaveError::Broken(why)) => return Ended::Broken(why),
            Err(SaveError::Fenced) => return Ended::Fenced,
            Err(error @ SaveError::Unknown(_)) => {
                tracing::warn!(%error, "finished transactions could not be purged");
                IDLE
            }
        };
        tokio::time::sleep(pause).await;
    }
}
