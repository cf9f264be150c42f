//! Where batches become durable.
#[cfg(feature = "embedded")]
pub mod embedded;
mod memory;

#[cfg(feature = "embedded")]
pub use embedded::Embedded;
pub use memory::Memory;
