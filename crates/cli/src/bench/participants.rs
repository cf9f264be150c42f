//! Two participants that say yes to everything and keep nothing, on a thread of their own.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

/// Without a call for this long, no second phase is under way any more.
const QUIET: Duration = Duration::from_millis(200);

/// Where they listen, and how often they were called.
pub(super) struct Participants {
    pub(super) addresses: [SocketAddr; 2],
    calls: Arc<AtomicU64>,
}

/// Binds both and starts their thread, which ends with the process.
pub(super) fn start() -> anyhow::Result<Participants> {
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let addresses = [listeners[0].local_addr()?, listeners[1].local_addr()?];
    let calls = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let counter = calls.clone();
    std::thread::Builder::new().name("participants".into()).spawn(move || {
        let [first, second] = listeners.map(|listener| accept(listener, counter.clone()));
        runtime.block_on(async { tokio::join!(first, second) })
    })?;
    Ok(Participants { addresses, calls })
}

impl Participants {
    /// Waits until nobody calls any more, for at most `limit`.
    pub(super) async fn quiet(&self, limit: Duration) {
        let began = Instant::now();
        let mut seen = (self.calls.load(Ordering::Relaxed), Instant::now());
        while seen.1.elapsed() < QUIET && began.elapsed() < limit {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let calls = self.calls.load(Ordering::Relaxed);
            if calls != seen.0 {
                seen = (calls, Instant::now());
            }
        }
    }
}

async fn accept(listener: TcpListener, calls: Arc<AtomicU64>) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let calls = calls.clone();
        let service = service_fn(move |request| {
            calls.fetch_add(1, Ordering::Relaxed);
            say_yes(request)
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn say_yes(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that breaks off ends the connection anyway.
    let _ = request.into_body().collect().await;
    let mut answer = Response::new(Full::new(Bytes::from_static(br#"{"result":"success"}"#)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}
