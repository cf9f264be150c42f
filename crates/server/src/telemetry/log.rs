//! Logs, on stderr.
use crate::config::{LogFormat, LogLevel};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Begins to log. Where somebody else does already, that stays.
pub(crate) fn start(format: LogFormat, level: LogLevel) {
    // Others' logs at these levels could show what requests carry.
    let filter = EnvFilter::new(format!("warn,unanim={level}"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = match format {
        LogFormat::Human => log.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
    if begun.is_err() {
        tracing::debug!("logs were there already");
    }
}
