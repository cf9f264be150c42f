//! The driver with a store and a transport that do as they are told.

mod forgetting;
mod loops;
mod reading;
mod scripted;
