//! What stands behind the ports of `unanim-node`. An adapter never knows a mode.
pub mod store;
#[cfg(feature = "http")]
pub mod transport;
