//! One suite per port, run against every adapter.
pub mod clock;
pub mod store;
pub mod transport;
