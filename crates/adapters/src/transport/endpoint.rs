//! The URL of a participant, taken apart strictly: what two parsers could read in two ways is refused.
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// The longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// The longest name that the domain name system knows, in bytes, with a trailing dot.
const HOST_BYTES_MAX: usize = 254;

/// How a participant is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As a URL writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port that a URL need not write.
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Why a URL is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// Longer than is read.
    #[error("must be at most {URL_BYTES_MAX} bytes long")]
    TooLong,
    /// Neither `http://` nor `https://`.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// `user:password@`.
    #[error("must not carry credentials; send them in the branch's headers")]
    Userinfo,
    /// No host, or one that is spelled as no name and no address is.
    #[error(
        "the host must be a name of letters, digits, '-', '_' and '.', an IPv4 address, or an IPv6 address in brackets"
    )]
    Host,
    /// `2130706433`, `127.1`, `0x7f.1`: resolvers and people read them differently.
    #[error("an IPv4 address must be written as four decimal numbers without leading zeros")]
    NumericHost,
    /// No number between 1 and 65535.
    #[error("the port must be between 1 and 65535")]
    Port,
    /// A path or query with characters that must be percent-encoded.
    #[error("path and query must be percent-encoded ASCII")]
    Path,
    /// `#…`: nothing that could be sent.
    #[error("must not have a fragment")]
    Fragment,
}

/// Who is named: an address, or a name that is resolved whenever a connection is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address; an IPv4 one that is mapped into IPv6 is an IPv4 one.
    Address(IpAddr),
    /// A name in lower case, with its trailing dot where it has one.
    Name(Box<str>),
}

impl Host {
    /// Reads a host as a URL writes it; an IPv6 address may lack its brackets.
    ///
    /// # Errors
    /// Neither a name nor an address in its one usual spelling.
    pub fn parse(text: &str) -> Result<Host, BadEndpoint> {
        let bracketed =
            text.strip_prefix('[').map(|rest| rest.strip_suffix(']').ok_or(BadEndpoint::Host)).transpose()?;
        if bracketed.is_some() || text.contains(':') {
            let address: std::net::Ipv6Addr = bracketed.unwrap_or(text).parse().map_err(|_| BadEndpoint::Host)?;
            return Ok(Host::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Host::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
        if text.len() > HOST_BYTES_MAX || name.is_empty() || !name.bytes().all(ok) || name.split('.').any(str::is_empty)
        {
            return Err(BadEndpoint::Host);
        }
        if is_numeric(name.rsplit('.').next().unwrap_or(name)) {
            return Err(BadEndpoint::NumericHost);
        }
        Ok(Host::Name(text.to_ascii_lowercase().into()))
    }
}

/// Whether a resolver would take a name that ends so for an IPv4 address: decimal, octal or hexadecimal.
fn is_numeric(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or(label.strip_prefix("0X"));
    label.bytes().all(|b| b.is_ascii_digit()) || hex.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// As a URL writes it.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(IpAddr::V4(address)) => address.fmt(f),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// Where a branch is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// How.
    pub scheme: Scheme,
    /// Whom.
    pub host: Host,
    /// At which port; never 0.
    pub port: u16,
    /// Path and query; begins with a `/`.
    pub path: Box<str>,
}

impl Endpoint {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// Anything but `http` or `https`, a host and perhaps a port, path and query.
    pub fn parse(url: &str) -> Result<Endpoint, BadEndpoint> {
        if url.len() > URL_BYTES_MAX {
            return Err(BadEndpoint::TooLong);
        }
        let (scheme, rest) = url.split_once("://").ok_or(BadEndpoint::Scheme)?;
        let scheme = [Scheme::Http, Scheme::Https].into_iter().find(|known| scheme.eq_ignore_ascii_case(known.name()));
        let scheme = scheme.ok_or(BadEndpoint::Scheme)?;
        if rest.contains('#') {
            return Err(BadEndpoint::Fragment);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = authority_of(authority, scheme)?;
        let path = match path.as_bytes().first() {
            None => "/".into(),
            Some(b'/') => path.into(),
            Some(_) => format!("/{path}").into_boxed_str(),
        };
        if !path.bytes().all(is_sendable) {
            return Err(BadEndpoint::Path);
        }
        Ok(Endpoint { scheme, host, port, path })
    }

    /// Whom calls count against: `scheme://host:port`, the host in lower case without a trailing dot, the port always
    /// written.
    pub fn participant(&self) -> String {
        let host = self.host.to_string();
        format!("{}://{}:{}", self.scheme.name(), host.strip_suffix('.').unwrap_or(&host), self.port)
    }
}

/// Reads `host:port`, as the classic door takes it too.
///
/// # Errors
/// Credentials, or a host or a port that is none.
pub(crate) fn authority_of(authority: &str, scheme: Scheme) -> Result<(Host, u16), BadEndpoint> {
    if authority.contains('@') {
        return Err(BadEndpoint::Userinfo);
    }
    let (host, port) = match (authority.find(']'), authority.rfind(':')) {
        (Some(bracket), Some(colon)) if colon > bracket => (&authority[..colon], Some(&authority[colon + 1..])),
        (None, Some(colon)) => (&authority[..colon], Some(&authority[colon + 1..])),
        (_, _) => (authority, None),
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err(BadEndpoint::Host);
    }
    let port = match port {
        None => scheme.default_port(),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| BadEndpoint::Port)?,
        Some(_) => return Err(BadEndpoint::Port),
    };
    if port == 0 {
        return Err(BadEndpoint::Port);
    }
    Ok((Host::parse(host)?, port))
}

/// Bytes that a request line may hold.
fn is_sendable(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, String) {
        let endpoint = Endpoint::parse(url).expect(url);
        (endpoint.participant(), endpoint.path.to_string())
    }

    #[test]
    fn a_participant_has_one_spelling() {
        for (url, participant, path) in [
            ("http://stock:5001/tx", "http://stock:5001", "/tx"),
            ("HTTP://Stock.Example:80", "http://stock.example:80", "/"),
            ("https://pay", "https://pay:443", "/"),
            ("http://pay?x=1", "http://pay:80", "/?x=1"),
            ("http://127.0.0.1:5001/a/b?c=%20", "http://127.0.0.1:5001", "/a/b?c=%20"),
            ("http://[::1]:5001/", "http://[::1]:5001", "/"),
            ("http://[0:0::1]", "http://[::1]:80", "/"),
            ("http://[::ffff:127.0.0.1]:9", "http://127.0.0.1:9", "/"),
            ("http://stock_db.:5001", "http://stock_db:5001", "/"),
            ("http://LOCALHOST.", "http://localhost:80", "/"),
        ] {
            assert_eq!(parts(url), (participant.into(), path.into()), "{url}");
        }
    }

    #[test]
    fn what_is_no_endpoint_says_why() {
        for (url, why) in [
            ("", BadEndpoint::Scheme),
            ("stock:5001", BadEndpoint::Scheme),
            ("ftp://stock", BadEndpoint::Scheme),
            (" http://stock", BadEndpoint::Scheme),
            ("http://", BadEndpoint::Host),
            ("http:///tx", BadEndpoint::Host),
            ("http://user:pw@stock/", BadEndpoint::Userinfo),
            ("http://127.0.0.1:80@evil/", BadEndpoint::Userinfo),
            ("http://stock:0/", BadEndpoint::Port),
            ("http://stock:/", BadEndpoint::Port),
            ("http://stock:65536/", BadEndpoint::Port),
            ("http://stock:+80/", BadEndpoint::Port),
            ("http://stock: 80/", BadEndpoint::Port),
            ("http://a b/", BadEndpoint::Host),
            ("http://a%2eb/", BadEndpoint::Host),
            ("http://stöck/", BadEndpoint::Host),
            ("http://a..b/", BadEndpoint::Host),
            ("http://.a/", BadEndpoint::Host),
            ("http://evil\\.example/", BadEndpoint::Host),
            ("http://::1/", BadEndpoint::Host),
            ("http://[::1/", BadEndpoint::Host),
            ("http://[::1]x/", BadEndpoint::Host),
            ("http://[fe80::1%25eth0]/", BadEndpoint::Host),
            ("http://[127.0.0.1]/", BadEndpoint::Host),
            ("http://stock/#frag", BadEndpoint::Fragment),
            ("http://stock/a b", BadEndpoint::Path),
            ("http://stock/ä", BadEndpoint::Path),
            ("http://stock/a\r\nb: c", BadEndpoint::Path),
        ] {
            assert_eq!(Endpoint::parse(url), Err(why), "{url}");
        }
        assert_eq!(Endpoint::parse(&format!("http://{}", "a".repeat(3_000))), Err(BadEndpoint::TooLong));
        assert_eq!(Endpoint::parse(&format!("http://{}", "a".repeat(300))), Err(BadEndpoint::Host));
    }

    #[test]
    fn an_ipv4_address_has_one_spelling() {
        for host in [
            "2130706433",
            "0x7f000001",
            "0X7F.1",
            "127.1",
            "127.0.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.01",
            "127.0.0.1.",
            "1.2.3.4.5",
            "256.1.1.1",
            "0x",
        ] {
            assert_eq!(Endpoint::parse(&format!("http://{host}:80/")), Err(BadEndpoint::NumericHost), "{host}");
        }
        assert!(Endpoint::parse("http://1.example/").is_ok());
        assert!(Endpoint::parse("http://0xcafe.example/").is_ok());
    }
}
