//! Lists for people: what is open, from memory, then what has ended, from the store.
use crate::handle::{Handle, Readiness};
use crate::ports::EndedCursor;
use std::fmt;
use std::str::FromStr;
use unanim_coordinator::{Filter, OpenPlace, Refusal, View};
use unanim_engine::{Gid, Timestamp, Transaction};

/// Transactions that one page has at most.
const PAGE_MAX: usize = 1_000;
/// Ended ones that are read at once, and how often for one page: each read keeps the thread for about a millisecond.
const SLICE_MAX: usize = 100;
const SLICES_MAX: usize = 10;

/// Where a list goes on. As text it says what it means; whoever shows it to people may hide that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListCursor {
    /// Among the open ones.
    Open(OpenPlace),
    /// Among those that have ended.
    Ended(EndedCursor),
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cursor that a list has given out")]
pub struct BadCursor;

/// Some of the transactions that a filter admits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Without their branches: open ones in the order of their begins, then those that have ended, the last one first.
    pub views: Vec<View>,
    /// Where the next page begins; a page may be short, or empty, and not the last one.
    pub next: Option<ListCursor>,
}

impl Handle {
    /// One page of the transactions that a filter admits: 1,000 at most. One that stays open from the first page to the
    /// last is in exactly one of them; one that ends meanwhile may come twice.
    ///
    /// # Errors
    /// [`Refusal::Loading`] until all that is open is in memory, and [`Refusal::Unavailable`] where the session is over or
    /// the store could not be read.
    pub async fn list(&self, filter: &Filter, cursor: Option<ListCursor>, most: usize) -> Result<ListPage, Refusal> {
        match self.readiness() {
            Readiness::Loading { .. } => return Err(Refusal::Loading),
            Readiness::Ended => return Err(Refusal::Unavailable),
            Readiness::Ready | Readiness::DiskFull | Readiness::Draining => {}
        }
        let most = most.clamp(1, PAGE_MAX);
        let newest = EndedCursor { at: filter.until_at.unwrap_or(Timestamp(u64::MAX)), after: None };
        let mut page = ListPage::default();
        let cursor = match cursor {
            Some(ListCursor::Ended(cursor)) => cursor,
            Some(ListCursor::Open(place)) => match self.list_open(filter, Some(&place), most, &mut page) {
                true => newest,
                false => return Ok(page),
            },
            None => match self.list_open(filter, None, most, &mut page) {
                true => newest,
                false => return Ok(page),
            },
        };
        if filter.admits_ended() {
            self.list_ended(filter, cursor, most, &mut page).await?;
        }
        Ok(page)
    }

    /// Whether that was all of them.
    fn list_open(&self, filter: &Filter, after: Option<&OpenPlace>, most: usize, page: &mut ListPage) -> bool {
        let open = self.0.lane.borrow().list(filter, after, most);
        page.views = open.views;
        page.next = open.next.map(ListCursor::Open);
        page.next.is_none()
    }

    async fn list_ended(
        &self,
        filter: &Filter,
        mut cursor: EndedCursor,
        most: usize,
        page: &mut ListPage,
    ) -> Result<(), Refusal> {
        for _ in 0..SLICES_MAX {
            let room = most - page.views.len();
            if room == 0 {
                break;
            }
            let ended = self.0.store.ended(cursor, room.min(SLICE_MAX)).await.map_err(|error| {
                tracing::error!(%error, "what has ended could not be listed");
                Refusal::Unavailable
            })?;
            for stored in ended.stored {
                let txn = Transaction::load(&stored.body, stored.history, self.now());
                let view = View::summary(&txn, txn.seq);
                if filter.since_at.is_some_and(|since| view.finished_at.is_some_and(|at| at < since)) {
                    page.next = None;
                    return Ok(());
                }
                if filter.admits(&view, &txn) {
                    page.views.push(view);
                }
            }
            match ended.next {
                Some(next) => cursor = next,
                None => {
                    page.next = None;
                    return Ok(());
                }
            }
            tokio::task::yield_now().await;
        }
        page.next = Some(ListCursor::Ended(cursor));
        Ok(())
    }
}

impl fmt::Display for ListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListCursor::Open(OpenPlace { created_at, gid }) => write!(f, "open/{}/{gid}", created_at.0),
            ListCursor::Ended(EndedCursor { at, after: Some(gid) }) => write!(f, "ended/{}/{gid}", at.0),
            ListCursor::Ended(EndedCursor { at, after: None }) => write!(f, "ended/{}", at.0),
        }
    }
}

impl FromStr for ListCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<ListCursor, BadCursor> {
        let (kind, rest) = text.split_once('/').ok_or(BadCursor)?;
        let (at, gid) = rest.split_once('/').map_or((rest, None), |(at, gid)| (at, Some(gid)));
        let at = Timestamp(at.parse().map_err(|_| BadCursor)?);
        let gid = gid.map(Gid::new).transpose().map_err(|_| BadCursor)?;
        match (kind, gid) {
            ("open", Some(gid)) => Ok(ListCursor::Open(OpenPlace { created_at: at, gid })),
            ("ended", after) => Ok(ListCursor::Ended(EndedCursor { at, after })),
            _ => Err(BadCursor),
        }
    }
}
