//! Whom calls may reach. A host is listed by its name or, where it is an address, by a range; what a listed name
//! resolves to is looked at again when a connection is made.
use super::endpoint::{BadEndpoint, Host};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

/// The word for all loopback addresses and `localhost`.
const LOOPBACK: &str = "loopback";

/// What `--allow` lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    what: What,
    /// Every port without.
    port: Option<NonZeroU16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// This name, without a trailing dot.
    Name(Box<str>),
    /// Every name that ends in this, which begins with a dot.
    Suffix(Box<str>),
    /// These addresses.
    Range(IpNet),
}

/// Why an entry of the list is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--allow {entry}: {why}")]
pub struct BadEntry {
    /// The entry.
    pub entry: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Calls may not go there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// No entry matches.
    #[error("calls to {host}:{port} are not allowed; --allow {host}:{port} would allow them")]
    Unlisted {
        /// As the URL has it.
        host: String,
        /// Of the URL.
        port: u16,
    },
    /// Nor could it be listed.
    #[error(
        "calls to {host}:{port} are never allowed: no participant is at an unspecified, multicast or broadcast address"
    )]
    Nowhere {
        /// As the URL has it.
        host: String,
        /// Of the URL.
        port: u16,
    },
    /// Not in this spelling.
    #[error("{0}")]
    Spelling(#[from] BadEndpoint),
    /// The name is listed, and leads where no listed name may.
    #[error("{host} resolves to {address}, which only --allow {address} and a URL with that address would reach")]
    Resolved {
        /// As the URL has it.
        host: String,
        /// Where it leads.
        address: IpAddr,
    },
}

impl Default for AllowList {
    /// Loopback only.
    fn default() -> AllowList {
        AllowList(loopback(None).into())
    }
}

impl AllowList {
    /// Reads the entries of `--allow`: a host, `*.suffix`, an address, a CIDR or `loopback`, each with an optional
    /// `:port` (an IPv6 one then in brackets). Without any, calls may go nowhere.
    ///
    /// # Errors
    /// The first entry that is none of these.
    pub fn parse(entries: &[String]) -> Result<AllowList, BadEntry> {
        let mut list = Vec::with_capacity(entries.len());
        for entry in entries {
            let bad = |why| BadEntry { entry: entry.clone(), why };
            let (what, port) = split_port(entry.trim()).map_err(bad)?;
            if what.eq_ignore_ascii_case(LOOPBACK) {
                list.extend(loopback(port));
            } else {
                list.push(Entry { what: what_of(what).map_err(bad)?, port });
            }
        }
        Ok(AllowList(list))
    }

    /// Whether an endpoint is listed, by name or by the address that it is written as. For the front doors: what is
    /// listed here is refused later only for what its name resolves to.
    ///
    /// # Errors
    /// It is not, or it is spelled as no address should be.
    pub fn permits_endpoint(&self, host: &str, port: u16) -> Result<(), NotAllowed> {
        self.permits(&Host::parse(host)?, port)
    }

    /// As [`AllowList::permits_endpoint`], for a host that was read already.
    ///
    /// # Errors
    /// It is not listed.
    pub fn permits(&self, host: &Host, port: u16) -> Result<(), NotAllowed> {
        let listed = match host {
            Host::Address(address) if Kind::of(*address) == Kind::Nowhere => {
                return Err(NotAllowed::Nowhere { host: host.to_string(), port });
            }
            Host::Address(address) => self.lists_address(*address, port),
            Host::Name(name) => self.lists_name(name, port),
        };
        listed.then_some(()).ok_or_else(|| NotAllowed::Unlisted { host: host.to_string(), port })
    }

    /// Whether a connection may be made to what a host resolved to.
    ///
    /// # Errors
    /// The host is not listed, or its name leads to a link-local, metadata, unspecified, multicast or unlisted
    /// loopback address.
    pub fn check_resolved(&self, host: &Host, port: u16, address: IpAddr) -> Result<(), NotAllowed> {
        self.permits(host, port)?;
        let Host::Name(name) = host else { return Ok(()) };
        let permitted = match Kind::of(address) {
            Kind::Ordinary => true,
            Kind::Loopback => is_localhost(name) || self.lists_address(address, port),
            Kind::LinkLocal | Kind::Nowhere => false,
        };
        permitted.then_some(()).ok_or_else(|| NotAllowed::Resolved { host: host.to_string(), address })
    }

    fn lists_name(&self, name: &str, port: u16) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        self.entries(port).any(|what| match what {
            What::Name(listed) => **listed == *name,
            What::Suffix(suffix) => name.len() > suffix.len() && name.ends_with(&**suffix),
            What::Range(_) => false,
        })
    }

    /// A wide range does not list the special addresses in it: those want an entry of their own.
    fn lists_address(&self, address: IpAddr, port: u16) -> bool {
        let kind = Kind::of(address);
        self.entries(port).any(|what| match what {
            What::Range(range) => kind != Kind::Nowhere && range.contains(&address) && kind.holds(range),
            What::Name(_) | What::Suffix(_) => false,
        })
    }

    fn entries(&self, port: u16) -> impl Iterator<Item = &What> {
        self.0.iter().filter(move |entry| entry.port.is_none_or(|listed| listed.get() == port)).map(|entry| &entry.what)
    }
}

fn is_localhost(name: &str) -> bool {
    name.strip_suffix('.').unwrap_or(name) == "localhost"
}

fn loopback(port: Option<NonZeroU16>) -> [Entry; 3] {
    let v4 = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));
    let v6 = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128));
    [What::Name("localhost".into()), What::Range(v4), What::Range(v6)].map(|what| Entry { what, port })
}

/// Takes `:port` off an entry. More than one colon without brackets is an IPv6 address without a port.
fn split_port(entry: &str) -> Result<(&str, Option<NonZeroU16>), &'static str> {
    let (what, port) = match entry.strip_prefix('[') {
        Some(rest) => {
            let (what, port) = rest.split_once(']').ok_or("the bracket is not closed")?;
            match port {
                "" => (what, None),
                _ => (what, Some(port.strip_prefix(':').ok_or("a port follows a ']' after a ':'")?)),
            }
        }
        None if entry.matches(':').count() > 1 => (entry, None),
        None => entry.split_once(':').map_or((entry, None), |(what, port)| (what, Some(port))),
    };
    let number = |port: &str| port.parse().ok().filter(|_| port.bytes().all(|b| b.is_ascii_digit()));
    let port = port.map(|port| number(port).ok_or("the port must be between 1 and 65535")).transpose()?;
    Ok((what, port))
}

fn what_of(text: &str) -> Result<What, &'static str> {
    const WHY: &str = "must be a host, *.suffix, an address or a CIDR such as 10.0.0.0/8, with an optional :port";
    if text.contains('/') {
        let range: IpNet = text.parse().map_err(|_| WHY)?;
        return Ok(What::Range(canonical(range.trunc())));
    }
    if let Some(suffix) = text.strip_prefix('*') {
        return match (suffix.strip_prefix('.'), suffix.strip_prefix('.').map(Host::parse)) {
            (Some(rest), Some(Ok(Host::Name(_)))) => {
                Ok(What::Suffix(format!(".{}", rest.strip_suffix('.').unwrap_or(rest)).to_ascii_lowercase().into()))
            }
            (None, _) => Err("a * stands for the first part of a name only: *.example.com"),
            (Some(_), _) => Err(WHY),
        };
    }
    match Host::parse(text).map_err(|_| WHY)? {
        Host::Address(address) => Ok(What::Range(address.into())),
        Host::Name(name) => Ok(What::Name(name.strip_suffix('.').unwrap_or(&name).into())),
    }
}

/// A range of mapped IPv4 addresses is a range of IPv4 addresses.
fn canonical(range: IpNet) -> IpNet {
    match range {
        IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.addr().to_ipv4_mapped().is_some() => {
            let v4 = v6.addr().to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED);
            Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(range, IpNet::V4)
        }
        IpNet::V4(_) | IpNet::V6(_) => range,
    }
}

/// What an address is, seen by whoever must not be led there by a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ordinary,
    Loopback,
    /// Link-local, where clouds keep their metadata, and the addresses outside of it where they keep them too.
    LinkLocal,
    /// Unspecified, multicast, broadcast: no participant is there.
    Nowhere,
}

impl Kind {
    fn of(address: IpAddr) -> Kind {
        match address.to_canonical() {
            IpAddr::V4(v4) => Kind::of_v4(v4),
            IpAddr::V6(v6) => match embedded(v6) {
                Some(v4) => Kind::of_v4(v4),
                None => Kind::of_v6(v6),
            },
        }
    }

    fn of_v4(address: Ipv4Addr) -> Kind {
        // Alibaba's and Oracle's metadata services; 0.0.0.0/8 is "this network", and Linux takes 0.0.0.0 for itself.
        const METADATA: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
        match address {
            _ if address.is_loopback() => Kind::Loopback,
            _ if address.is_link_local() || METADATA.contains(&address) => Kind::LinkLocal,
            _ if address.octets()[0] == 0 || address.is_multicast() || address.is_broadcast() => Kind::Nowhere,
            _ => Kind::Ordinary,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Kind {
        // Amazon's and Google's metadata services.
        const METADATA: [Ipv6Addr; 2] =
            [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];
        match address {
            _ if address.is_loopback() => Kind::Loopback,
            _ if address.is_unicast_link_local() || METADATA.contains(&address) => Kind::LinkLocal,
            _ if address.is_unspecified() || address.is_multicast() => Kind::Nowhere,
            _ => Kind::Ordinary,
        }
    }

    /// Whether a range was meant for addresses of this kind: it lies wholly within what is special about them.
    fn holds(self, range: &IpNet) -> bool {
        match self {
            Kind::Ordinary => true,
            Kind::Loopback | Kind::LinkLocal | Kind::Nowhere => {
                Kind::of(range.network()) == self && Kind::of(range.broadcast()) == self
            }
        }
    }
}

/// The IPv4 address that a gateway (NAT64, 6to4) or an old stack (IPv4-compatible) would make of an IPv6 one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "allow_tests.rs"]
mod tests;
