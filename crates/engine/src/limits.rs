//! What bounds one transaction.

/// Set by whoever runs the engine; the same for all transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Branches of one transaction.
    pub branches_max: usize,
    /// Bytes of one branch's payload.
    pub payload_bytes_max: usize,
    /// Milliseconds in one phase other than Active after which an open transaction is marked stuck.
    pub stuck_after_ms: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { branches_max: 10_000, payload_bytes_max: 1 << 20, stuck_after_ms: 60_000 }
    }
}
