//! `unanim bench`: a closed loop of clients against a coordinator, with participants of its own that always say yes.

mod cpu;
mod load;
mod participants;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use hyper::Uri;

use crate::token::TokenArgs;

/// What `unanim bench --help` shows.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Every client sends its next transaction when the one before is answered. Two
participants that always say yes run inside this process, on free loopback
ports and a thread of their own. A v1 transaction is one POST that waits for
the decision; a classic one is POST /transaction and then POST .../prepare.

Example:
  unanim bench --url http://127.0.0.1:8080 --clients 50 --seconds 10 \\
    --pid $(pidof unanim)

Exit codes: 0 when every transaction committed; 1 otherwise.")]
pub(crate) struct BenchArgs {
    /// The coordinator, as http://HOST:PORT
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: Uri,
    #[command(flatten)]
    token: TokenArgs,
    /// The front door to go through
    #[arg(long, value_enum, default_value = "v1")]
    door: Door,
    /// Clients, each with one connection and one transaction at a time
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,
    /// How long to run before that
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    warmup: f64,
    /// Also report the CPU time that this process, the coordinator, spends on one transaction
    #[arg(long)]
    pid: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The front doors that have a load of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Door {
    V1,
    Classic,
}

/// Runs the load and prints what came out.
pub(crate) fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    if args.url.scheme_str() != Some("http") || args.url.authority().is_none() {
        bail!("--url is http://HOST:PORT, not {}", args.url);
    }
    if args.url.path() != "/" || args.url.query().is_some() {
        bail!(
            "--url is http://HOST:PORT: a coordinator has its doors at its root, so nothing may follow the port, as in {}",
            args.url
        );
    }
    let span = |seconds: f64, flag| {
        Duration::try_from_secs_f64(seconds).with_context(|| format!("--{flag} {seconds} is no time"))
    };
    let (warmup, measure) = (span(args.warmup, "warmup")?, span(args.seconds, "seconds")?);
    if measure.is_zero() {
        bail!("--seconds must be more than 0");
    }
    let token = args.token.read()?;
    let participants = participants::start()?;
    let (url, door, clients, pid) = (args.url, args.door, args.clients, args.pid);
    let plan = load::Plan { url, token, door, clients, warmup, measure, pid };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(load::run(&plan, &participants))?;
    let shown = match args.json {
        true => format!("{}\n", report::json(&plan, &result)),
        false => report::text(&plan, &result),
    };
    crate::output::print(&shown)?;
    Ok(if result.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
