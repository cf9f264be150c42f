//! Forgetting what has ended, at a person's word.
use crate::handle::Handle;
use crate::ports::SaveError;
use tokio::task::spawn_local;
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
        match self.forget_alone(gid.clone(), ended_at, left).await.map_err(|error| unavailable(&error))? {
            true => Ok(()),
            // Purged, or forgotten by somebody else meanwhile.
            false => Err(NotForgotten::NotFound),
        }
    }

    /// When nobody else does. What is ordered keeps its turn until it is done, even if its asker goes away.
    async fn forget_alone(&self, gid: Gid, ended_at: Timestamp, left: Option<Record>) -> Result<bool, SaveError> {
        let turn = self.0.forgetting.clone().acquire_owned().await.expect("never closed");
        let done = self.0.store.forget(gid, ended_at, left);
        let ordered = spawn_local(async move {
            let done = done.await;
            drop(turn);
            done
        });
        ordered.await.unwrap_or_else(|error| Err(SaveError::Broken(error.to_string())))
    }
}
