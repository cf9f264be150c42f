//! The async ring, thin: it turns sockets, stores and clocks into a lane's inputs, and its outputs into I/O.
pub mod ports;
