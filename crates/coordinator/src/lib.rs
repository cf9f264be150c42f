//! Many transactions, purely: the lane.
//!
//! [`Lane::handle`] takes everything that is ready, one input at a time, then [`Lane::flush`] cuts one batch. "Save,
//! then act" lives here and nowhere else (`batch.rs`). There is no clock, no thread, no randomness and no await: a
//! simulation runs this code, not a copy.

mod batch;
mod counting;
mod dispatch;
mod figures;
mod keyed;
mod lane;
mod list;
mod open;
mod plant;
mod record;
mod request;
mod requests;
mod session;
mod telling;
mod texts;
mod timers;
mod view;

pub use batch::{Batch, Gate};
pub use figures::{Bounds, DECISION_MS, Figures, Histogram};
pub use lane::Lane;
pub use list::{Filter, OpenPage, OutcomeIs};
pub use open::OpenPlace;
#[doc(hidden)]
pub use plant::Bug;
pub use record::{Corrupt, Record, Standing, Stored};
pub use request::{
    Admission, Alert, Answer, BatchLimits, Begin, Call, CallId, Found, Input, Loading, Output, Refusal, Request, Saved,
    Settings, Ticket, Wait,
};
pub use view::{BranchView, EventView, Happened, ReasonView, View};
