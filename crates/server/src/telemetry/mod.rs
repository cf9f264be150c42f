//! What people and their tools are told of a running coordinator.
pub(crate) mod log;
pub(crate) mod metrics;
mod process;
