//! How durable a change must be before anything that follows from it may leave.

/// The larger of two is what both need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nothing durable changed.
    Nothing,
    /// Asking again would bring it back: it rides with the next forced change.
    Lazy,
    /// Nobody would say it again, or somebody acts on it: calls and answers wait for it.
    Forced,
}
