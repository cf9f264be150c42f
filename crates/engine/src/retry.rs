//! When to ask again: exponential backoff whose jitter is derived from gid and attempt, so that a replay waits as long.
use crate::{Gid, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest that a participant's `Retry-After` may put the next attempt off, in milliseconds.
const RETRY_AFTER_MS_MAX: u64 = 5 * 60_000;
/// The shortest wait: a retry is never due at the instant that asked for it.
const WAIT_MS_MIN: u64 = 1;

/// Waits double from `first_ms` up to `max_ms`; jitter takes off up to a quarter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The wait after the first failure, in milliseconds.
    pub first_ms: u32,
    /// No wait is longer, in milliseconds.
    pub max_ms: u32,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy { first_ms: 100, max_ms: 30_000 }
    }
}

/// What a branch says of its own policy; the rest is its transaction's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RetryOverride {
    /// Instead of [`RetryPolicy::first_ms`].
    pub first_ms: Option<u32>,
    /// Instead of [`RetryPolicy::max_ms`].
    pub max_ms: Option<u32>,
}

impl RetryOverride {
    /// The policy that comes of both; what is given wins, and what is not gives way as far as it must.
    #[must_use]
    pub fn over(self, policy: RetryPolicy) -> RetryPolicy {
        RetryPolicy {
            first_ms: self.first_ms.unwrap_or_else(|| policy.first_ms.min(self.max_ms.unwrap_or(u32::MAX))),
            max_ms: self.max_ms.unwrap_or_else(|| policy.max_ms.max(self.first_ms.unwrap_or(0))),
        }
    }
}

impl RetryPolicy {
    /// When to ask again after `failures` unknown replies in a row (at least 1), `attempt` being the last one's number.
    pub(crate) fn again_at(
        self,
        now: Timestamp,
        gid: &Gid,
        attempt: u32,
        failures: u32,
        retry_after_ms: u64,
    ) -> Timestamp {
        let doubled = u64::from(self.first_ms) << failures.saturating_sub(1).min(20);
        let whole = doubled.min(u64::from(self.max_ms.max(self.first_ms)));
        let wait = whole - whole * (jitter(gid, attempt) % 256) / 1024;
        now.after(wait.max(retry_after_ms.min(RETRY_AFTER_MS_MAX)).max(WAIT_MS_MIN))
    }

    /// When to look again at a participant that is still working: no failure, so no longer each time.
    pub(crate) fn interval_at(self, now: Timestamp, gid: &Gid, attempt: u32, retry_after_ms: u64) -> Timestamp {
        self.again_at(now, gid, attempt, 1, retry_after_ms)
    }
}

/// FNV-1a over gid and attempt, its high bits.
fn jitter(gid: &Gid, attempt: u32) -> u64 {
    let bytes = gid.as_str().bytes().chain(attempt.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)) >> 24
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(failures: impl Iterator<Item = u32>, retry_after_ms: u64) -> Vec<u64> {
        let gid = Gid::new("order-17").expect("a name");
        failures.map(|n| RetryPolicy::default().again_at(Timestamp(0), &gid, n, n, retry_after_ms).0).collect()
    }

    #[test]
    fn doubles_up_to_the_cap_and_jitter_takes_off_at_most_a_quarter() {
        for (n, wait) in (1..).zip(waits(1..=40, 0)) {
            let whole = (100u64 << (n - 1).min(20)).min(30_000);
            assert!(wait <= whole && wait >= whole * 3 / 4, "attempt {n}: {wait} of {whole}");
        }
    }

    #[test]
    fn what_is_left_out_is_the_transactions_as_far_as_it_fits() {
        let over = |first_ms, max_ms| {
            let policy = RetryOverride { first_ms, max_ms }.over(RetryPolicy { first_ms: 1_000, max_ms: 60_000 });
            (policy.first_ms, policy.max_ms)
        };
        assert_eq!(over(None, None), (1_000, 60_000));
        assert_eq!(over(Some(5), None), (5, 60_000));
        assert_eq!(over(None, Some(50_000)), (1_000, 50_000));
        assert_eq!(over(Some(5), Some(7)), (5, 7));
        assert_eq!(over(None, Some(10)), (10, 10));
        assert_eq!(over(Some(90_000), None), (90_000, 90_000));
    }

    #[test]
    fn the_same_gid_and_attempt_wait_as_long_again() {
        assert_eq!(waits(1..=10, 0), waits(1..=10, 0));
    }

    #[test]
    fn retry_after_is_heeded_up_to_five_minutes() {
        assert_eq!(waits(1..=2, 7_000), [7_000, 7_000]);
        assert_eq!(waits(1..=1, u64::MAX), [300_000]);
    }
}
