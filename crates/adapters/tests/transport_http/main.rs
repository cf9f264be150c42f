//! The HTTP transport against real sockets: participants that keep to HTTP, and participants that do not.
mod caller;
mod conformance;
mod odd_answers;
mod pooling;
mod server;
mod tls;
