//! The OpenAPI document, made from what the server runs on: the table of operations, which is also what routes are
//! looked up in, and the types that requests are read into and answers are written from.
mod classic;
mod document;
mod operations;
mod parameters;
pub(crate) mod schema;
mod server;
mod v1;

pub use document::document;
pub use operations::{Operation, methods, operations};
pub use parameters::{INQUIRY, LIST, PAGE, PAGE_DEFAULT, PAGE_MAX, PATIENCE, Parameter};
