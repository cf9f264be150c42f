//! One operation asked of many branches: counted, so that no step looks at all of them.
use crate::{BranchIndex, Op};

/// Made by entering a phase, updated by every reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Round {
    /// What is asked.
    pub op: Op,
    /// Branches whose part is not over.
    pub open: u32,
    /// Branches of which no call has ended yet.
    pub unheard: u32,
    /// The first branch that refused.
    pub refused: Option<BranchIndex>,
    /// The calls have been ordered since the transaction was begun or loaded.
    pub called: bool,
}

impl Round {
    pub(crate) fn new(op: Op) -> Round {
        Round { op, open: 0, unheard: 0, refused: None, called: false }
    }
}
