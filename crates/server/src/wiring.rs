//! Puts a coordinator together, runs it, and ends it.
use crate::app::{App, Signal};
use crate::config::{Classic, Config, Switch};
use crate::doors::docs::Shelf;
use crate::gate::Gate;
use crate::telemetry::metrics::Metrics;
use crate::{limits, secrets, serve};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::{JoinError, spawn_local};
use tokio_rustls::TlsAcceptor;
use unanim_adapters::store::Embedded;
use unanim_adapters::store::embedded::OpenOptions;
use unanim_adapters::transport::http::{HttpOptions, HttpTransport};
use unanim_api::inquiry::Signer;
use unanim_coordinator::Settings;
use unanim_engine::Limits;
use unanim_node::ports::Store;
use unanim_node::{Ended, NodeSettings, SystemClock, start};
use uuid::Uuid;

/// The store failed, or somebody else has taken it over.
const EXIT_BROKEN: i32 = 70;

/// Why a coordinator does not start.
#[derive(Debug)]
struct NoStart(String);

impl<E: Display> From<E> for NoStart {
    fn from(error: E) -> NoStart {
        NoStart(error.to_string())
    }
}

/// Everything that is needed before the first request.
struct Wired {
    app: Rc<App>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    driver: std::pin::Pin<Box<dyn Future<Output = Ended>>>,
    signals: [(Signals, i32); 2],
}

/// Runs a coordinator until it is told to stop.
pub(crate) async fn run(config: Config) -> ExitCode {
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let drain = config.drain;
    let Wired { app, listener, tls, driver, mut signals } = match wire(config).await {
        Ok(wired) => wired,
        Err(NoStart(why)) => {
            tracing::error!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let mut driver = spawn_local(driver);
    let serving = serve::accept(app.clone(), listener, tls, limits::connections());
    tokio::select! {
        () = serving => unreachable!("connections are taken for ever"),
        ended = &mut driver => die(ended),
        name = told_to_stop(&mut signals) => tracing::info!("{}: finishing what is in flight", signal_name(name)),
    }
    tokio::select! {
        () = serve::drain(&app, drain) => {}
        ended = &mut driver => die(ended),
        number = told_to_stop(&mut signals) => {
            tracing::warn!("{} again: what is in flight is left as it is", signal_name(number));
            std::process::exit(128 + number);
        }
    }
    app.transport.close();
    ExitCode::SUCCESS
}

async fn wire(config: Config) -> Result<Wired, NoStart> {
    let token = config.token_file.as_deref().map(secrets::token).transpose()?;
    let tls = config.tls.as_ref().map(|(cert, key)| secrets::tls(cert, key)).transpose()?;
    if let Some(ca) = &config.ca_file {
        readable("--ca-file", ca)?;
    }
    if token.is_some() && config.classic == Classic::Open {
        tracing::warn!("--classic open: whoever reaches this port may use the classic protocol without a token");
    }
    // From here on a signal is answered by a drain.
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| (signal(kind), kind.as_raw_value()));
    let [(interrupt, int), (terminate, term)] = signals;
    let signals = [(interrupt?, int), (terminate?, term)];
    let listener = listen(config.listen).await?;
    let address = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
    let open = OpenOptions { commit: config.commit, ..OpenOptions::new(&config.data_dir) };
    let store = Embedded::open(open).map_err(|why| format!("--data-dir {}: {why}", config.data_dir.display()))?;
    let (app, driver) = node(&config, store, address, &public_url, token)?;
    tracing::info!("listening on {scheme}://{address}");
    Ok(Wired { app, listener, tls, driver, signals })
}

type Driver = std::pin::Pin<Box<dyn Future<Output = Ended>>>;

fn node(
    config: &Config,
    store: Embedded,
    address: SocketAddr,
    public_url: &str,
    token: Option<String>,
) -> Result<(Rc<App>, Driver), NoStart> {
    let identity = store.identity().clone();
    tracing::info!(store = %identity.uuid, fence = identity.fence, commit = %store.commit_mode(), public_url, "the store is open");
    let mut options = HttpOptions::new(public_url, identity.uuid, identity.secret);
    (options.allow, options.ca) = (config.allow.clone(), config.ca_file.clone());
    let transport = HttpTransport::new(options)?;
    let limits = Limits { stuck_after_ms: millis(config.stuck_after), ..Limits::default() };
    let lane = Settings {
        transaction: limits,
        open_max: config.max_open,
        open_bytes_max: usize::try_from(config.max_open_bytes).unwrap_or(usize::MAX),
        ..Settings::default()
    };
    let (high, low) = Uuid::new_v4().as_u64_pair();
    let settings = NodeSettings { lane, hash_key: [high, low], retention_ms: millis(config.retention) };
    let (handle, driver) = start(Rc::new(store), transport.clone(), SystemClock::start(), settings);
    let app = App {
        handle,
        transport,
        gate: Gate::new(token, config.classic, address, public_url),
        allow: config.allow.clone(),
        endpoints: Default::default(),
        limits,
        classic_is_on: config.classic != Classic::Off,
        classic_prepare_ms: u32::try_from(millis(config.classic_prepare_timeout)).unwrap_or(u32::MAX),
        store: identity.uuid.to_string(),
        signer: Signer::new(&identity.secret),
        metrics: Metrics::default(),
        base: base(public_url),
        shelf: Shelf::default(),
        logs_access: config.access_log == Switch::On,
        stop: Signal::default(),
        hurry: Signal::default(),
        left: Notify::new(),
    };
    Ok((Rc::new(app), Box::pin(driver)))
}

/// The path of a URL without its last slash.
fn base(public_url: &str) -> String {
    let path = public_url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    path.unwrap_or_default().trim_end_matches('/').to_owned()
}

async fn listen(address: SocketAddr) -> Result<TcpListener, NoStart> {
    TcpListener::bind(address).await.map_err(|error| {
        NoStart(match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("{address} is in use by another program: give another address to --listen")
            }
            _ => format!("cannot listen on {address}: {error}; give another address to --listen"),
        })
    })
}

fn readable(flag: &str, path: &Path) -> Result<(), NoStart> {
    std::fs::File::open(path).map(|_| ()).map_err(|error| NoStart(format!("{flag} {}: {error}", path.display())))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The number of the signal that came first.
async fn told_to_stop([(interrupt, int), (terminate, term)]: &mut [(Signals, i32); 2]) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => *int,
        _ = terminate.recv() => *term,
    }
}

fn signal_name(number: i32) -> &'static str {
    if number == SignalKind::interrupt().as_raw_value() { "SIGINT" } else { "SIGTERM" }
}

/// The session is over. The process must not say another word to anybody, nor try the disk again: what is durable is
/// found by the next start.
fn die(ended: Result<Ended, JoinError>) -> ! {
    match ended {
        Ok(Ended::Broken(why)) => tracing::error!("the store cannot be trusted any more, this process ends: {why}"),
        Ok(Ended::Fenced) => tracing::error!("another session has taken over the store, this process ends"),
        Err(why) => tracing::error!("the coordinator's own bookkeeping is broken, this process ends: {why}"),
    }
    std::process::exit(EXIT_BROKEN)
}
