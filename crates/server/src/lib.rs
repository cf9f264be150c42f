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
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use tokio::task::LocalSet;

/// The configuration on standard output, where each setting came from on standard error. Nobody may be reading either.
fn print(config: &Config) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    let warned = config.warnings.iter().try_for_each(|warning| writeln!(stderr, "unanim: {warning}"));
    let _ = warned.and_then(|()| write!(stderr, "{}", config.sources()));
    let mut stdout = std::io::stdout().lock();
    match write!(stdout, "{}", config.printed()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs a coordinator: 0 after a drain, 1 when it could not start, 70 when its store failed.
pub fn serve(args: ServeArgs) -> ExitCode {
    let config = match environment(std::env::vars_os()).and_then(|variables| Config::load(&args, variables)) {
        Ok(config) => config,
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("unanim: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if args.print_config {
        return print(&config);
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

/// The variables that may be settings: one that cannot be read is not taken for one that is not there.
fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>, Vec<String>> {
    let (mut read, mut errors) = (Vec::new(), Vec::new());
    for (name, value) in variables.filter(|(name, _)| name.as_encoded_bytes().starts_with(config::PREFIX.as_bytes())) {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => read.push((name, value)),
            (Ok(name), Err(_)) => errors.push(format!("{name}: the value is not UTF-8")),
            (Err(name), _) => errors.push(format!("{}: the name of this variable is not UTF-8", name.display())),
        }
    }
    if errors.is_empty() { Ok(read) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn a_variable_that_is_no_text_is_an_error_that_names_it_and_not_its_value() {
        let odd = || OsString::from_vec(b"se\xffcret".to_vec());
        let read =
            environment([("UNANIM_DRAIN".into(), "5s".into()), ("OTHER".into(), odd()), (odd(), odd())].into_iter());
        assert_eq!(read, Ok(vec![("UNANIM_DRAIN".into(), "5s".into())]));
        let name = OsString::from_vec(b"UNANIM_\xff".to_vec());
        let errors =
            environment([("UNANIM_TOKEN_FILE".into(), odd()), (name, "x".into())].into_iter()).expect_err("wrong");
        assert!(errors.len() == 2 && errors[0].starts_with("UNANIM_TOKEN_FILE:"), "{errors:?}");
        assert!(errors[1].starts_with("UNANIM_") && !errors.concat().contains("cret"), "{errors:?}");
    }
}
