//! The store, in the style of etcd: every batch compares and puts its session's lane key; a body is written once, a
//! change is appended under the number of its first event. What it holds is also kept folded, for the oracles.
use crate::world::Flaws;
use std::collections::{BTreeMap, BTreeSet};
use unanim_coordinator::{Batch, Record, Standing, Stored};
use unanim_engine::{Gid, HistoryEvent, Outcome, Phase, Recorded, Timestamp, Transaction, Vote};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneKey {
    pub(crate) mod_revision: u64,
    pub(crate) batch: u64,
}

/// Where loading goes on: a place in [`Standing::OPEN`], and the gid after which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    standing: usize,
    after: Option<Gid>,
}

impl Cursor {
    pub(crate) const START: Cursor = Cursor { standing: 0, after: None };
}

#[derive(Clone)]
pub(crate) struct Kept {
    body: Vec<u8>,
    changes: BTreeMap<u64, Vec<u8>>,
    standing: Standing,
    /// What all of it says.
    pub(crate) txn: Transaction,
    /// It was marked stuck at some time.
    pub(crate) was_stuck: bool,
    /// The tick at which it was first written.
    pub(crate) appeared: u64,
    /// The tick at which its first branch was.
    pub(crate) joined: Option<u64>,
    /// The tick at which its decision was.
    pub(crate) decided: Option<u64>,
}

impl Kept {
    pub(crate) fn stored(&self) -> Stored {
        Stored::decode(&self.body, self.changes.values().map(Vec::as_slice)).expect("it was read when it was written")
    }
}

#[derive(Default)]
pub(crate) struct Store {
    revision: u64,
    sessions: BTreeSet<u64>,
    lanes: BTreeMap<u64, LaneKey>,
    /// Whose everything is: a session, and the revision at which it claimed.
    owner: Option<(u64, u64)>,
    pub(crate) kept: BTreeMap<Gid, Kept>,
    /// The first record that does not continue what is kept.
    pub(crate) complaint: Option<String>,
}

impl Store {
    pub(crate) fn begin_session(&mut self, session: u64) -> u64 {
        self.revision += 1;
        self.sessions.insert(session);
        self.lanes.insert(session, LaneKey { mod_revision: self.revision, batch: 0 });
        self.revision
    }

    /// The lease ran out: its keys go with it.
    pub(crate) fn end_session(&mut self, session: u64) {
        self.sessions.remove(&session);
        self.lanes.remove(&session);
    }

    pub(crate) fn lives(&self, session: u64) -> bool {
        self.sessions.contains(&session)
    }

    pub(crate) fn owner(&self) -> Option<u64> {
        self.owner.map(|(session, _)| session)
    }

    /// Everything belongs to one session; another takes it once that one is gone. Gives the fence.
    pub(crate) fn claim(&mut self, session: u64, flaws: Flaws) -> Option<u64> {
        let taken = self.owner.is_some_and(|(owner, _)| self.sessions.contains(&owner));
        if !self.sessions.contains(&session) || (taken && !flaws.claim_steals) {
            return None;
        }
        self.revision += 1;
        self.owner = Some((session, self.revision));
        Some(self.revision)
    }

    /// `if` the lane key's mod_revision is `seen` `then` put the batch's number and write its records `else` get the key.
    pub(crate) fn save(
        &mut self,
        session: u64,
        seen: u64,
        batch: &Batch,
        tick: u64,
        flaws: Flaws,
    ) -> Result<u64, Option<LaneKey>> {
        let key = self.lanes.get(&session).copied();
        if key.is_none_or(|key| key.mod_revision != seen) && !flaws.store_takes_stale {
            return Err(key);
        }
        self.revision += 1;
        self.lanes.insert(session, LaneKey { mod_revision: self.revision, batch: batch.number });
        for record in &batch.records {
            if let Err(complaint) = self.write(record, tick) {
                self.complaint.get_or_insert(format!("{:?}: {complaint}", record.gid));
            }
        }
        Ok(self.revision)
    }

    fn write(&mut self, record: &Record, tick: u64) -> Result<(), String> {
        let (mut kept, last) = match (self.kept.remove(&record.gid), &record.body) {
            (Some(_), Some(_)) => return Err("a second body".into()),
            (None, None) => return Err("a change without a body".into()),
            (Some(kept), None) => {
                let last = kept.txn.seq;
                (kept, last)
            }
            (None, Some(body)) => {
                let stored = Stored::decode(body, []).map_err(|e| e.to_string())?;
                let txn = Transaction::load(&stored.body, [], Timestamp(0));
                let standing = Standing::Active;
                let new = Kept {
                    body: body.clone(),
                    changes: BTreeMap::new(),
                    standing,
                    txn,
                    was_stuck: false,
                    appeared: tick,
                    joined: None,
                    decided: None,
                };
                (new, 1)
            }
        };
        if record.first_seq != last + 1 {
            return Err(format!("event {} follows event {last}", record.first_seq));
        }
        if !record.change.is_empty() {
            kept.changes.insert(record.first_seq, record.change.clone());
            let stored = kept.stored();
            for event in &stored.history[(last - 1) as usize..] {
                kept.txn = Transaction::load(
                    &stored.body,
                    stored.history[..(kept.txn.seq) as usize].iter().cloned(),
                    Timestamp(0),
                );
                sound(event, &kept.txn)?;
            }
            kept.was_stuck = stored.history.iter().any(|e| e.what == Recorded::Stuck);
        }
        kept.standing = record.standing;
        kept.decided = kept.decided.or(kept.txn.outcome().is_some().then_some(tick));
        kept.joined = kept.joined.or((!kept.txn.branches.is_empty()).then_some(tick));
        if record.standing != standing(&kept.txn) {
            return Err(format!("stands as {:?}, and is {:?}", record.standing, kept.txn.phase));
        }
        self.kept.insert(record.gid.clone(), kept);
        Ok(())
    }

    pub(crate) fn txn(&self, gid: &Gid) -> Option<&Transaction> {
        self.kept.get(gid).map(|kept| &kept.txn)
    }

    pub(crate) fn slice(&self, cursor: &Cursor, most: usize, flaws: Flaws) -> (Vec<Stored>, Option<Cursor>) {
        let standing = Standing::OPEN[cursor.standing];
        let skipped = flaws.load_skips_preparing && standing == Standing::Preparing;
        let after = |gid: &Gid| cursor.after.as_ref().is_none_or(|after| gid > after);
        let all = self.kept.iter().filter(|(gid, kept)| kept.standing == standing && after(gid) && !skipped);
        let found: Vec<_> = all.take(most + 1).collect();
        let slice = found.iter().take(most).map(|(_, kept)| kept.stored()).collect();
        let next = if found.len() > most {
            Some(Cursor { standing: cursor.standing, after: Some(found[most - 1].0.clone()) })
        } else {
            (cursor.standing + 1 < Standing::OPEN.len()).then(|| Cursor { standing: cursor.standing + 1, after: None })
        };
        (slice, next)
    }
}

fn standing(txn: &Transaction) -> Standing {
    match (txn.phase, txn.finished_at) {
        (_, Some(at)) => Standing::Finished(at),
        (Phase::Active, None) => Standing::Active,
        (Phase::Preparing, None) => Standing::Preparing,
        (Phase::Committing | Phase::Aborting | Phase::Committed | Phase::Aborted, None) => Standing::Decided,
    }
}

/// What an event must rest on in the record itself.
fn sound(event: &HistoryEvent, after: &Transaction) -> Result<(), String> {
    let agreed = |vote| matches!(vote, Some(Vote::Yes | Vote::ReadOnly));
    let silent = after.branches.iter().find(|b| !agreed(b.vote) && !b.done && b.resolution.is_none());
    let open = after
        .branches
        .iter()
        .find(|b| after.asked && !b.done && b.resolution.is_none() && b.vote != Some(Vote::ReadOnly));
    match (&event.what, silent, open) {
        (Recorded::Decided(Outcome::Committed, _), Some(b), _) => {
            Err(format!("commits without the vote of {:?}", b.spec.id))
        }
        (Recorded::Finished, _, Some(b)) if !after.one_phase() => {
            Err(format!("ends before {:?} has acknowledged", b.spec.id))
        }
        _ => Ok(()),
    }
}
