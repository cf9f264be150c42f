//! For services that use Unanim: a [`Client`] that hands in transactions, and a [`Participant`] that makes a
//! [`ResourceManager`] take part in them. The book has a page about both, `docs/sdk.md`.
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
//!
//! | feature | |
//! |---|---|
//! | `axum` (default) | `Participant::router` |
//! | `sqlite` | the module `sqlite`: a durable resource manager for work in SQLite |
//! | `testing` | the module `testing`: a driver for the tests of your own resource manager |

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

/// Compiles what the book shows.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/sdk.md")]
struct Book;

#[cfg(test)]
mod tests {
    #[test]
    fn the_book_shows_the_example_that_is_run() {
        let (book, example) = (include_str!("../../../docs/sdk.md"), include_str!("../examples/seats.rs"));
        assert!(book.contains(example));
    }
}
