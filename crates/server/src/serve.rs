//! Connections: taken, served one request after the other, and brought to their end.
use crate::app::App;
use crate::doors;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

/// For a request's head, and between two requests of a connection.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// For a client to take a part of an answer: who never reads keeps no connection.
const READ_TIME_MAX_MS: u32 = 60_000;
/// A request's head, and what is read ahead of its body.
const BUFFER_BYTES_MAX: usize = 256 << 10;
/// The pause after a connection could not be taken: for want of files it would be tried without end.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// For answers that were put together already to leave, after the limit of a drain.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Takes connections for ever, at most so many at a time.
pub(crate) async fn accept(app: Rc<App>, listener: TcpListener, tls: Option<TlsAcceptor>, connections_max: usize) {
    app.metrics.connections_max.set(connections_max);
    let slots = Arc::new(Semaphore::new(connections_max));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(BUFFER_BYTES_MAX).writev(false);
    loop {
        let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let guest = Guest::new(app.clone(), slot);
                spawn_local(connection(guest, server.clone(), stream, tls.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// A connection's place among the others.
struct Guest {
    app: Rc<App>,
    _slot: OwnedSemaphorePermit,
}

impl Guest {
    fn new(app: Rc<App>, slot: OwnedSemaphorePermit) -> Guest {
        app.metrics.connections.set(app.metrics.connections.get() + 1);
        Guest { app, _slot: slot }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.app.metrics.connections.set(self.app.metrics.connections.get() - 1);
        self.app.left.notify_waiters();
    }
}

async fn connection(guest: Guest, server: http1::Builder, stream: TcpStream, tls: Option<TlsAcceptor>) {
    // An answer is small and complete: nothing is gained by holding it back. Where these do not work, they only help less.
    let _ = stream.set_nodelay(true);
    let _ = set_tcp_user_timeout(&stream, READ_TIME_MAX_MS);
    match tls {
        None => requests(&guest.app, &server, stream).await,
        Some(tls) => match timeout(HANDSHAKE_TIME_MAX, tls.accept(stream)).await {
            Ok(Ok(stream)) => requests(&guest.app, &server, stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS with a client"),
            Err(_) => tracing::debug!("no TLS with a client in time"),
        },
    }
}

async fn requests(app: &Rc<App>, server: &http1::Builder, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(doors::answer(app, request).await) });
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = app.stop.called() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection broke");
    }
}

/// Ends what is in flight within a limit: clients get their answers, and what is not decided by then stays durable.
pub(crate) async fn drain(app: &App, limit: Duration) {
    let until = Instant::now() + limit;
    app.handle.drain();
    app.stop.call();
    let everybody_left = timeout_at(until, async {
        tokio::select! {
            () = all_left(app) => true,
            // What is still waited for comes no sooner than a retry or another client's wish.
            () = app.handle.idle() => false,
        }
    });
    let in_time = everybody_left.await.is_ok();
    app.hurry.call();
    let all_left = timeout_at(until.max(Instant::now() + LAST_WORDS), all_left(app)).await.is_ok();
    let at_rest = timeout_at(until, app.handle.idle()).await.is_ok();
    let open = app.handle.figures().lane.open;
    match in_time && all_left && at_rest {
        true => tracing::info!(open, "drained; what is open goes on with the next start"),
        false => tracing::warn!(open, "not all in flight ended in time; what is open goes on with the next start"),
    }
}

async fn all_left(app: &App) {
    while app.metrics.connections.get() > 0 {
        app.left.notified().await;
    }
}
