//! Hash maps whose key is an argument: gids come from strangers, and a simulation must replay.
use siphasher::sip::SipHasher13;
use std::hash::BuildHasher;

/// SipHash 1-3 under a key.
#[derive(Clone, Copy)]
pub(crate) struct HashKey(pub(crate) [u64; 2]);

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, HashKey>;

pub(crate) type Set<K> = hashbrown::HashSet<K, HashKey>;
