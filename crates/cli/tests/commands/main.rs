//! The subcommands as their users meet them: real processes, real sockets, real files.

mod bench;
mod demo;
mod fake;
mod help;
mod output;
mod participant;
mod support;
mod tx;
