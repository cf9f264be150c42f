//! For services that use Unanim: a [`Client`] that hands in transactions.
//!
//! ```no_run
//! # async fn example() -> Result<(), unanim::Error> {
//! use unanim::{Branch, Client, Submission, Wait};
//!
//! let client = Client::new(["http://127.0.0.1:8080"])?;
//! let order = Submission::new().branch(Branch::new("stock", "http://127.0.0.1:5001/tx"));
//! println!("{}", client.submit(&order, Wait::Finished).await?.outcome);
//! # Ok(())
//! # }
//! ```

pub mod client;
pub mod http;
pub mod participant;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;
mod words;

pub use client::{Branch, Client, Error, Outcome, Submission, Transaction, Wait};
pub use participant::{Participant, ResourceManager};
pub use unanim_api::ProblemCode;
