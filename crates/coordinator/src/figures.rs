//! What a lane counts.

/// Counts for people and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Transactions in memory.
    pub open: usize,
    /// Their bytes, roughly.
    pub open_bytes: usize,
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
    /// Transactions that ended in this lane with a branch that had finished on its own.
    pub heuristics: u64,
    /// Open transactions that were loaded from the store.
    pub loaded: u64,
}
