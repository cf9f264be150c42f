//! Gives a coordinator many transactions: what it is like with a hundred thousand of them, or with one of ten thousand
//! branches.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

const PROGRESS_EVERY: u64 = 50_000;

/// Submits transactions, and says as JSON how long that took.
///
/// Example: fill --url http://127.0.0.1:8080 --count 1000 --endpoint http://127.0.0.1:8091/a --endpoint http://127.0.0.1:8091/b
#[derive(Parser)]
#[command(verbatim_doc_comment)]
struct Args {
    /// The coordinator
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: Uri,
    /// How many
    #[arg(long)]
    count: u64,
    /// Connections that submit at the same time
    #[arg(long, default_value_t = 32)]
    clients: u64,
    /// Where branches are called; repeat it, and the branches take turns
    #[arg(long, required = true)]
    endpoint: Vec<String>,
    /// Branches of a transaction (default: one for each endpoint)
    #[arg(long)]
    branches: Option<usize>,
    /// Length of each branch's payload
    #[arg(long, default_value_t = 100)]
    payload_bytes: usize,
    /// The deadline of each transaction
    #[arg(long, default_value_t = 600_000)]
    timeout_ms: u64,
    /// What each submission waits for
    #[arg(long, value_enum)]
    wait: Option<Wait>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wait {
    Decided,
    Finished,
}

/// One connection to the coordinator, and what goes over it.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    path: &'static str,
    body: Bytes,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let took = runtime.block_on(LocalSet::new().run_until(fill(&args)))?;
    println!("{}", json!({"count": args.count, "seconds": took.as_secs_f64()}));
    Ok(())
}

async fn fill(args: &Args) -> anyhow::Result<Duration> {
    let (began, left) = (Instant::now(), Rc::new(std::cell::Cell::new(args.count)));
    let mut clients = JoinSet::new();
    for _ in 0..args.clients.min(args.count) {
        let (mut client, left) = (Client::connect(args).await?, left.clone());
        clients.spawn_local(async move {
            while let Some(next) = left.get().checked_sub(1) {
                left.set(next);
                if next > 0 && next % PROGRESS_EVERY == 0 {
                    eprintln!("fill: {next} to go");
                }
                client.submit().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(began.elapsed())
}

impl Client {
    async fn connect(args: &Args) -> anyhow::Result<Client> {
        let authority = args.url.authority().context("--url has no host")?.to_string();
        let stream = TcpStream::connect(&authority).await.with_context(|| format!("cannot reach {}", args.url))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let path = match args.wait {
            None => "/v1/transactions",
            Some(Wait::Decided) => "/v1/transactions?wait=decided",
            Some(Wait::Finished) => "/v1/transactions?wait=finished",
        };
        Ok(Client { sender, authority, path, body: body(args) })
    }

    async fn submit(&mut self) -> anyhow::Result<()> {
        let request = Request::post(self.path)
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(self.body.clone()))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let (status, body) = (answer.status(), answer.into_body().collect().await?.to_bytes());
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&body[..body.len().min(500)]));
        }
        Ok(())
    }
}

/// Without a gid: the coordinator makes one for each.
fn body(args: &Args) -> Bytes {
    // A payload is JSON: a string with its quotes.
    let payload = "x".repeat(args.payload_bytes.saturating_sub(2));
    let branch = |number: usize| {
        let endpoint = &args.endpoint[number % args.endpoint.len()];
        json!({"id": format!("b{number}"), "endpoint": endpoint, "payload": payload})
    };
    let branches: Vec<_> = (0..args.branches.unwrap_or(args.endpoint.len())).map(branch).collect();
    Bytes::from(json!({"mode": "two_phase", "timeout_ms": args.timeout_ms, "branches": branches}).to_string())
}
