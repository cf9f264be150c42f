//! How durations are written on the command line.

use std::time::Duration;

/// A bare number is milliseconds; anything else is `2s`, `1m 30s`.
pub(crate) fn millis_or_human(text: &str) -> Result<Duration, humantime::DurationError> {
    text.parse().map(Duration::from_millis).or_else(|_| humantime::parse_duration(text))
}
