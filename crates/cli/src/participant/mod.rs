//! `unanim demo-participant`: a small, durable participant to try the coordinator with. It is the sdk's accounts in SQLite,
//! which it serves by both participant protocols, and fails on demand.

mod faults;
mod service;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use unanim::Participant;
use unanim::http::Http;
use unanim::sqlite::{AMOUNT_MAX, Accounts, Branches, Transfer};

use self::faults::{CrashAfter, Fail, Faults, crash};
use self::service::Service;
use crate::{duration, output};

pub(crate) use self::service::Books;

/// The exit code when the database cannot be written: what is durable is unknown, so nothing more may be said.
const BROKEN_STORE: i32 = 70;

/// What `unanim demo-participant --help` shows.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Protocols:
  v1       POST any path with the headers Unanim-Op (prepare, commit, rollback,
           commit_one_phase), Unanim-Gid, Unanim-Branch and Unanim-Inquiry; the
           body is the payload, {\"account\":\"widgets\",\"amount\":-2}
  classic  POST /transaction/<gid>/prepare|commit|rollback, no body
           (see --classic-account)
  reads    GET /books, GET /livez

Example:
  unanim demo-participant --listen 127.0.0.1:5001 --data-dir ./stock \\
                          --account widgets=100

Exit codes: 0 after SIGTERM or SIGINT; 1 when it cannot start; 70 when its
database cannot be written.")]
pub(crate) struct ParticipantArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5001")]
    listen: SocketAddr,
    /// The folder of its database; made when it is not there
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// What /books and the log lines call it
    #[arg(long, default_value = "participant")]
    name: String,
    /// An account and its first balance (repeatable); one that the database has already keeps what it has
    #[arg(long = "account", value_name = "NAME=BALANCE", value_parser = parse_account)]
    accounts: Vec<(String, i64)>,
    /// Refuse to prepare, or answer 500 to commit or rollback: always, or the first N times (repeatable)
    #[arg(long, value_name = "prepare|commit|rollback[:N]")]
    fail: Vec<Fail>,
    /// Wait this long (milliseconds, or 2s) before working on a call; other calls go on meanwhile
    #[arg(long, value_name = "MS", default_value = "0", value_parser = duration::millis_or_human)]
    delay: Duration,
    /// Die, as by kill -9, right after a call of this kind is durable and before its answer leaves;
    /// with vote, right after a yes to a prepare has left
    #[arg(long, value_name = "prepare|vote|commit|rollback")]
    crash_after: Option<CrashAfter>,
    /// Ask the coordinator about what has been prepared for longer than this
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    inquire_after: Duration,
    /// The account that classic calls, which carry no payload, work on
    #[arg(long, value_name = "NAME")]
    classic_account: Option<String>,
    /// What a classic transaction adds to that account
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true, requires = "classic_account")]
    classic_amount: i64,
    /// CA certificates (PEM) to trust when it asks a coordinator over https
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
}

fn parse_account(text: &str) -> anyhow::Result<(String, i64)> {
    let (name, balance) = text.split_once('=').ok_or_else(|| anyhow!("write it as NAME=BALANCE"))?;
    let balance = balance.parse().with_context(|| format!("{balance:?} is no whole number"))?;
    if name.is_empty() || !(0..=AMOUNT_MAX).contains(&balance) {
        bail!("an account needs a name, and a balance from 0 to {AMOUNT_MAX}");
    }
    Ok((name.to_owned(), balance))
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(args: ParticipantArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(args))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: ParticipantArgs) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.data_dir).with_context(|| format!("cannot make {}", args.data_dir.display()))?;
    let branches = open(&args)?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    let name = args.name.clone();
    let participant = Participant::new(branches)
        .inquire_after(args.inquire_after)
        .on_notice(move |notice| output::complain(format_args!("{name}: {notice}")));
    tokio::spawn(participant.clone().inquire(Http::new(args.ca_file.as_deref())?));
    let classic = args.classic_account.map(|account| Transfer { account, amount: args.classic_amount });
    let faults = Faults::new(args.fail, args.delay, args.crash_after);
    let service = Arc::new(Service::new(args.name, participant, faults, classic));

    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    output::print(&format!("listening on http://{address}\n"))?;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => service::spawn_connection(stream, service.clone()),
                // Out of file descriptors, most likely: what is open goes on, and frees some.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            _ = terminated.recv() => return Ok(()),
            _ = interrupted.recv() => return Ok(()),
        }
    }
}

/// The books; with `--crash-after` they kill the process right after such a change is durable.
fn open(args: &ParticipantArgs) -> anyhow::Result<Branches> {
    let (dying, broken, crash_after) = (args.name.clone(), args.name.clone(), args.crash_after);
    let options = Branches::options()
        .on_durable(move |op| {
            if crash_after == Some(CrashAfter::Durable(op)) {
                crash(&dying);
            }
        })
        .on_broken(move |error| {
            output::complain(format_args!("{broken}: the books cannot be written: {error}"));
            std::process::exit(BROKEN_STORE);
        });
    options.open(&args.data_dir.join("participant.db"), Accounts::new(args.accounts.clone())).with_context(|| {
        format!("cannot open the books in {} (does another process use them?)", args.data_dir.display())
    })
}
