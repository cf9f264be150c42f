//! Texts of settings as values, and back.
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;
use unanim_adapters::transport::Endpoint;

/// Whether the classic front door is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Classic {
    /// It asks for the token whenever one is set.
    On,
    /// It asks for none.
    Open,
    /// It is not there.
    Off,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// An object a line.
    Json,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    On,
    Off,
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ }) => {
        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<$name, String> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(format!("{text:?} is none of {}", [$($word),+].join(", "))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $word),+ })
            }
        }
    };
}

words!(Classic { On = "on", Open = "open", Off = "off" });
words!(Switch { On = "on", Off = "off" });
words!(LogFormat { Human = "human", Json = "json" });

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

words!(LogLevel { Trace = "trace", Debug = "debug", Info = "info", Warn = "warn", Error = "error" });

const UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];

/// `1GiB`, `512 MiB`, `1000000`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..at], text[at..].trim());
    let factor = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor);
    let value = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    value.filter(|v| *v > 0).ok_or_else(|| format!("{text:?} is no size such as 1GiB or 512MiB"))
}

/// The shortest text that [`bytes`] reads as this.
pub(super) fn bytes_text(value: u64) -> String {
    let (unit, factor) = UNITS[..3].iter().find(|(_, factor)| value.is_multiple_of(*factor)).unwrap_or(&UNITS[7]);
    format!("{}{unit}", value / factor)
}

/// `7d`, `1h 30m`, `250ms`; from `min` to `max`.
pub(super) fn duration(text: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    let value = humantime::parse_duration(text).map_err(|_| format!("{text:?} is no time such as 250ms, 30s or 7d"))?;
    if value < min || value > max {
        return Err(format!("{text:?} is not between {} and {}", duration_text(min), duration_text(max)));
    }
    Ok(value)
}

/// `7d`, `1h 30m`: as people write it, and as [`duration`] reads it.
pub(super) fn duration_text(value: Duration) -> String {
    const NANOS: [(u128, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let mut left = value.as_nanos();
    let mut parts = Vec::new();
    for (size, unit) in NANOS {
        if left >= size {
            parts.push(format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// An address to listen on, or a name that leads to one.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found =
        text.to_socket_addrs().map_err(|error| format!("{text:?} is no address such as 127.0.0.1:8080: {error}"))?;
    found.next().ok_or_else(|| format!("{text:?} leads to no address"))
}

/// A URL that others are told, without the slash at its end.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let endpoint =
        Endpoint::parse(text).map_err(|why| format!("{text:?} is no URL that participants can call: it {why}"))?;
    if endpoint.path.contains('?') {
        return Err(format!("{text:?} must not have a query"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A count from 1 on.
pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("{text:?} is no number from 1 on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        assert_eq!((bytes("512 mib"), bytes("7"), bytes("2kB")), (Ok(512 << 20), Ok(7), Ok(2_000)));
        for odd in ["", "GiB", "-1", "1.5GiB", "1XB", "0", "99999999999999999999", "18446744073709551615GiB", "many"] {
            assert!(bytes(odd).is_err(), "{odd}");
        }
        for value in [1, 1023, 1024, 1 << 30, 3 << 20, (1 << 30) + 1] {
            assert_eq!(bytes(&bytes_text(value)), Ok(value));
        }
    }

    #[test]
    fn times_have_bounds() {
        let read = |text| duration(text, Duration::from_millis(1), Duration::from_secs(300));
        assert_eq!(read("1m 30s"), Ok(Duration::from_secs(90)));
        for odd in ["soon", "-3d", "0s", "301s", "", "10"] {
            assert!(read(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        let day = 24 * 3600;
        for (text, value) in [
            ("7d", Duration::from_secs(7 * day)),
            ("400d 1h", Duration::from_secs(400 * day + 3600)),
            ("1m 30s", Duration::from_secs(90)),
            ("250ms", Duration::from_millis(250)),
            ("1s 5us 7ns", Duration::new(1, 5_007)),
            ("0s", Duration::ZERO),
        ] {
            assert_eq!(duration_text(value), text);
            assert_eq!(duration(text, Duration::ZERO, Duration::MAX), Ok(value));
        }
    }

    #[test]
    fn addresses_and_urls() {
        assert_eq!(address("127.0.0.1:80"), Ok(([127, 0, 0, 1], 80).into()));
        assert!(address("[::1]:0").is_ok());
        for odd in ["8080x", "127.0.0.1", "nowhere.invalid:1", ""] {
            assert!(address(odd).is_err(), "{odd}");
        }
        assert_eq!(public_url("https://a.example/base/").as_deref(), Ok("https://a.example/base"));
        for odd in ["coordinator", "ftp://x", "http://", "http://a/?q", "http://u:p@a"] {
            assert!(public_url(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn words_lead_back() {
        for text in ["on", "open", "off"] {
            assert_eq!(text.parse::<Classic>().expect("a word").to_string(), text);
        }
        assert_eq!("maybe".parse::<Classic>(), Err("\"maybe\" is none of on, open, off".to_owned()));
    }
}
