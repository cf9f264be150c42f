//! What a step wants done.
use crate::{BranchIndex, Op};

/// An effect is an order; whoever carries it out first makes durable what the step's [`crate::Durability`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Call this operation on this branch, and hand in exactly one [`crate::Event::Replied`] for it.
    Call {
        /// Which branch.
        branch: BranchIndex,
        /// What it is asked to do.
        op: Op,
        /// The number of the attempt, unique within the branch since the transaction was begun or loaded.
        attempt: u32,
    },
}
