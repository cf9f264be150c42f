//! The OpenAPI document, made from what the server runs on: the table of operations, which is also what routes are
//! looked up in, and the types that requests are read into and answers are written from.
mod document;
mod operations;
mod parameters;
pub(crate) mod schema;

pub use document::document;
pub use operations::{OPERATIONS, Operation, methods};
pub use parameters::{INQUIRY, PATIENCE, Parameter};
