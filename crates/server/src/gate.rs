//! Who may pass: the token, and for a browser the page that it shows (design.md §9).
use crate::config::Classic;
use crate::http::header;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, ORIGIN};
use hyper::http::uri::Authority;
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;
use unanim_api::{Problem, ProblemCode};

/// Which rules hold for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ward {
    /// None: a probe comes from anywhere.
    Open,
    /// Only who a browser is sent by: it says nothing of any transaction.
    Public,
    /// The token, where one is set.
    Guarded,
    /// The same, unless `--classic open` says otherwise.
    Classic,
}

/// Who passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Somebody who may see every transaction.
    Full,
    /// Somebody without a token, let in by `--classic open`: only what was begun there is of their business.
    ClassicOnly,
}

/// Keeps the rules.
pub(crate) struct Gate {
    token: Option<Box<[u8]>>,
    classic: Classic,
    /// Hosts under which this server is known, beside all loopback ones.
    hosts: Vec<Box<str>>,
    /// Ports at which its own pages would be.
    port: u16,
    /// A page of this machine may be its own.
    is_on_loopback: bool,
    public: Option<(Box<str>, u16)>,
}

impl Gate {
    pub(crate) fn new(token: Option<String>, classic: Classic, listen: SocketAddr, public_url: &str) -> Gate {
        let public = public_url.split_once("://").and_then(|(scheme, rest)| {
            let authority = rest.split('/').next().unwrap_or_default();
            host_and_port(authority, default_port(scheme))
        });
        let mut hosts = vec![listen.ip().to_string().into_boxed_str()];
        let is_on_loopback = listen.ip().is_unspecified() || listen.ip().to_canonical().is_loopback();
        hosts.extend(public.as_ref().map(|(host, _)| host.clone()));
        Gate {
            token: token.map(|t| t.into_bytes().into()),
            classic,
            hosts,
            port: listen.port(),
            is_on_loopback,
            public,
        }
    }

    /// Whether a request may pass.
    ///
    /// # Errors
    /// A foreign page, or no valid token where one is needed.
    pub(crate) fn check(
        &self,
        ward: Ward,
        headers: &HeaderMap,
        authority: Option<&Authority>,
    ) -> Result<Pass, Problem> {
        if ward == Ward::Open || self.holds_token(headers) {
            return Ok(Pass::Full);
        }
        self.check_host(headers, authority)?;
        match (&self.token, ward) {
            (None, _) | (_, Ward::Open | Ward::Public) => Ok(Pass::Full),
            (Some(_), Ward::Classic) if self.classic == Classic::Open => Ok(Pass::ClassicOnly),
            (Some(_), Ward::Classic | Ward::Guarded) => {
                Err(Problem::new(ProblemCode::Unauthenticated, "send the token as Authorization: Bearer"))
            }
        }
    }

    fn holds_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return false };
        let given = header(headers, AUTHORIZATION.as_str()).and_then(|value| value.split_once(' '));
        given.is_some_and(|(scheme, given)| {
            scheme.eq_ignore_ascii_case("bearer") && bool::from(given.trim().as_bytes().ct_eq(token))
        })
    }

    /// A browser sends what it was told to by the page it shows: the page must be ours, and under a name of ours, since
    /// anybody can make a name of theirs lead here.
    fn check_host(&self, headers: &HeaderMap, authority: Option<&Authority>) -> Result<(), Problem> {
        let foreign = |what: &str| {
            Err(Problem::new(
                ProblemCode::OriginNotAllowed,
                format!("{what} is not this coordinator's; a valid token would do"),
            ))
        };
        let known = |host: &str| is_loopback(host) || self.hosts.iter().any(|ours| **ours == *host);
        if headers.contains_key(HOST) {
            let host = header(headers, HOST.as_str()).and_then(|host| host_and_port(host, 0));
            if !host.is_some_and(|(host, _)| known(&host)) {
                return foreign("the Host");
            }
        }
        if let Some(authority) = authority
            && !host_and_port(authority.as_str(), 0).is_some_and(|(host, _)| known(&host))
        {
            return foreign("the URL's host");
        }
        if headers.contains_key(ORIGIN)
            && !header(headers, ORIGIN.as_str()).is_some_and(|origin| self.is_own_origin(origin))
        {
            return foreign("the Origin");
        }
        Ok(())
    }

    fn is_own_origin(&self, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        if !matches!(scheme, "http" | "https") {
            return false;
        }
        let Some((host, port)) = host_and_port(authority, default_port(scheme)) else { return false };
        let public = self.public.as_ref().is_some_and(|(ours, at)| *ours == host && *at == port);
        public
            || (port == self.port
                && ((self.is_on_loopback && is_loopback(&host)) || self.hosts.iter().any(|ours| **ours == *host)))
    }
}

fn default_port(scheme: &str) -> u16 {
    if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 }
}

/// Host in lower case, IPv6 without its brackets; none where it is no `host` or `host:port`.
fn host_and_port(authority: &str, default_port: u16) -> Option<(Box<str>, u16)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
        None if rest.is_empty() => default_port,
        None => return None,
    };
    let valid = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:".contains(&b));
    valid.then(|| (host.to_ascii_lowercase().into(), port))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    const TOKEN: &str = "s3cret";

    fn gate(token: bool, classic: Classic) -> Gate {
        Gate::new(token.then(|| TOKEN.into()), classic, ([10, 1, 2, 3], 8080).into(), "https://c.example/base")
    }

    fn verdict(gate: &Gate, ward: Ward, headers: &[(&'static str, &str)]) -> u16 {
        let headers = headers
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_str(v).expect("a value")))
            .collect();
        gate.check(ward, &headers, None).map_or_else(|problem| problem.code.status(), |_| 200)
    }

    #[test]
    fn without_a_token_only_pages_are_strangers() {
        let gate = gate(false, Classic::On);
        assert_eq!(verdict(&gate, Ward::Guarded, &[]), 200);
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:1",
            "10.1.2.3:80",
            "c.example",
            "C.example:9000",
        ] {
            assert_eq!(verdict(&gate, Ward::Guarded, &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.7",
            "",
            "a b",
            "[::1",
            "c.example:x",
            "2130706433",
            "@localhost",
        ] {
            assert_eq!(verdict(&gate, Ward::Guarded, &[("host", host)]), 403, "{host}");
            assert_eq!(verdict(&gate, Ward::Open, &[("host", host)]), 200, "{host}");
        }
        assert_eq!(
            verdict(&gate, Ward::Guarded, &[("host", "localhost"), ("host", "evil.example")]),
            403,
            "two of them"
        );
    }

    #[test]
    fn an_origin_must_be_a_page_of_ours() {
        let gate = gate(false, Classic::On);
        for origin in ["http://10.1.2.3:8080", "https://c.example", "https://c.example:443"] {
            assert_eq!(verdict(&gate, Ward::Classic, &[("origin", origin)]), 200, "{origin}");
        }
        for origin in [
            // Somebody else's page: this server does not listen there.
            "http://localhost:8080",
            "http://127.0.0.1:8080",
            "http://localhost:3000",
            "http://localhost",
            "null",
            "garbage",
            "file://",
            "https://c.example:8443",
            "http://c.example",
            "http://localhost.evil.example:8080",
            "",
        ] {
            assert_eq!(verdict(&gate, Ward::Classic, &[("origin", origin)]), 403, "{origin}");
            assert_eq!(verdict(&gate, Ward::Open, &[("origin", origin)]), 200, "{origin}");
        }
    }

    #[test]
    fn a_page_of_this_machine_is_ours_where_we_listen_on_loopback() {
        for (listen, expected) in [
            ("127.0.0.1:8080", 200),
            ("[::1]:8080", 200),
            ("0.0.0.0:8080", 200),
            ("[::]:8080", 200),
            ("10.1.2.3:8080", 403),
        ] {
            let gate = Gate::new(None, Classic::On, listen.parse().expect("an address"), "http://c.example");
            for origin in ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"] {
                assert_eq!(verdict(&gate, Ward::Guarded, &[("origin", origin)]), expected, "{origin} at {listen}");
            }
        }
    }

    #[test]
    fn a_token_is_needed_where_one_is_set() {
        let gate = gate(true, Classic::On);
        for ward in [Ward::Guarded, Ward::Classic] {
            assert_eq!(verdict(&gate, ward, &[]), 401);
            for wrong in ["s3cret", "Bearer s3cre", "Bearer s3crets", "Bearer ", "Basic s3cret", "Bearer"] {
                assert_eq!(verdict(&gate, ward, &[("authorization", wrong)]), 401, "{wrong}");
            }
            for right in ["Bearer s3cret", "bearer s3cret"] {
                assert_eq!(verdict(&gate, ward, &[("authorization", right)]), 200);
                assert_eq!(
                    verdict(&gate, ward, &[("authorization", right), ("host", "evil.example"), ("origin", "null")]),
                    200
                );
            }
        }
        assert_eq!(verdict(&gate, Ward::Open, &[]), 200);
        assert_eq!(verdict(&gate, Ward::Public, &[]), 200);
        assert_eq!(verdict(&gate, Ward::Public, &[("host", "evil.example")]), 403);
    }

    #[test]
    fn open_classic_exempts_from_the_token_and_from_nothing_else() {
        let gate = gate(true, Classic::Open);
        assert_eq!(verdict(&gate, Ward::Classic, &[]), 200);
        assert_eq!(verdict(&gate, Ward::Classic, &[("origin", "http://evil.example")]), 403);
        assert_eq!(verdict(&gate, Ward::Guarded, &[]), 401);
    }
}
