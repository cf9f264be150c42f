//! The driver over resource managers: quiet about the embedded one, and loud about each planted fault.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use unanim::ResourceManager;
use unanim::participant::{Ack, Call, Error, InDoubt, Vote};
use unanim::sqlite::{Accounts, Balances, Branches};
use unanim::testing::{Exercise, Subject};

struct Stock(tempfile::TempDir);

/// In memory where that can be had: thousands are opened, and no power is lost.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl Subject for Stock {
    type Manager = Branches;
    type State = Balances;

    async fn fresh(&mut self) {
        self.0 = folder();
    }

    async fn open(&mut self) -> Branches {
        Branches::open(&self.0.path().join("stock.db"), Accounts::new([("widgets", 100)])).unwrap()
    }

    async fn state(&mut self, manager: &Branches) -> Balances {
        manager.read(Accounts::balances).await.unwrap()
    }

    fn payload(&self) -> Bytes {
        r#"{"account":"widgets","amount":-2}"#.into()
    }

    fn refused(&self) -> Option<Bytes> {
        Some(r#"{"account":"widgets","amount":-200}"#.into())
    }
}

#[tokio::test]
async fn the_embedded_one_holds() {
    Exercise::new().run(&mut Stock(folder())).await;
}

/// What a planted fault breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    ReservesTwice,
    CommitsTwice,
    CommitsWhatWasNeverPrepared,
    ReleasesTwice,
    RollsBackWhatIsCommitted,
    LeavesNoTombstone,
    ForgetsTombstonesAtARestart,
    AnswersBeforeItIsDurable,
    LooksBeforeItWaits,
    StopsHalfWay,
    LosesTheUrl,
    TakesAllBranchesForOne,
    ForgetsItsNo,
    CommitsWhatThePayloadSays,
    RollsBackWhatThePayloadSays,
    BelievesEveryCoordinator,
}

const REFUSED: &[u8] = b"no";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Prepared,
    Committed,
    RolledBack,
}

/// Where a branch stands, whom to ask about it, and whose it is.
#[derive(Clone, Debug)]
struct Row {
    stands: Stands,
    inquiry: Option<String>,
    store: Option<String>,
}

impl Row {
    fn ended(stands: Stands) -> Self {
        Self { stands, inquiry: None, store: None }
    }
}

#[derive(Clone, Debug, Default)]
struct Disk {
    sold: u32,
    held: u32,
    rows: BTreeMap<(String, String), Row>,
}

/// A shelf whose disk outlives it.
struct Shelf {
    disk: Arc<Mutex<Disk>>,
    memory: Mutex<Disk>,
    bug: Bug,
}

impl Shelf {
    fn key(&self, call: &Call) -> (String, String) {
        let branch = if self.bug == Bug::TakesAllBranchesForOne { "" } else { call.branch.as_str() };
        (call.gid.clone(), branch.to_owned())
    }

    /// Changes the memory, and what is durable with it.
    async fn change<T>(&self, change: impl FnOnce(&mut Disk) -> T) -> T {
        if self.bug == Bug::AnswersBeforeItIsDurable {
            *self.disk.lock().unwrap() = self.memory.lock().unwrap().clone();
        }
        let done = change(&mut self.memory.lock().unwrap());
        if self.bug != Bug::AnswersBeforeItIsDurable {
            *self.disk.lock().unwrap() = self.memory.lock().unwrap().clone();
        }
        tokio::task::yield_now().await;
        done
    }

    /// An error if it is held for another coordinator.
    fn stands(&self, call: &Call) -> Result<Option<Stands>, Error> {
        let memory = self.memory.lock().unwrap();
        let Some(row) = memory.rows.get(&self.key(call)) else { return Ok(None) };
        match (&row.store, &call.mark) {
            (Some(store), Some(mark)) if *store != mark.store && self.bug != Bug::BelievesEveryCoordinator => {
                Err(Error::OtherCoordinator)
            }
            _ => Ok(Some(row.stands)),
        }
    }

    /// What the payload says, where a fault makes it be read again; all shelves' payloads are one piece.
    fn pieces(&self, call: &Call, bug: Bug) -> Result<u32, Error> {
        if self.bug == bug { call.json() } else { Ok(1) }
    }
}

impl ResourceManager for Shelf {
    async fn prepare(&self, call: &Call) -> Result<Vote, Error> {
        let (key, bug) = (self.key(call), self.bug);
        let inquiry = call.inquiry.clone().filter(|_| bug != Bug::LosesTheUrl);
        let store = call.mark.as_ref().map(|mark| mark.store.clone());
        let seen = self.stands(call)?;
        if bug == Bug::LooksBeforeItWaits {
            tokio::task::yield_now().await;
        }
        match seen {
            Some(Stands::RolledBack) => Err(Error::Conflict("rolled back".into())),
            Some(Stands::Prepared) if bug == Bug::ReservesTwice => {
                self.change(|disk| disk.held += 1).await;
                Ok(Vote::Yes)
            }
            Some(Stands::Prepared | Stands::Committed) => Ok(Vote::Yes),
            None if call.payload == REFUSED => Ok(Vote::No("no".into())),
            None => {
                let whole = bug != Bug::StopsHalfWay;
                self.change(|disk| {
                    disk.held += u32::from(whole);
                    disk.rows.insert(key, Row { stands: Stands::Prepared, inquiry, store });
                })
                .await;
                if !whole {
                    self.change(|disk| disk.held += 1).await;
                }
                Ok(Vote::Yes)
            }
        }
    }

    async fn commit(&self, call: &Call) -> Result<Ack, Error> {
        let (key, bug) = (self.key(call), self.bug);
        match self.stands(call)? {
            Some(Stands::Prepared) => {
                let pieces = self.pieces(call, Bug::CommitsWhatThePayloadSays)?;
                self.change(|disk| {
                    disk.held -= pieces;
                    disk.sold += pieces;
                    disk.rows.insert(key, Row::ended(Stands::Committed));
                })
                .await;
                Ok(Ack::Done)
            }
            Some(Stands::Committed) => {
                self.change(|disk| disk.sold += u32::from(bug == Bug::CommitsTwice)).await;
                Ok(Ack::Done)
            }
            None if bug == Bug::CommitsWhatWasNeverPrepared => Ok(Ack::Done),
            Some(Stands::RolledBack) | None => Err(Error::Conflict("never prepared".into())),
        }
    }

    async fn rollback(&self, call: &Call) -> Result<Ack, Error> {
        let (key, bug) = (self.key(call), self.bug);
        let tombstone = Row::ended(Stands::RolledBack);
        match self.stands(call)? {
            Some(Stands::Prepared) => {
                let pieces = self.pieces(call, Bug::RollsBackWhatThePayloadSays)?;
                self.change(|disk| {
                    disk.held -= pieces;
                    disk.rows.insert(key, tombstone);
                })
                .await;
            }
            Some(Stands::Committed) if bug != Bug::RollsBackWhatIsCommitted => {
                return Err(Error::Conflict("committed".into()));
            }
            Some(Stands::RolledBack) if bug == Bug::ReleasesTwice => {
                self.change(|disk| disk.held = disk.held.wrapping_sub(1)).await;
            }
            Some(Stands::Committed | Stands::RolledBack) => {}
            None if bug == Bug::LeavesNoTombstone => {}
            // As if its own `commit_one_phase` said no and kept nothing.
            None if bug == Bug::ForgetsItsNo && call.payload == REFUSED => {}
            None => drop(self.change(|disk| disk.rows.insert(key, tombstone)).await),
        }
        Ok(Ack::Done)
    }

    async fn in_doubt(&self, _: Duration, limit: usize) -> Result<Vec<InDoubt>, Error> {
        let memory = self.memory.lock().unwrap();
        let prepared = memory.rows.iter().filter(|(_, row)| row.stands == Stands::Prepared);
        let listed = prepared.map(|((gid, branch), row)| {
            // The one that mixes branches up lists what it is asked for.
            let branch = if self.bug == Bug::TakesAllBranchesForOne { "x" } else { branch };
            InDoubt { gid: gid.clone(), branch: branch.to_owned(), inquiry: row.inquiry.clone() }
        });
        Ok(listed.take(limit).collect())
    }
}

struct Shelves {
    disk: Arc<Mutex<Disk>>,
    bug: Bug,
}

impl Subject for Shelves {
    type Manager = Shelf;
    type State = (u32, u32);

    async fn fresh(&mut self) {
        self.disk = Arc::default();
    }

    async fn open(&mut self) -> Shelf {
        let mut memory = self.disk.lock().unwrap().clone();
        if self.bug == Bug::ForgetsTombstonesAtARestart {
            memory.rows.retain(|_, row| row.stands != Stands::RolledBack);
        }
        Shelf { disk: self.disk.clone(), memory: Mutex::new(memory), bug: self.bug }
    }

    async fn state(&mut self, manager: &Shelf) -> (u32, u32) {
        let memory = manager.memory.lock().unwrap();
        (memory.sold, memory.held)
    }

    fn payload(&self) -> Bytes {
        Bytes::from_static(b"1")
    }

    fn refused(&self) -> Option<Bytes> {
        Some(Bytes::from_static(REFUSED))
    }
}

/// What the driver says of a shelf with this fault, if anything.
fn complaint(bug: Bug) -> Option<String> {
    let run = AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(Exercise::new().run(&mut Shelves { disk: Arc::default(), bug }));
    });
    let panic = std::panic::catch_unwind(run).err()?;
    Some(panic.downcast_ref::<String>().expect("a message").clone())
}

#[test]
fn a_sound_one_passes() {
    assert_eq!(complaint(Bug::None), None);
}

#[test]
fn every_planted_fault_is_seen_and_the_steps_that_show_it_are_named() {
    let planted = [
        (Bug::ReservesTwice, "[prepare twice at once]", "1 prepared"),
        (Bug::CommitsTwice, "[prepare, commit twice at once]", "1 committed"),
        (Bug::CommitsWhatWasNeverPrepared, "[commit]", "a commit is an error"),
        (Bug::ReleasesTwice, "[rollback twice at once]", "0 prepared"),
        (Bug::RollsBackWhatIsCommitted, "[commit_one_phase, rollback]", "a rollback is an error"),
        (Bug::LeavesNoTombstone, "[rollback, prepare]", "must be refused"),
        (Bug::ForgetsTombstonesAtARestart, "rollback cut off by a crash, prepare]", "must be refused"),
        (Bug::AnswersBeforeItIsDurable, "[prepare, restart]", "in_doubt does not list it"),
        (Bug::LooksBeforeItWaits, "[prepare twice at once]", "1 prepared"),
        (Bug::StopsHalfWay, "[prepare cut off by a crash]", "1 prepared"),
        (Bug::LosesTheUrl, "[prepare]", "was not kept"),
        (Bug::TakesAllBranchesForOne, "\"y\"", ""),
        (Bug::ForgetsItsNo, "[commit_one_phase that is refused, prepare]", "must be refused"),
        (Bug::CommitsWhatThePayloadSays, "[prepare, commit told by an inquiry]", "has no payload"),
        (Bug::RollsBackWhatThePayloadSays, "[prepare, rollback told by an inquiry]", "has no payload"),
        (Bug::BelievesEveryCoordinator, "[prepare, calls of another coordinator]", "another store"),
    ];
    for (bug, steps, why) in planted {
        let said = complaint(bug).unwrap_or_else(|| panic!("{bug:?} was not seen"));
        let (story, rest) = said.split_once("): ").expect(&said);
        assert!(story.contains(steps), "{bug:?}: {steps} is not in {said}");
        assert!(rest.contains(why), "{bug:?}: {why} is not in {said}");
    }
}
