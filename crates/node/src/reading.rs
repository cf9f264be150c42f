//! What front doors are shown of the store itself: histories. What is read there is durable, so the lane has no part in it
//! but to say when there is more.
use crate::handle::Handle;
use crate::ports::{Excerpt, ReadError};
use unanim_coordinator::{Answer, EventView, Refusal, Request};
use unanim_engine::{Gid, Transaction};

/// Events that one page has at most.
const PAGE_MAX: usize = 1_000;

/// Some of a transaction's durable events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// In order; the number of the last one is where the next page begins.
    pub events: Vec<EventView>,
    /// More are durable.
    pub more: bool,
    /// The transaction has ended, and no event will follow those in this page.
    pub finished: bool,
}

impl Handle {
    /// At most `most` of a transaction's durable events after that number (0: from its begin on), without waiting. A page
    /// has 1,000 at most, and costs what it holds.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], or [`Refusal::Unavailable`] where the store could not be read.
    pub async fn history(&self, gid: &Gid, after: u64, most: usize) -> Result<HistoryPage, Refusal> {
        let store = &self.0.store;
        let unreadable = |error: ReadError| {
            tracing::error!(%gid, %error, "a history could not be read");
            Refusal::Unavailable
        };
        // The begin is an event to whoever looks, and none in the store.
        let most = most.clamp(1, PAGE_MAX) - usize::from(after == 0);
        let excerpt = store.history(gid.clone(), after.max(1).saturating_add(1), most).await.map_err(unreadable)?;
        let excerpt = excerpt.ok_or(Refusal::NotFound)?;
        let known = self.0.lane.borrow().transaction(gid).and_then(|txn| shown(txn, &excerpt, after));
        let events = match known {
            Some(events) => events,
            None => {
                let stored = store.find(gid.clone()).await.map_err(unreadable)?.ok_or(Refusal::NotFound)?;
                let txn = Transaction::load(&stored.body, stored.history, self.now());
                if txn.forgotten {
                    return Err(Refusal::NotFound);
                }
                shown(&txn, &excerpt, after).ok_or(Refusal::Unavailable)?
            }
        };
        Ok(HistoryPage { events, more: excerpt.more, finished: excerpt.finished && !excerpt.more })
    }

    /// The same as soon as there is an event after that number, or it is known that none will follow: then the page is
    /// empty, and finished. Dropping the future ends the wait.
    ///
    /// # Errors
    /// As [`Handle::history`], and [`Refusal::Loading`].
    pub async fn follow(&self, gid: &Gid, after: u64, most: usize) -> Result<HistoryPage, Refusal> {
        match self.ask(gid.clone(), Request::Follow { after, wait: true }).await {
            Answer::History { .. } => self.history(gid, after, most).await,
            Answer::Refused(refusal) => Err(refusal),
            Answer::Transaction(_) | Answer::Outcome(_) => unreachable!("whoever follows is told how far"),
        }
    }
}

/// None where the branches are another transaction's, or it is forgotten.
fn shown(txn: &Transaction, excerpt: &Excerpt, after: u64) -> Option<Vec<EventView>> {
    let begun = (after == 0).then(|| Some(EventView::begun(txn)));
    let events = (excerpt.first_seq..).zip(&excerpt.events).map(|(seq, event)| EventView::new(txn, seq, event));
    begun.into_iter().chain(events).collect()
}
