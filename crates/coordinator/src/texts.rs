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

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;
    use unanim_engine::{Dialect, Participant, Target};

    #[test]
    fn callees_of_one_url_that_differ_do_not_end_in_one_chain() {
        let callee = |call_timeout_ms, one_phase, refused: &[u16]| Callee {
            participant: Participant::new("http://stock:5001").expect("a name"),
            target: Target::One("http://stock:5001/tx".into()),
            dialect: Dialect::V1,
            call_timeout_ms,
            retry: None,
            refused_statuses: refused.into(),
            one_phase,
        };
        let all = [callee(1, false, &[409]), callee(2, false, &[409]), callee(1, true, &[409]), callee(1, false, &[])];
        let hashes: std::collections::BTreeSet<u64> = all.iter().map(|one| HashKey([1, 2]).hash_one(one)).collect();
        assert_eq!(hashes.len(), all.len());
    }
}
