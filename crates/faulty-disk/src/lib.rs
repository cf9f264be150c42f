//! A disk that fails writes and flushes and loses its power, for tests.
//!
//! It stands below everything: whoever links this crate gets its `write`, `fsync`, `ftruncate` and `unlink` in the place of
//! the C library's, for SQLite's code as for Rust's own. So nothing of what is tested knows of it, and what is written or
//! flushed beside SQLite counts as well. Files outside of the folders that a [`Disk`] watches go straight to the kernel.
//!
//! What it takes a disk to be:
//! - What was written is read back at once, by whoever asks, and is durable after a flush that succeeded, not before.
//! - A flush that fails leaves any part of what it should have written on the disk; the rest reads as if it were there, and
//!   no later flush writes it (as Linux does since it marks such pages clean).
//! - A write that fails may have written a part.
//! - When the power is lost, of what was not flushed any part may be on the disk, torn at sectors of 512 bytes, in any
//!   order; a name that was made or removed is durable after a flush of its folder, not before. What is mapped into memory
//!   (`-shm`) may be gone, old or garbage.
//!
//! It does not see files that are written through a mapping, by `fallocate`, or truncated when they are opened.
mod calls;
mod disk;
mod files;
mod rng;

pub use disk::{Disk, Fault};
pub use rng::Rng;
