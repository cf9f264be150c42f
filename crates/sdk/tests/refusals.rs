//! A no is remembered: what was refused is not done by an earlier call that comes late.

use std::path::Path;

use unanim::ResourceManager;
use unanim::participant::{Call, Error, Mark, Op, Vote};
use unanim::sqlite::{Accounts, Balances, Branches, Failure, Work, rusqlite};

fn open(folder: &Path) -> Branches {
    Branches::open(&folder.join("stock.db"), Accounts::new([("widgets", 1)])).unwrap()
}

fn take(widgets: i64) -> String {
    format!(r#"{{"account":"widgets","amount":{}}}"#, -widgets)
}

fn call(op: Op, gid: &str, attempt: u64, payload: impl Into<String>) -> Call {
    let mut call = Call::new(op, gid, "b").with_payload(payload.into());
    call.mark = Some(Mark { store: "s".into(), fence: 1, attempt });
    call
}

fn stock(widgets: i64) -> Balances {
    Balances { accounts: [("widgets".to_owned(), widgets)].into(), held: 0 }
}

#[tokio::test]
async fn a_refused_one_phase_stays_refused() {
    let folder = tempfile::tempdir().unwrap();
    let one_phase = |gid, attempt, payload: &str| call(Op::CommitOnePhase, gid, attempt, payload);
    {
        // Attempt 1 is late on its way; attempt 2 is refused: the coordinator has aborted, and calls no more.
        let stock = open(folder.path());
        assert!(matches!(stock.commit_one_phase(&one_phase("dear", 2, &take(2))).await, Ok(Vote::No(_))));
        assert!(matches!(stock.commit_one_phase(&one_phase("odd", 2, "[]")).await, Err(Error::Payload(_))));
        assert_eq!(stock.commit_one_phase(&one_phase("delivery", 1, &take(-9))).await, Ok(Vote::Yes));
    }
    // The no is durable, with its mark.
    let stock_again = open(folder.path());
    assert_eq!(stock_again.commit_one_phase(&one_phase("dear", 1, &take(2))).await, Err(Error::Stale));
    assert_eq!(stock_again.commit_one_phase(&one_phase("odd", 1, &take(2))).await, Err(Error::Stale));
    for gid in ["dear", "odd"] {
        let again = stock_again.commit_one_phase(&one_phase(gid, 3, &take(2))).await;
        assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
    }
    assert_eq!(stock_again.read(Accounts::balances).await.unwrap(), stock(10));
}

#[tokio::test]
async fn a_refused_prepare_stays_refused_and_is_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let branches = open(folder.path());
    let prepare = |gid, attempt| call(Op::Prepare, gid, attempt, take(2));
    assert!(matches!(branches.prepare(&prepare("dear", 2)).await, Ok(Vote::No(_))));
    branches.commit_one_phase(&call(Op::CommitOnePhase, "delivery", 1, take(-9))).await.unwrap();
    assert_eq!(branches.prepare(&prepare("dear", 1)).await, Err(Error::Stale));
    assert!(matches!(branches.prepare(&prepare("dear", 3)).await, Err(Error::Conflict(_))));
    branches.rollback(&call(Op::Rollback, "dear", 4, take(2))).await.unwrap();
    assert_eq!(branches.read(Accounts::balances).await.unwrap(), stock(10));
}

/// Holds, and finds out only at the commit that it cannot.
struct Fickle;

impl Work for Fickle {
    fn set_up(&self, db: &rusqlite::Connection) -> rusqlite::Result<()> {
        db.execute_batch("CREATE TABLE IF NOT EXISTS held (gid TEXT)")
    }

    fn prepare(&self, db: &rusqlite::Connection, call: &Call) -> Result<Vote, Failure> {
        db.execute("INSERT INTO held VALUES (?1)", [&call.gid])?;
        Ok(Vote::Yes)
    }

    fn commit(&self, _: &rusqlite::Connection, _: &Call) -> Result<(), Failure> {
        Err(Error::Conflict("it is gone".into()).into())
    }

    fn rollback(&self, db: &rusqlite::Connection, call: &Call) -> Result<(), Failure> {
        Ok(db.execute("DELETE FROM held WHERE gid = ?1", [&call.gid]).map(drop)?)
    }
}

#[tokio::test]
async fn one_phase_that_is_refused_at_its_commit_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let branches = Branches::open(&folder.path().join("fickle.db"), Fickle).unwrap();
    let no = branches.commit_one_phase(&call(Op::CommitOnePhase, "g", 2, "")).await;
    assert_eq!(no, Err(Error::Conflict("it is gone".into())));
    let held = branches.read(|db| db.query_row("SELECT count(*) FROM held", [], |row| row.get::<_, u32>(0)));
    assert_eq!(held.await, Ok(0));
    assert_eq!(branches.read(unanim::sqlite::states).await.unwrap()["g"], "rolled_back");
    assert_eq!(branches.commit_one_phase(&call(Op::CommitOnePhase, "g", 1, "")).await, Err(Error::Stale));
}
