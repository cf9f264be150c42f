//! The names of branches, and whom they call and how, kept once: a service has few, and a million open transactions would
//! keep each of them a million times.
use crate::keyed::{HashKey, Set};
use std::hash::Hash;
use std::sync::Arc;
use unanim_engine::{BranchSpec, Callee};

/// Texts that are known at a time, of each kind. With more than that they are hardly the same ones.
const KNOWN_MAX: usize = 16_384;
/// Larger ones are kept where they came with, in bytes.
const BYTES_MAX: usize = 512;
/// In a transaction of more branches than this, names are told apart by numbers that no other one has.
const BRANCHES_MAX: usize = 64;

pub(crate) struct Texts {
    names: Set<Arc<str>>,
    callees: Set<Arc<Callee>>,
}

impl Texts {
    pub(crate) fn new(key: HashKey) -> Texts {
        Texts { names: Set::with_hasher(key), callees: Set::with_hasher(key) }
    }

    /// Replaces what is known already. A branch that somebody else holds stays as it is.
    pub(crate) fn share(&mut self, branches: &mut [Arc<BranchSpec>]) {
        let names_too = branches.len() <= BRANCHES_MAX;
        for spec in branches.iter_mut().filter_map(Arc::get_mut) {
            if spec.callee.bytes() <= BYTES_MAX {
                share_one(&mut self.callees, &mut spec.callee);
            }
            if names_too {
                share_one(&mut self.names, spec.name());
            }
        }
    }
}

fn share_one<T: Hash + Eq + ?Sized>(known: &mut Set<Arc<T>>, one: &mut Arc<T>) {
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    *one = known.get_or_insert_with(one, Arc::clone).clone();
}
