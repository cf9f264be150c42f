//! The machine's time, read once; from then on the monotonic clock counts.
use crate::ports::Clock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use unanim_engine::Timestamp;

/// A clock that nobody can set while the process runs: a skew at the start moves deadlines, never outcomes.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    wall_ms: u64,
    started: Instant,
}

impl SystemClock {
    /// Reads the machine's clock.
    pub fn start() -> SystemClock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        SystemClock { wall_ms: wall.as_millis() as u64, started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall_ms + self.started.elapsed().as_millis() as u64)
    }
}
