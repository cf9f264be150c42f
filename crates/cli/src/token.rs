//! The token that commands show to a coordinator.

use std::path::PathBuf;

use anyhow::Context;

#[derive(clap::Args, Debug)]
pub(crate) struct TokenArgs {
    /// A file with the token to show
    #[arg(long, value_name = "FILE", env = "UNANIM_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl TokenArgs {
    /// None when no file is named.
    pub(crate) fn read(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let token = std::fs::read_to_string(path);
        let token = token.with_context(|| format!("cannot read the token file {}", path.display()))?;
        Ok(Some(token.trim().to_owned()))
    }
}
