//! What a store keeps of a transaction: its body, written once, and its history, appended batch by batch.
use crate::Batch;
use unanim_engine::{Body, Gid, HistoryEvent, Phase, Recorded, Timestamp, Transaction};

/// The first byte of every body and every change; a later format has another.
const VERSION: u8 = 1;

/// One transaction's part of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub gid: Gid,
    /// Its body, the first time.
    pub body: Option<Vec<u8>>,
    /// The number of the change's first event; with it the change is keyed.
    pub first_seq: u64,
    /// The events since the last record; empty where there are none.
    pub change: Vec<u8>,
    /// Where it stands after this.
    pub standing: Standing,
    /// It has ended, with a branch that a person has resolved: it stays beyond its retention, until a person forgets it.
    pub resolved: bool,
}

impl Record {
    /// What is left of a transaction that has ended when a person forgets it: nothing, but where a branch was resolved.
    /// There the participant may still ask, and the gid must never begin again.
    pub fn left_of(txn: &Transaction, now: Timestamp) -> Option<Record> {
        let (at, outcome) = (txn.finished_at?, txn.outcome()?);
        if !txn.branches.iter().any(|branch| branch.resolution.is_some()) {
            return None;
        }
        let body = Body {
            gid: txn.gid.clone(),
            mode: txn.mode,
            digest: txn.digest,
            created_at: txn.created_at,
            deadline_at: txn.deadline_at,
            retry: txn.retry,
            branches: Vec::new(),
        };
        let event = |at, what| HistoryEvent { at, what };
        let decided_at = txn.decided_at.unwrap_or(at);
        let history = [
            event(decided_at, Recorded::Phase(Phase::Preparing, None)),
            event(decided_at, Recorded::Decided(outcome, None)),
            event(at, Recorded::Finished),
            event(now, Recorded::Forgotten),
        ];
        Some(Record {
            gid: txn.gid.clone(),
            body: Some(encode(&body)),
            first_seq: 2,
            change: encode(&history.as_slice()),
            standing: Standing::Finished(at),
            resolved: true,
        })
    }

    /// The bytes of a body, as [`Stored::decode`] reads them.
    pub fn encode_body(body: &Body) -> Vec<u8> {
        encode(body)
    }

    /// The bytes of a change, as [`Stored::decode`] reads them.
    pub fn encode_change(events: &[HistoryEvent]) -> Vec<u8> {
        encode(&events)
    }

    /// The events of a change, by themselves: whether they can have happened only the whole record tells.
    ///
    /// # Errors
    /// Another format, or bytes that are none.
    pub fn decode_change(change: &[u8]) -> Result<Vec<HistoryEvent>, Corrupt> {
        decode(change)
    }
}

/// What a store needs to know of a transaction without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Open and decided: loaded first.
    Decided,
    /// Open; its votes are being collected.
    Preparing,
    /// Open; branches may join.
    Active,
    /// Ended at that instant: kept for its retention, then purged.
    Finished(Timestamp),
}

impl Standing {
    /// The open ones, in the order in which they are loaded.
    pub const OPEN: [Standing; 3] = [Standing::Decided, Standing::Preparing, Standing::Active];

    pub(crate) fn of(phase: Phase, finished_at: Option<Timestamp>) -> Standing {
        match (phase, finished_at) {
            (_, Some(at)) => Standing::Finished(at),
            (Phase::Active, None) => Standing::Active,
            (Phase::Preparing, None) => Standing::Preparing,
            (Phase::Committing | Phase::Aborting | Phase::Committed | Phase::Aborted, None) => Standing::Decided,
        }
    }
}

/// A transaction as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its body.
    pub body: Body,
    /// Its events, in order.
    pub history: Vec<HistoryEvent>,
}

/// A record that cannot be read: a person must look at the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// Written by another version.
    #[error("format {0} is not known to this version")]
    Version(u8),
    /// Not what was written.
    #[error("unreadable: {0}")]
    Unreadable(String),
    /// An event that cannot follow from those before it.
    #[error("event {0} cannot have happened")]
    Impossible(u64),
}

impl Stored {
    /// Reads a body and the changes in the order of their keys.
    ///
    /// # Errors
    /// Another format, bytes that are none, or a history that cannot have happened.
    pub fn decode<'a>(body: &[u8], changes: impl IntoIterator<Item = &'a [u8]>) -> Result<Stored, Corrupt> {
        let body = decode(body)?;
        let mut history = Vec::new();
        for change in changes {
            history.extend(decode::<Vec<HistoryEvent>>(change)?);
        }
        Transaction::check(&body, &history).map_err(Corrupt::Impossible)?;
        Ok(Stored { body, history })
    }
}

impl Batch {
    /// Bytes of all records together.
    pub fn bytes(&self) -> usize {
        self.records.iter().map(|r| r.gid.as_str().len() + r.body.as_ref().map_or(0, Vec::len) + r.change.len()).sum()
    }
}

pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("a record always encodes into memory")
}

fn decode<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Corrupt> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|e| Corrupt::Unreadable(e.to_string())),
        Some((&version, _)) => Err(Corrupt::Version(version)),
        None => Err(Corrupt::Unreadable("empty".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use unanim_engine::{BranchId, BranchSpec, Callee, Dialect, Op, Participant, RetryOverride, Target};

    #[test]
    fn a_branch_is_written_as_it_always_was_one_field_after_the_other() {
        let id = BranchId::new("stock").expect("a name");
        let callee = Callee {
            participant: Participant::new("http://stock:5001").expect("a name"),
            target: Target::Each([(Op::Commit, "http://stock:5001/commit".into())].into()),
            dialect: Dialect::V1,
            call_timeout_ms: 10_000,
            retry: Some(Box::new(RetryOverride { first_ms: Some(7), max_ms: None })),
            refused_statuses: [409, 422].into(),
            one_phase: true,
        };
        let (headers, payload, digest) = ([("x-tenant", "a")], b"{\"n\":2}", [7_u8; 32]);
        let bare = BranchSpec::new(id.clone(), callee.clone(), None);
        let full = BranchSpec::new(id.clone(), callee.clone(), Some((*payload).into()))
            .with_headers(headers.map(|(name, value)| (name.into(), value.into())).into())
            .with_digest(digest);
        let c = &callee;
        let head = (&id, &c.participant, &c.target, c.dialect);
        let tail = (c.call_timeout_ms, &c.retry, &c.refused_statuses, c.one_phase);
        let parts = [
            encode(&(head, [(); 0].as_slice(), None::<&str>, tail, None::<[u8; 32]>)),
            encode(&(head, headers.as_slice(), Some("{\"n\":2}"), tail, Some(digest))),
        ];
        for (spec, written) in [bare, full].into_iter().zip(parts) {
            assert_eq!(encode(&spec), written);
            assert_eq!(decode::<Arc<BranchSpec>>(&written), Ok(Arc::new(spec)));
        }
    }
}
