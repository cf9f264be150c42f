//! One store's life: sessions, each with a fault, that end with a kill or with a loss of power.
use crate::kept::{FINISHED, Kept, batch, read};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use unanim_adapters::store::Embedded;
use unanim_adapters::store::embedded::{CommitMode, OpenError, OpenOptions};
use unanim_coordinator::Batch;
use unanim_engine::Timestamp;
use unanim_faulty_disk::{Disk, Fault, Rng};
use unanim_node::ports::{SaveError, Store};
use uuid::Uuid;

/// What happened in all lives together, so that nobody takes a quiet run for a proof.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) happened: BTreeMap<String, u64>,
    pub(crate) saves: u64,
    pub(crate) refused_for_room: u64,
    pub(crate) starts_that_failed: u64,
    pub(crate) starts_after_a_failed_flush: u64,
    pub(crate) batches_in_doubt_that_were_kept: u64,
    pub(crate) batches_in_doubt_that_were_not: u64,
    pub(crate) losses_of_power: u64,
}

pub(crate) struct Life {
    rng: Rng,
    disk: Disk,
    dir: PathBuf,
    /// Two where nobody knows whether the last write is there.
    possible: Vec<Kept>,
    uuid: Option<Uuid>,
    fence: u64,
    #[cfg(feature = "plant")]
    pub(crate) bug: Option<unanim_adapters::store::embedded::Bug>,
    _folder: TempDir,
}

impl Life {
    pub(crate) fn new(seed: u64) -> Life {
        let folder = TempDir::new().expect("a folder");
        Life {
            rng: Rng::new(seed),
            disk: Disk::watch(folder.path(), seed).expect("a disk"),
            dir: folder.path().join("some/data"),
            possible: vec![Kept::new()],
            uuid: None,
            fence: 0,
            #[cfg(feature = "plant")]
            bug: None,
            _folder: folder,
        }
    }

    /// What was wrong, if anything was.
    pub(crate) fn live(mut self, seen: &mut Seen) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let sessions = 2 + self.rng.below(6);
        let mut after = None;
        for session in 0..sessions {
            if after == Some(Fault::Flush) {
                seen.starts_after_a_failed_flush += 1;
            }
            self.plan(after);
            runtime.block_on(self.session(session, seen)).map_err(|why| format!("session {session}: {why}"))?;
            after = self.disk.happened();
            if let Some(fault) = after {
                *seen.happened.entry(format!("{fault:?}")).or_default() += 1;
            }
            self.disk.mend();
            if after == Some(Fault::Power) || self.rng.permille(400) {
                seen.losses_of_power += 1;
                self.disk.power_off();
                self.disk.power_on().expect("a folder");
            }
        }
        self.disk.plan(Fault::Power, u64::MAX);
        runtime.block_on(self.session(sessions, seen)).map_err(|why| format!("at the end: {why}"))?;
        self.check_file()
    }

    fn plan(&mut self, before: Option<Fault>) {
        // The start after a failed flush has the most to do, and little of it may be left out.
        if before == Some(Fault::Flush) && self.rng.permille(500) {
            return self.disk.plan(Fault::Power, self.rng.below(50));
        }
        let faults =
            [Fault::Write, Fault::Flush, Fault::Flush, Fault::Flush, Fault::NoRoom, Fault::Quota, Fault::Power];
        let fault = faults[self.rng.below(faults.len() as u64) as usize];
        // A first start makes about eighty calls, every other one about fifty; a save ten to thirty writes and a flush.
        let most = if fault == Fault::Flush { [20, 40] } else { [70, 300] }[self.rng.below(2) as usize];
        let after = self.rng.below(most);
        self.disk.plan(fault, after);
    }

    fn open(&mut self) -> Result<Embedded, OpenError> {
        let commit = if self.rng.permille(300) { CommitMode::Thread } else { CommitMode::Inline };
        Embedded::open(OpenOptions {
            commit,
            reserve_bytes: 0,
            #[cfg(feature = "plant")]
            bug: self.bug,
            ..OpenOptions::new(&self.dir)
        })
    }

    async fn session(&mut self, session: u64, seen: &mut Seen) -> Result<(), String> {
        let store = match self.open() {
            Ok(store) => store,
            Err(_) if self.disk.happened().is_some() => {
                seen.starts_that_failed += 1;
                return Ok(());
            }
            Err(error) => return Err(format!("it does not open: {error}")),
        };
        self.introduce(&store)?;
        self.look(&store, seen).await?;
        let batches = [0, 1, 5, 25][self.rng.below(4) as usize];
        for number in 1..=batches {
            let kept = self.kept().clone();
            let (records, after) = batch(&mut self.rng, &kept, &format!("{session}-{number}"));
            let batch = Arc::new(Batch { number, records });
            if !self.save(&store, &batch, after, seen).await? {
                return self.is_over(&store, &batch).await;
            }
            if self.rng.permille(100) && !self.purge(&store, seen).await? {
                return self.is_over(&store, &batch).await;
            }
        }
        Ok(())
    }

    /// From now on it acts: whom it tells who it is, and which session this is, may be told nothing else later.
    fn introduce(&mut self, store: &Embedded) -> Result<(), String> {
        let identity = store.identity();
        if *self.uuid.get_or_insert(identity.uuid) != identity.uuid {
            return Err("it is another store".into());
        }
        if identity.fence <= self.fence {
            return Err(format!("fence {} after {}", identity.fence, self.fence));
        }
        self.fence = identity.fence;
        Ok(())
    }

    /// What is read now is acted on: it is neither lost nor comes up later.
    async fn look(&mut self, store: &Embedded, seen: &mut Seen) -> Result<(), String> {
        let kept = match read(store, &self.possible).await {
            Ok(kept) => kept,
            // A disk without power says nothing, and nothing is concluded from it.
            Err(_) if self.disk.happened() == Some(Fault::Power) => return Ok(()),
            Err(why) => return Err(why),
        };
        if !self.possible.contains(&kept) {
            return Err(format!("it holds {kept:?}, which is none of {:?}", self.possible));
        }
        if self.possible.len() == 2 {
            let doubts = if kept == self.possible[1] {
                &mut seen.batches_in_doubt_that_were_kept
            } else {
                &mut seen.batches_in_doubt_that_were_not
            };
            *doubts += 1;
        }
        self.possible = vec![kept];
        Ok(())
    }

    fn kept(&self) -> &Kept {
        self.possible.last().expect("at least one")
    }

    /// Whether the session goes on.
    async fn save(
        &mut self,
        store: &Embedded,
        batch: &Arc<Batch>,
        after: Kept,
        seen: &mut Seen,
    ) -> Result<bool, String> {
        let before = self.kept().clone();
        self.possible = vec![before.clone(), after.clone()];
        let mut saved = store.save(batch.clone()).await;
        while matches!(saved, Err(SaveError::Unknown(_))) {
            saved = store.save(batch.clone()).await;
        }
        match saved {
            Ok(()) => {}
            Err(error) => {
                if !self.survives(&error)? {
                    return Ok(false);
                }
                seen.refused_for_room += 1;
                self.possible = vec![before];
                self.look(store, seen).await?;
                self.possible.push(after.clone());
                self.disk.mend();
                store.save(batch.clone()).await.map_err(|error| format!("there is room, and it says {error}"))?;
            }
        }
        seen.saves += 1;
        self.possible = vec![after];
        Ok(true)
    }

    async fn purge(&mut self, store: &Embedded, seen: &mut Seen) -> Result<bool, String> {
        let before = self.kept().clone();
        let after: Kept = before.clone().into_iter().filter(|(_, events)| *events < FINISHED).collect();
        self.possible = vec![before.clone(), after.clone()];
        match store.purge(Timestamp(u64::MAX), 1000).await {
            Ok(_) => self.possible = vec![after],
            Err(error) => {
                if !self.survives(&error)? {
                    return Ok(false);
                }
                self.possible = vec![before];
                self.look(store, seen).await?;
                self.disk.mend();
            }
        }
        Ok(true)
    }

    /// Whether a session outlives this error, which must have had a cause.
    fn survives(&self, error: &SaveError) -> Result<bool, String> {
        match (error, self.disk.happened()) {
            (SaveError::Full, Some(Fault::NoRoom | Fault::Quota)) => Ok(true),
            // Shared memory that cannot grow is taken for a full disk, whatever it was.
            (SaveError::Full, Some(Fault::Power)) | (SaveError::Broken(_), Some(Fault::Power)) => Ok(false),
            (SaveError::Full, Some(Fault::Write)) => Ok(true),
            (SaveError::Broken(_), Some(Fault::Write | Fault::Flush)) => Ok(false),
            (error, happened) => Err(format!("{error:?} after {happened:?}")),
        }
    }

    /// Nothing is tried again.
    async fn is_over(&self, store: &Embedded, batch: &Arc<Batch>) -> Result<(), String> {
        if self.disk.happened() == Some(Fault::Power) {
            return Ok(());
        }
        let again = store.save(batch.clone()).await;
        match (store.room(), &again) {
            (Err(_), Err(SaveError::Broken(_))) => Ok(()),
            (room, _) => Err(format!("it goes on: {room:?}, {again:?}")),
        }
    }

    fn check_file(&self) -> Result<(), String> {
        let database = rusqlite::Connection::open(self.dir.join("unanim.db")).map_err(|error| error.to_string())?;
        let said: String =
            database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(|error| error.to_string())?;
        if said == "ok" { Ok(()) } else { Err(said) }
    }
}
