//! From an origin to a connection: resolve, check the address, connect, and shake hands where it is TLS.
use super::origin::{Lookup, Origin};
use super::pool::Pool;
use crate::transport::endpoint::{Endpoint, Host, Scheme};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use unanim_engine::Failure;

/// How long what a name resolved to is used for further connections.
const RESOLVED_FOR: Duration = Duration::from_secs(5);
/// How long an origin is left alone after all its addresses refused. Thousands of calls may wait for one that is
/// down, and each would cost a system call or five; no call is tried again that soon.
const LEFT_ALONE_FOR: Duration = Duration::from_millis(20);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// A connection before HTTP.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects, within the time for it and the call's own.
pub(super) async fn connect(pool: &Rc<Pool>, origin: &Rc<Origin>, deadline: Instant) -> Result<Stream, Failure> {
    let within = Instant::now() + pool.options.connect_timeout;
    match timeout_at(within.min(deadline), reach(pool, origin, within.min(deadline))).await {
        Ok(reached) => reached,
        Err(_) if within < deadline => Err(Failure::Connect),
        Err(_) => Err(Failure::Timeout),
    }
}

async fn reach(pool: &Rc<Pool>, origin: &Rc<Origin>, until: Instant) -> Result<Stream, Failure> {
    let Endpoint { scheme, host, port, .. } = &origin.endpoint;
    pool.options.allow.permits(host, *port).map_err(|_| Failure::NotAllowed)?;
    if origin.left_alone_until.get().is_some_and(|until| Instant::now() < until) {
        return Err(Failure::Connect);
    }
    let addresses = match host {
        Host::Address(address) => Rc::from([SocketAddr::new(*address, *port)]),
        Host::Name(_) => resolve(origin).await,
    };
    let permitted = |address: &&SocketAddr| match pool.options.allow.check_resolved(host, *port, address.ip()) {
        Ok(()) => true,
        Err(why) => {
            tracing::warn!(%why, "a participant's name leads where no call may go");
            false
        }
    };
    let open: Vec<SocketAddr> = addresses.iter().filter(permitted).copied().take(ADDRESSES_MAX).collect();
    if open.is_empty() && !addresses.is_empty() {
        return Err(Failure::NotAllowed);
    }
    let stream = match first_of(&open, until).await {
        Ok(stream) => stream,
        Err(why) => {
            if why == NoStream::Refused {
                origin.left_alone_until.set(Some(Instant::now() + LEFT_ALONE_FOR));
            }
            return Err(Failure::Connect);
        }
    };
    super::figures::bump(&pool.figures.connections_opened);
    match scheme {
        Scheme::Http => Ok(Stream::Plain(stream)),
        Scheme::Https => shake_hands(pool, host, stream).await.map(|stream| Stream::Tls(Box::new(stream))),
    }
}

/// Why no address led anywhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NoStream {
    /// All refused or failed by themselves: the next call would fare no better.
    Refused,
    /// One was silent for as long as this call had: another one may have more time.
    Silent,
}

/// Tries one address after the other; a silent one may take only its share of the time.
async fn first_of(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, NoStream> {
    let mut why_none = NoStream::Refused;
    for (tried, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A call is one small message each way: waiting to fill a packet only delays it.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(why)) => tracing::debug!(%address, %why, "no connection"),
            Err(_) => {
                why_none = NoStream::Silent;
                tracing::debug!(%address, "no connection in time");
            }
        }
    }
    Err(why_none)
}

async fn shake_hands(pool: &Rc<Pool>, host: &Host, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
    let name = match host {
        Host::Address(address) => ServerName::IpAddress((*address).into()),
        Host::Name(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            ServerName::try_from(name.to_owned()).map_err(|_| Failure::Connect)?
        }
    };
    let config = pool.trust.config().ok_or(Failure::Connect)?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|why| {
        tracing::debug!(%host, %why, "no TLS connection");
        Failure::Connect
    })
}

/// A name's addresses, none where it has none. Waits for a look-up that is under way instead of beginning another.
async fn resolve(origin: &Rc<Origin>) -> Rc<[SocketAddr]> {
    let mut waited = false;
    loop {
        let known = match &*origin.lookup.borrow() {
            Lookup::Known(until, addresses) if waited || Instant::now() < *until => return addresses.clone(),
            Lookup::Running(done) => Some(done.clone()),
            Lookup::Known(..) | Lookup::Unknown => None,
        };
        let done = known.unwrap_or_else(|| begin(origin));
        done.notified().await;
        waited = true;
    }
}

/// Looks a name up in a task of its own: a call whose time is up leaves it behind, and the next one finds it.
fn begin(origin: &Rc<Origin>) -> Rc<Notify> {
    let done = Rc::new(Notify::new());
    *origin.lookup.borrow_mut() = Lookup::Running(done.clone());
    let (origin, told) = (origin.clone(), done.clone());
    tokio::task::spawn_local(async move {
        let Endpoint { host, port, .. } = &origin.endpoint;
        let name = match host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        };
        let found: Vec<SocketAddr> = match tokio::net::lookup_host((name.as_str(), *port)).await {
            Ok(found) => found.map(|a| SocketAddr::new(a.ip().to_canonical(), a.port())).collect(),
            Err(why) => {
                tracing::debug!(%host, %why, "a participant's name does not resolve");
                Vec::new()
            }
        };
        // A name without addresses is asked for again by the next call.
        let good_for = if found.is_empty() { Duration::ZERO } else { RESOLVED_FOR };
        *origin.lookup.borrow_mut() = Lookup::Known(Instant::now() + good_for, found.into());
        told.notify_waiters();
    });
    done
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
