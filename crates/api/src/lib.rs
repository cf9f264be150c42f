//! What other languages see: the words of the wire.
pub mod inquiry;
pub mod names;
