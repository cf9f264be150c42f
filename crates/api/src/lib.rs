//! What other languages see: the JSON of the front doors, their problem codes, and the key of an inquiry.
//!
//! Requests become the coordinator's types here and its views become JSON; nothing here waits, calls or stores.
//!
//! Invariants: a payload goes through byte for byte; every error has a stable code; a branch's headers are never shown.

mod accept;
mod branch;
pub mod canonical;
pub mod classic;
mod door;
mod event;
pub mod inquiry;
mod json;
pub mod names;
pub mod openapi;
mod problem;
mod submission;
mod time;
mod transaction;

pub use accept::{Accepted, branches, nothing, resolution, submission};
pub use branch::{CALL_TIMEOUT_MS, HEADER_BYTES_MAX, REFUSED_STATUSES, TIMEOUT_MS};
pub use door::{BadEndpoint, Door};
pub use event::{EVENT_TYPES, event_frame, history_body};
pub use problem::{FieldError, Problem, ProblemCode};
pub use submission::{CALL_TIMEOUT_MS_MAX, RETRY_MS_MAX, TIMEOUT_MS_MAX};
pub use time::{instant_of, rfc3339};
pub use transaction::{list_body, outcome_body, transaction_body};
pub use unanim_engine::Op;
