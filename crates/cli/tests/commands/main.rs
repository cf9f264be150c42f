//! The subcommands as their users meet them: real processes, real sockets, real files.

mod bench;
mod demo;
// A coordinator that answers what a test wants: the one of the client's own tests.
#[path = "../../../sdk/tests/fake/mod.rs"]
mod fake;
mod help;
mod output;
mod participant;
mod support;
mod tx;
