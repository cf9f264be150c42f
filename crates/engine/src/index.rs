//! Finding one of many branches: by its name, and by when it is to be called again.
use crate::{Branch, BranchId, BranchIndex, BranchSpec, CallState, Timestamp, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Up to so many branches, looking at each is cheaper than an index, in time and in memory.
const UNINDEXED_MAX: usize = 16;

/// Finds one of many branches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Index {
    names: BTreeMap<BranchId, BranchIndex>,
    /// Those that are to be called again.
    again: BTreeSet<(Timestamp, BranchIndex)>,
}

impl Transaction {
    /// All at once: one sort instead of a search for each name.
    pub(crate) fn begin_with(&mut self, specs: impl Iterator<Item = Arc<BranchSpec>>) {
        self.make_room(specs.size_hint().0);
        self.branches.extend(specs.map(Branch::new));
        if self.branches.len() > UNINDEXED_MAX {
            self.make_index();
        }
    }

    /// For so many branches, and no more where they are the first ones: few come later.
    pub(crate) fn make_room(&mut self, count: usize) {
        if self.branches.is_empty() {
            self.branches.reserve_exact(count);
        }
    }

    pub(crate) fn push(&mut self, spec: Arc<BranchSpec>) {
        if let Some(index) = &mut self.index {
            index.names.insert(spec.id.clone(), self.branches.len() as BranchIndex);
        }
        self.branches.push(Branch::new(spec));
        if self.index.is_none() && self.branches.len() > UNINDEXED_MAX {
            self.make_index();
        }
    }

    fn make_index(&mut self) {
        let names = self.branches.iter().map(|b| b.spec.id.clone()).zip(0..).collect();
        self.index = Some(Box::new(Index { names, again: self.again().collect() }));
    }

    /// Which branch has this id.
    pub fn find(&self, id: &BranchId) -> Option<BranchIndex> {
        match &self.index {
            Some(index) => index.names.get(id).copied(),
            None => self.branches.iter().position(|b| b.spec.id == *id).map(|i| i as BranchIndex),
        }
    }

    /// The branches that are to be called again, and when.
    fn again(&self) -> impl Iterator<Item = (Timestamp, BranchIndex)> {
        self.branches.iter().zip(0..).filter_map(|(branch, index)| match branch.call {
            CallState::Again(at) => Some((at, index)),
            CallState::Idle | CallState::Calling(_) => None,
        })
    }

    /// A branch is to be called again.
    pub(crate) fn ask_again(&mut self, branch: BranchIndex, at: Timestamp) {
        self.branches[branch as usize].call = CallState::Again(at);
        if let Some(index) = &mut self.index {
            index.again.insert((at, branch));
        }
    }

    /// A branch that was to be called again no longer is.
    pub(crate) fn ask_no_more(&mut self, branch: BranchIndex) {
        if let CallState::Again(at) = self.branches[branch as usize].call {
            self.branches[branch as usize].call = CallState::Idle;
            if let Some(index) = &mut self.index {
                index.again.remove(&(at, branch));
            }
        }
    }

    /// The branches that are to be called again by then, in their order; each is to be called now, or asked to wait.
    pub(crate) fn take_again(&mut self, by: Timestamp) -> Vec<BranchIndex> {
        let mut due = Vec::new();
        match &mut self.index {
            Some(index) => {
                while let Some(first) = index.again.first().copied().filter(|(at, _)| *at <= by) {
                    index.again.pop_first();
                    due.push(first);
                }
            }
            None => {
                due.extend(self.again().filter(|(at, _)| *at <= by));
                due.sort_unstable();
            }
        }
        due.into_iter().map(|(_, branch)| branch).collect()
    }

    /// When the next branch is to be called again.
    pub(crate) fn next_again(&self) -> Option<Timestamp> {
        match &self.index {
            Some(index) => index.again.first().map(|(at, _)| *at),
            None => self.again().map(|(at, _)| at).min(),
        }
    }

    /// No branch is to be called again.
    pub(crate) fn ask_nobody_again(&mut self) {
        if let Some(index) = &mut self.index {
            index.again.clear();
        }
        for branch in &mut self.branches {
            if let CallState::Again(_) = branch.call {
                branch.call = CallState::Idle;
            }
        }
    }
}
