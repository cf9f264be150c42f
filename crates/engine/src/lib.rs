//! One transaction, purely.
//!
//! [`step`] takes an event and the time, changes the transaction in place, and says which calls follow and how durable
//! the change must be before anything that follows from it may leave. It knows no clock, no thread, no store and no
//! network: all of that is an argument or somebody else's.
//!
//! Invariants: what is durable about a transaction changes only by [`HistoryEvent`]s, so that folding them over the
//! body gives the same transaction again; a decision never changes; a reply that says nothing is never a refusal.

mod branch;
mod check;
mod durability;
mod effect;
mod event;
mod history;
mod index;
mod limits;
pub mod mode;
mod names;
mod phase;
mod resolution;
mod retry;
mod round;
mod step;
mod transaction;

pub use branch::{
    Branch, BranchSpec, BranchState, CallState, Callee, Dialect, Header, LastReply, ReplyCode, Target, Vote,
};
pub use durability::Durability;
pub use effect::Effect;
pub use event::{Event, Failure, Heuristic, Rejection, Reply};
pub use history::{HistoryEvent, Recorded};
pub use limits::Limits;
pub use mode::Mode;
pub use names::{BadName, BranchId, BranchIndex, Gid, Participant, Timestamp};
pub use phase::{Decision, Op, Outcome, Phase, Reason, ReasonCode};
pub use resolution::{Resolution, TooLong};
pub use retry::{RetryOverride, RetryPolicy};
pub use round::Round;
pub use step::step;
pub use transaction::{Body, Transaction};
