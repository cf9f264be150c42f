//! Instants as text: RFC 3339 in UTC, to the millisecond.
use jiff::fmt::temporal::DateTimePrinter;
use unanim_engine::Timestamp;

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// `2026-11-21T11:32:38.123Z`; an instant that no calendar reaches is the last one that it does.
pub fn rfc3339(at: Timestamp) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    PRINTER.timestamp_to_string(&at)
}

/// The instant of an RFC 3339 text with any offset, down to the millisecond; none before 1970.
pub fn instant_of(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_with_any_offset() {
        for (text, at) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-21T12:32:38.120+01:00", Some(1_795_260_758_120)),
            ("2026-11-21T11:32:38.1209Z", Some(1_795_260_758_120)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-21", None),
            ("2026-11-21T11:32:38", None),
            ("2026-11-21T11:32:38 01:00", None),
            ("now", None),
            ("", None),
        ] {
            assert_eq!(instant_of(text), at.map(Timestamp), "{text}");
        }
    }

    #[test]
    fn is_utc_to_the_millisecond() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Timestamp(1_795_260_758_120)), "2026-11-21T11:32:38.120Z");
        assert_eq!(rfc3339(Timestamp(u64::MAX)), "9999-12-30T22:00:00.999Z");
    }
}
