//! Forgetting what has ended, at a person's word.
use crate::handle::Handle;
use unanim_coordinator::Record;
use unanim_engine::{Gid, Phase, Timestamp, Transaction};

/// Why a transaction is not forgotten; nothing has changed, except after [`NotForgotten::Unavailable`]: then nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotForgotten {
    /// Unknown, or forgotten already.
    NotFound,
    /// It has not ended.
    Open(Phase),
    /// Whoever began it may still ask for it, until then.
    Retained(Timestamp),
    /// The store did not answer: ask again.
    Unavailable,
}

impl Handle {
    /// Forgets a transaction that has ended and whose retention is over. Where a person has resolved one of its branches,
    /// that one's participant may still ask: gid and outcome are kept, and the gid never begins again.
    ///
    /// # Errors
    /// See [`NotForgotten`].
    pub async fn forget(&self, gid: &Gid) -> Result<(), NotForgotten> {
        let unavailable = |error: &dyn std::fmt::Display| {
            tracing::error!(%gid, %error, "a transaction could not be forgotten");
            NotForgotten::Unavailable
        };
        let (store, now) = (&self.0.store, self.now());
        let stored = store.find(gid.clone()).await.map_err(|error| unavailable(&error))?;
        let stored = stored.ok_or(NotForgotten::NotFound)?;
        let txn = Transaction::load(&stored.body, stored.history, now);
        let Some(ended_at) = txn.finished_at else { return Err(NotForgotten::Open(txn.phase)) };
        let until = ended_at.after(self.0.retention_ms);
        if txn.forgotten {
            return Err(NotForgotten::NotFound);
        }
        if until > now {
            return Err(NotForgotten::Retained(until));
        }
        let left = Record::left_of(&txn, now);
        match store.forget(gid.clone(), ended_at, left).await.map_err(|error| unavailable(&error))? {
            true => Ok(()),
            // Purged, or forgotten by somebody else meanwhile.
            false => Err(NotForgotten::NotFound),
        }
    }
}
