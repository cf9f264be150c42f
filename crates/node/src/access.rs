//! The store as handles need it: what people read and forget, the lane has no part in.
use crate::driver::Local;
use crate::ports::{Ended, EndedCursor, Excerpt, ReadError, SaveError, Store, StoreFigures};
use std::rc::Rc;
use unanim_coordinator::{Record, Stored};
use unanim_engine::{Gid, Timestamp};

/// A store as handles need it, whichever it is.
pub(crate) trait Access {
    fn figures(&self) -> StoreFigures;
    fn find(&self, gid: Gid) -> Local<Result<Option<Stored>, ReadError>>;
    fn history(&self, gid: Gid, first_seq: u64, most: usize) -> Local<Result<Option<Excerpt>, ReadError>>;
    fn ended(&self, cursor: EndedCursor, most: usize) -> Local<Result<Ended, ReadError>>;
    fn forget(&self, gid: Gid, ended_at: Timestamp, left: Option<Record>) -> Local<Result<bool, SaveError>>;
}

impl<S: Store + 'static> Access for Rc<S> {
    fn figures(&self) -> StoreFigures {
        S::figures(self)
    }

    fn find(&self, gid: Gid) -> Local<Result<Option<Stored>, ReadError>> {
        let store = self.clone();
        Box::pin(async move { S::find(&store, &gid).await })
    }

    fn history(&self, gid: Gid, first_seq: u64, most: usize) -> Local<Result<Option<Excerpt>, ReadError>> {
        let store = self.clone();
        Box::pin(async move { S::history(&store, &gid, first_seq, most).await })
    }

    fn ended(&self, cursor: EndedCursor, most: usize) -> Local<Result<Ended, ReadError>> {
        let store = self.clone();
        Box::pin(async move { S::ended(&store, &cursor, most).await })
    }

    fn forget(&self, gid: Gid, ended_at: Timestamp, left: Option<Record>) -> Local<Result<bool, SaveError>> {
        let store = self.clone();
        Box::pin(async move { S::forget(&store, &gid, ended_at, left).await })
    }
}
