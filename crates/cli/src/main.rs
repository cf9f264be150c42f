//! `unanim`: the one binary. Each subcommand is a module of its own; this one only tells them apart.

mod bench;
mod demo;
mod duration;
mod output;
mod participant;
mod token;
mod tx;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::Shell;

/// A tenth of the coordinator's time went into the system's allocator (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A coordinator for transactions that span services: either every participant commits, or none does.
#[derive(Parser)]
#[command(
    name = "unanim",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  unanim demo                      see what it does, in a few seconds
  unanim serve                     run a coordinator on 127.0.0.1:8080
  unanim tx submit order.json      hand it a transaction, and wait for its end

Every subcommand's --help ends with an example and its exit codes; a mistake in
the arguments is 1 everywhere."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run a coordinator
    ///
    /// Exit codes: 0 after a drain (SIGTERM, SIGINT); 1 when it cannot start; 70 when its store cannot be written.
    Serve(Box<unanim_server::ServeArgs>),
    /// Watch it work: a shop, its crashes, and books that add up
    Demo(demo::DemoArgs),
    /// Submit, show, list and follow transactions, and help those that are stuck
    Tx(tx::TxArgs),
    /// Run a durable participant with accounts, to try things with
    DemoParticipant(participant::ParticipantArgs),
    /// Measure a coordinator: closed-loop clients, two participants, percentiles
    Bench(bench::BenchArgs),
    /// Print the completions for a shell
    #[command(after_help = "\
Example:
  unanim completions bash > ~/.local/share/bash-completion/completions/unanim

Exit codes: 0, or 1 when they cannot be written.")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    if let Err(error) = demo::hold() {
        output::explain(&error);
        return ExitCode::FAILURE;
    }
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(told) => return explain(&told),
    };
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        output::complain("unanim: another TLS provider is there already");
        return ExitCode::FAILURE;
    }
    let ended = match command {
        Command::Serve(args) => Ok(unanim_server::serve(*args)),
        Command::Demo(args) => demo::run(args),
        Command::Tx(args) => tx::run(args),
        Command::DemoParticipant(args) => participant::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Completions { shell } => completions(shell),
    };
    ended.unwrap_or_else(|error| {
        output::explain(&error);
        ExitCode::FAILURE
    })
}

/// Help and version are what was asked for. A mistake is an error like any other: 2, as clap has it, would say that a
/// submitted transaction aborted.
fn explain(told: &clap::Error) -> ExitCode {
    let printed = told.print();
    if told.use_stderr() || printed.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "unanim", &mut script);
    output::print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_ends_its_help_with_an_example_and_exit_codes() {
        fn check(command: &mut clap::Command) {
            if command.get_subcommands().next().is_none() {
                let help = command.render_long_help().to_string();
                for part in ["Example", "Exit codes"] {
                    assert!(help.contains(part), "{part} is not in the help of {}", command.get_name());
                }
            }
            command.get_subcommands_mut().for_each(check);
        }
        Cli::command().get_subcommands_mut().for_each(check);
    }

    /// Otherwise a terminal of 80 columns breaks the lines again, and examples cannot be copied.
    #[test]
    fn what_stands_after_the_options_is_narrow() {
        fn check(command: &clap::Command) {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in after.lines() {
                assert!(line.chars().count() < 80, "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
