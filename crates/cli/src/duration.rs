//! Durations on the command line: how they are written, and how they are shown.

use std::time::Duration;

/// A bare number is milliseconds; anything else is `2s`, `1m 30s`.
pub(crate) fn millis_or_human(text: &str) -> Result<Duration, humantime::DurationError> {
    text.parse().map(Duration::from_millis).or_else(|_| humantime::parse_duration(text))
}

/// In its largest unit only, as in `3s`: for a glance.
pub(crate) fn brief(span: Duration) -> String {
    const UNITS: [(u128, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let millis = span.as_millis();
    match UNITS.iter().find(|(size, _)| millis >= *size) {
        Some((size, unit)) => format!("{}{unit}", millis / size),
        None => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glance_sees_one_unit() {
        for (millis, shown) in [
            (0, "0ms"),
            (27, "27ms"),
            (3_027, "3s"),
            (59_999, "59s"),
            (90_000, "1m"),
            (7_200_000, "2h"),
            (86_400_000 * 400, "400d"),
        ] {
            assert_eq!(brief(Duration::from_millis(millis)), shown);
        }
    }
}
