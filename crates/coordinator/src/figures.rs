//! What a lane counts.
use unanim_engine::{Phase, Timestamp, Transaction};

/// Bounds of a histogram; what is above the last one is only counted.
pub type Bounds = [u64; 14];
/// Bounds of the time until a decision, in milliseconds.
pub const DECISION_MS: Bounds = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 60_000, 600_000];

/// How many values were within each of some bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Values up to each bound, and above the one before.
    pub counts: [u64; 14],
    /// All values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl Histogram {
    /// One more value.
    pub fn add(&mut self, bounds: &Bounds, value: u64) {
        if let Some(count) = self.counts.get_mut(bounds.partition_point(|bound| *bound < value)) {
            *count += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
    }
}

/// Counts for people and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Transactions in memory.
    pub open: usize,
    /// Their bytes, roughly.
    pub open_bytes: usize,
    /// In each open phase, in the order of [`Figures::PHASES`].
    pub open_in: [usize; Figures::PHASES.len()],
    /// When the one that began first did.
    pub oldest_at: Option<Timestamp>,
    /// Milliseconds from begin to decision, of those that were decided by this lane.
    pub decision_ms: Histogram,
    /// Those marked stuck.
    pub stuck: usize,
    /// Calls in flight.
    pub calls_in_flight: usize,
    /// Calls that wait in their participant's line.
    pub calls_queued: usize,
    /// Transactions begun by this lane.
    pub begun: u64,
    /// Transactions that ended committed in this lane.
    pub committed: u64,
    /// Transactions that ended aborted in this lane.
    pub aborted: u64,
    /// Transactions that ended in this lane with a branch that had finished on its own, or was resolved against the decision.
    pub heuristics: u64,
    /// Open transactions that were loaded from the store.
    pub loaded: u64,
}

impl Figures {
    /// The open phases.
    pub const PHASES: [Phase; 4] = [Phase::Active, Phase::Preparing, Phase::Committing, Phase::Aborting];

    /// One is in this phase now, and no longer in that one.
    pub(crate) fn moved(&mut self, from: Option<Phase>, to: Option<Phase>) {
        let place = |phase: Option<Phase>| Figures::PHASES.iter().position(|open| Some(*open) == phase);
        if let Some(place) = place(from) {
            self.open_in[place] -= 1;
        }
        if let Some(place) = place(to) {
            self.open_in[place] += 1;
        }
    }

    /// It has just been decided.
    pub(crate) fn decided(&mut self, txn: &Transaction) {
        if let Some(at) = txn.decided_at {
            self.decision_ms.add(&DECISION_MS, at.0.saturating_sub(txn.created_at.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_within_itself() {
        let mut histogram = Histogram::default();
        [0, 1, 2, 3, 600_000, 600_001].iter().for_each(|value| histogram.add(&DECISION_MS, *value));
        assert_eq!((histogram.counts[..3].to_vec(), histogram.counts[13]), (vec![2, 1, 1], 1));
        assert_eq!((histogram.count, histogram.sum), (6, 1_200_007));
    }

    #[test]
    fn each_open_one_is_in_one_phase() {
        let mut figures = Figures::default();
        figures.moved(None, Some(Phase::Active));
        figures.moved(None, Some(Phase::Active));
        figures.moved(Some(Phase::Active), Some(Phase::Aborting));
        assert_eq!(figures.open_in, [1, 0, 0, 1]);
        figures.moved(Some(Phase::Aborting), Some(Phase::Aborted));
        figures.moved(Some(Phase::Aborted), None);
        assert_eq!(figures.open_in, [1, 0, 0, 0]);
    }
}
