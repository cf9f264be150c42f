//! Standard output and standard error. Both may be full, or nobody reads them any more: that is no reason to panic.

use std::fmt::{Display, Formatter};
use std::io::{self, ErrorKind, Write};

/// Standard output did not take what was printed.
#[derive(Debug)]
pub(crate) struct Unwritten(io::Error);

impl Display for Unwritten {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "cannot write to standard output: {}", self.0)
    }
}

impl std::error::Error for Unwritten {}

/// Writes this to standard output, whether it ends with a new line or not.
pub(crate) fn print(text: &str) -> Result<(), Unwritten> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Unwritten)
}

/// Writes a line to standard error. When that fails there is nobody left to tell.
pub(crate) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says why a command failed; not that a reader went away, as `head` does when it has enough.
pub(crate) fn explain(error: &anyhow::Error) {
    let unwritten = error.downcast_ref::<Unwritten>();
    if unwritten.is_none_or(|unwritten| unwritten.0.kind() != ErrorKind::BrokenPipe) {
        complain(format_args!("unanim: {error:#}"));
    }
}
