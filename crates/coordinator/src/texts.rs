//! The names and URLs that every transaction comes with, kept once: a service has few, and a million open transactions
//! would keep each of them a million times.
use crate::keyed::{HashKey, Set};
use std::sync::Arc;
use unanim_engine::BranchSpec;

/// Texts that are known at a time. With more than that they are hardly the same ones.
const KNOWN_MAX: usize = 16_384;
/// Longer ones are kept where they came with, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// In a transaction of more branches than this, names are told apart by numbers that no other one has.
const BRANCHES_MAX: usize = 64;

pub(crate) struct Texts {
    known: Set<Arc<str>>,
}

impl Texts {
    pub(crate) fn new(key: HashKey) -> Texts {
        Texts { known: Set::with_hasher(key) }
    }

    /// Replaces what is known already. A branch that somebody else holds stays as it is.
    pub(crate) fn share(&mut self, branches: &mut [Arc<BranchSpec>]) {
        if branches.len() > BRANCHES_MAX {
            return;
        }
        let own = branches.iter_mut().filter_map(Arc::get_mut);
        own.flat_map(BranchSpec::texts)
            .filter(|text| text.len() <= TEXT_BYTES_MAX)
            .for_each(|text| self.share_one(text));
    }

    fn share_one(&mut self, text: &mut Arc<str>) {
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        *text = self.known.get_or_insert_with(text, Arc::clone).clone();
    }
}
