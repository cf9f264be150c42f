//! The embedded store is one, however it commits.
#![cfg(feature = "embedded")]
use tempfile::TempDir;
use unanim_adapters::store::Embedded;
use unanim_adapters::store::embedded::{CommitMode, OpenOptions};
use unanim_node::conformance::store::{Opens, suite};

struct Folders {
    commit: CommitMode,
    folders: Vec<TempDir>,
}

impl Folders {
    fn open(&self) -> Embedded {
        let dir = self.folders.last().expect("a folder").path();
        let options = OpenOptions { commit: self.commit, reserve_bytes: 0, ..OpenOptions::new(dir) };
        Embedded::open(options).expect("a store")
    }
}

impl Opens for Folders {
    type Store = Embedded;

    async fn fresh(&mut self) -> Embedded {
        self.folders.push(TempDir::new().expect("a folder"));
        self.open()
    }

    async fn reopen(&mut self, store: Embedded) -> Embedded {
        drop(store);
        self.open()
    }
}

#[tokio::test]
async fn conforms_inline() {
    suite(Folders { commit: CommitMode::Inline, folders: vec![] }).await;
}

#[tokio::test]
async fn conforms_on_a_thread() {
    suite(Folders { commit: CommitMode::Thread, folders: vec![] }).await;
}
