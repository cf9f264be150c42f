//! The subcommands as their users meet them: real processes, real sockets, real files.

mod participant;
mod support;
