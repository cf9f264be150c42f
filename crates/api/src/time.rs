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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_utc_to_the_millisecond() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Timestamp(1_795_260_758_120)), "2026-11-21T11:32:38.120Z");
        assert_eq!(rfc3339(Timestamp(u64::MAX)), "9999-12-30T22:00:00.999Z");
    }
}
