//! The async ring, thin: it turns sockets, stores and clocks into a lane's inputs, and its outputs into I/O.
//!
//! [`start`] gives a [`Handle`], through which front doors ask, and the driver's future, which runs until the session
//! ends. Everything lives on one thread; the store commits there too, or on a thread of its own.

mod access;
mod alerts;
mod clock;
pub mod conformance;
mod driver;
mod forget;
mod handle;
mod list;
pub mod ports;
mod purge;
mod reading;
mod saves;

pub use clock::SystemClock;
pub use driver::{Ended, NodeSettings, start};
pub use forget::NotForgotten;
pub use handle::{Asking, Handle, NodeFigures, Readiness};
pub use list::{BadCursor, ListCursor, ListPage};
pub use reading::HistoryPage;
pub use saves::{BATCH_RECORDS, SAVE_MICROS, SaveFigures};
