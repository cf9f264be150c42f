//! `unanim serve`: the front doors over HTTP, who may pass them, settings, telemetry, and the wiring of a node.
//!
//! One thread: sockets, the lane and, where the disk is quick, commits. A door translates between its protocol and the
//! lane's requests, and knows neither store nor transport.
//!
//! Invariants: a request that was refused at the door has changed nothing; bad input is never a 5xx; a secret is in no
//! log, no answer and no printed setting.

mod app;
mod config;
mod doors;
mod gate;
mod http;
mod limits;
mod secrets;
mod serve;
mod telemetry;
mod wiring;

pub use config::ServeArgs;

use config::Config;
use std::process::ExitCode;
use tokio::task::LocalSet;

/// Runs a coordinator: 0 after a drain, 1 when it could not start, 70 when its store failed.
pub fn serve(args: ServeArgs) -> ExitCode {
    let environment =
        std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    let config = match Config::load(&args, environment) {
        Ok(config) => config,
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("unanim: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if args.print_config {
        config.warnings.iter().for_each(|warning| eprintln!("unanim: {warning}"));
        eprint!("{}", config.sources());
        print!("{}", config.printed());
        return ExitCode::SUCCESS;
    }
    telemetry::log::start(config.log, config.log_level);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    LocalSet::new().block_on(&runtime, wiring::run(config))
}
