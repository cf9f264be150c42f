//! What a node needs of the world: a trait and its errors each.
mod clock;
mod store;
mod transport;

pub use clock::Clock;
pub use store::{
    Ended, EndedCursor, Excerpt, Identity, LoadCursor, Purged, ReadError, Room, SaveError, Slice, Store, StoreFigures,
};
pub use transport::{Replies, Transport};
