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
    let (went, passed) = (last.0 - first.0, started.elapsed().as_millis() as u64);
    assert!(went >= 48 && went <= passed + 2, "{went} ms on the clock in {passed} ms");
}
