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
        if let Some(line) = self.step_at(Instant::now()) {
            output::complain(format_args!("unanim: {line}"));
        }
    }

    fn step_at(&mut self, now: Instant) -> Option<String> {
        self.done += 1;
        let is_due = self.done < self.total && now.duration_since(self.told_at) >= EVERY;
        is_due.then(|| {
            self.told_at = now;
            format!("{} of {}", self.done, self.total)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_speaks_every_few_seconds_and_not_at_the_end() {
        let mut progress = Progress::new(6);
        let start = progress.told_at;
        let told: Vec<_> = [1, 4, 6, 7, 12, 60].map(|s| progress.step_at(start + Duration::from_secs(s))).into();
        assert_eq!(told, [None, None, Some("3 of 6".to_owned()), None, Some("5 of 6".to_owned()), None]);
    }
}
