//! Finished transactions leave the store when their retention is over, in small slices.
use crate::driver::Ended;
use crate::handle::Shared;
use crate::ports::{Purged, SaveError, Store};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;
use unanim_engine::Timestamp;

/// Transactions that one slice removes at most.
const SLICE_MAX: usize = 1000;
/// How often it is looked whether there is anything to remove.
const IDLE: Duration = Duration::from_secs(1);
/// The share of its time that a backlog is purged for: one part in so many.
const SHARE: u32 = 4;
/// The same for one that is as late as this: what comes in faster than it leaves would fill the disk.
const LATE_SHARE: u32 = 2;
const LATE: Duration = Duration::from_secs(2);

/// Purges until the session is over.
pub(crate) async fn run<S: Store>(store: Rc<S>, shared: Rc<Shared>, retention_ms: u64) -> Ended {
    loop {
        let before = Timestamp(shared.clock.now().0.saturating_sub(retention_ms));
        let started = Instant::now();
        let pause = match store.purge(before, SLICE_MAX).await {
            Ok(purged) => {
                let late = lateness(&purged, before);
                shared.purge_lag.set(late.unwrap_or_default());
                match late {
                    Some(late) if late >= LATE => started.elapsed() * (LATE_SHARE - 1),
                    Some(_) => started.elapsed() * (SHARE - 1),
                    None => IDLE,
                }
            }
            Err(SaveError::Full) => IDLE,
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

/// For how long the oldest one that is left should have been gone; none where nothing is left to do now.
fn lateness(purged: &Purged, before: Timestamp) -> Option<Duration> {
    let next = purged.next.filter(|next| *next < before)?;
    // The rest of one that is removed is as late as nothing.
    Some(if next == Timestamp(0) { Duration::ZERO } else { Duration::from_millis(before.0 - next.0) })
}
