//! The store in memory is one.
use unanim_adapters::store::Memory;
use unanim_node::conformance::store::{Opens, suite};

struct Memories;

impl Opens for Memories {
    type Store = Memory;

    async fn fresh(&mut self) -> Memory {
        Memory::new()
    }

    async fn reopen(&mut self, store: Memory) -> Memory {
        store.next_session()
    }
}

#[tokio::test]
async fn conforms() {
    suite(Memories).await;
}
