//! The coordinator that a command talks to, and what it says no with, as an error that says what to do.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use unanim::client::Problem;
use unanim::{Client, Error};

use crate::token::TokenArgs;

#[derive(clap::Args, Debug)]
pub(super) struct ServerArgs {
    /// The coordinator
    #[arg(long, value_name = "URL", env = "UNANIM_SERVER", default_value = "http://127.0.0.1:8080")]
    server: String,
    #[command(flatten)]
    token: TokenArgs,
    /// CA certificates (PEM) to trust, instead of the system's
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
}

/// A coordinator's door.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) client: Client,
    has_token: bool,
}

impl Door {
    /// A person waits: whatever fails is told at once, and not tried again.
    pub(super) fn new(args: &ServerArgs) -> anyhow::Result<Self> {
        let token = args.token.read()?;
        let has_token = token.is_some();
        let mut builder = Client::builder();
        if let Some(token) = token {
            builder = builder.token(token);
        }
        if let Some(file) = &args.ca_file {
            builder = builder.ca_file(file);
        }
        let client = builder.build([&args.server]).context("--server")?.with_patience(Duration::ZERO);
        Ok(Self { client, has_token })
    }

    /// What `error` means to who typed the command.
    pub(super) fn explain(&self, error: &Error) -> anyhow::Error {
        match error {
            Error::Unreachable { address, why } => {
                anyhow!("cannot reach {address} (does `unanim serve` run there? --server names another): {why}")
            }
            Error::Problem(problem) => anyhow!("{problem}{}", hint(problem, self.has_token)),
            other => anyhow!("{other}"),
        }
    }
}

fn hint(problem: &Problem, has_token: bool) -> String {
    match problem.status {
        401 if has_token => "; the token in --token-file is not the server's".to_owned(),
        401 => "; no token was sent: --token-file FILE".to_owned(),
        // An answer about the call itself names no transaction.
        404 | 405 if problem.gid.is_none() => format!(
            "; the server does not have this call: is it older than this unanim ({})? unanim_build_info in its /metrics says",
            env!("CARGO_PKG_VERSION")
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(status: u16, code: &str, gid: Option<&str>, has_token: bool) -> String {
        let problem = json!({"status": status, "code": code, "detail": "no", "gid": gid});
        hint(&serde_json::from_value(problem).unwrap(), has_token)
    }

    #[test]
    fn an_error_says_what_to_do() {
        assert_eq!(told(404, "not_found", Some("g"), false), "");
        for (status, code) in [(404, "not_found"), (405, "method_not_allowed")] {
            assert!(told(status, code, None, false).contains("older than this unanim"));
        }
        assert!(told(401, "unauthenticated", None, false).ends_with("no token was sent: --token-file FILE"));
        assert!(told(401, "unauthenticated", None, true).ends_with("the token in --token-file is not the server's"));
    }
}
