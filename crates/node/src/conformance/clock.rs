//! What every clock keeps.
use crate::ports::Clock;
use std::time::{Duration, Instant};

/// Time goes on, as fast as it does, and never back.
///
/// # Panics
/// When the clock does not keep it.
pub fn suite<C: Clock>(clock: &C) {
    let (first, started) = (clock.now(), Instant::now());
    let mut last = first;
    while started.elapsed() < Duration::from_millis(50) {
        let now = clock.now();
        assert!(now >= last, "{now:?} after {last:?}");
        last = now;
    }
    let at_least = started.elapsed().as_millis() as u64;
    let went = clock.now().0 - first.0;
    let at_most = started.elapsed().as_millis() as u64;
    assert!((at_least.saturating_sub(2)..=at_most + 2).contains(&went), "{went} ms in {at_least} to {at_most} ms");
}
