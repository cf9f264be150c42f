//! Time.
use unanim_engine::Timestamp;

/// Tells the time: it never goes back while the process runs, whatever happens to the machine's clock.
pub trait Clock {
    /// Now.
    fn now(&self) -> Timestamp;
}
