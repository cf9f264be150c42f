//! Exact outputs of a lane that is handed one input after the other.

mod bench;
mod gates;
mod lists;
mod people;
