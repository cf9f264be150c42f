//! What people and their tools are told of a running coordinator.
mod exposition;
pub(crate) mod log;
pub(crate) mod metrics;
mod process;
