//! `unanim`: the one binary. Each subcommand is a module of its own; this one only tells them apart.

mod bench;
mod duration;
mod http;
mod participant;
mod tx;

use std::process::ExitCode;

use clap::Parser;

/// A coordinator for transactions that span services: either every participant commits, or none does.
#[derive(Parser)]
#[command(name = "unanim", version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Measure a coordinator: closed-loop clients, two participants, percentiles
    Bench(bench::BenchArgs),
    /// Submit a transaction, or show one
    Tx(tx::TxArgs),
    /// Run a durable participant with accounts, to try things with
    DemoParticipant(participant::ParticipantArgs),
}

fn main() -> ExitCode {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("unanim: another TLS provider is there already");
        return ExitCode::FAILURE;
    }
    let done = match Cli::parse().command {
        Command::Bench(args) => bench::run(args),
        Command::Tx(args) => tx::run(args),
        Command::DemoParticipant(args) => participant::run(args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("unanim: {error:#}");
        ExitCode::FAILURE
    })
}
