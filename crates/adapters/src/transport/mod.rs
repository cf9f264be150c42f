//! Ways to reach participants.
mod allow;
mod endpoint;
pub mod http;

pub use allow::{AllowList, BadEntry, NotAllowed};
pub use endpoint::{BadEndpoint, Endpoint, Host, Scheme};
