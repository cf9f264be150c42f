//! How far long work has come: told on standard error, and not at all while it is short.

use std::time::{Duration, Instant};

use crate::output;

const EVERY: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    total: usize,
    done: usize,
    told_at: Instant,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        Self { total, done: 0, told_at: Instant::now() }
    }

    /// One more is done.
    pub(super) fn step(&mut self) {
        self.done += 1;
        if self.done < self.total && self.told_at.elapsed() >= EVERY {
            self.told_at = Instant::now();
            output::complain(format_args!("unanim: {} of {}", self.done, self.total));
        }
    }
}
