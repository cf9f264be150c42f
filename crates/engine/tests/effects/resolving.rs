//! A person says how a branch ended.
use crate::driven::{Driven, call, called, committed, forced, lazy, no, only, spec, timeout};
use unanim_engine::Op::{Commit, Rollback};
use unanim_engine::Recorded::{Acknowledged, Finished, Resolved};
use unanim_engine::{
    BranchId, BranchState, CallState, Heuristic, Outcome, Phase, Reason, ReasonCode, Recorded, Rejection, Reply,
    Resolution, Vote,
};

const COMMITTED: Outcome = Outcome::Committed;
const ABORTED: Outcome = Outcome::Aborted;

fn says(outcome: Outcome) -> Resolution {
    Resolution::new(outcome, Some("seen in its books"), Some("ops")).expect("short enough")
}

fn ended(id: &str, outcome: Outcome) -> Rejection {
    Rejection::BranchEnded(BranchId::new(id).expect("a name"), outcome)
}

/// In one phase, asked and never heard of.
fn alone() -> Driven {
    let mut txn = Driven::with([called(spec("a"), |callee| callee.one_phase = true)]);
    txn.commit();
    txn.reply(0, timeout());
    txn
}

#[test]
fn it_counts_as_an_acknowledgement_and_ends_the_calls() {
    let mut txn = Driven::committing(["a", "b"]);
    txn.reply(0, timeout());
    assert_eq!(txn.resolve("a", says(COMMITTED)), Ok(forced([Resolved(0, says(COMMITTED))], [])));
    let branch = &txn.txn.branches[0];
    assert_eq!((branch.call, txn.txn.branch_state(branch)), (CallState::Idle, BranchState::Resolved));
    assert_eq!(txn.due(), Some(txn.limits.stuck_after_ms), "nothing waits for its next call");
    assert_eq!(txn.retried(), only([]));
    assert_eq!(txn.reply(1, Reply::Ok), lazy([Acknowledged(1), Finished], []));
    assert_eq!((txn.txn.phase, txn.txn.heuristic()), (Phase::Committed, None));
}

#[test]
fn the_last_one_ends_the_transaction() {
    let mut txn = Driven::committing(["a"]);
    txn.reply(0, timeout());
    assert_eq!(txn.resolve("a", says(COMMITTED)), Ok(forced([Resolved(0, says(COMMITTED)), Finished], [])));
}

#[test]
fn one_that_contradicts_is_marked() {
    let mut txn = Driven::committing(["a", "b"]);
    txn.reply(1, Reply::Ok);
    let recorded = [Resolved(0, says(ABORTED)), Recorded::Heuristic(0, Heuristic::Rollback), Finished];
    assert_eq!(txn.resolve("a", says(ABORTED)), Ok(forced(recorded, [])));
    assert_eq!((txn.txn.outcome(), txn.txn.heuristic()), (Some(COMMITTED), Some(Heuristic::Rollback)));

    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, Reply::Ok);
    txn.reply(1, no());
    let recorded = [Resolved(0, says(COMMITTED)), Recorded::Heuristic(0, Heuristic::Commit)];
    assert_eq!(txn.resolve("a", says(COMMITTED)), Ok(forced(recorded, [])));
    assert_eq!(txn.txn.phase, Phase::Aborting, "the other one is still to be told");
}

#[test]
fn what_its_participant_reported_is_not_marked_twice() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, Reply::Heuristic(Heuristic::Commit));
    assert_eq!(txn.resolve("a", says(COMMITTED)), Ok(forced([Resolved(0, says(COMMITTED))], [])));
}

#[test]
fn late_replies_change_nothing() {
    for reply in [Reply::Ok, no(), timeout(), Reply::Heuristic(Heuristic::Mixed)] {
        let mut txn = Driven::committing(["a", "b"]);
        txn.resolve("a", says(COMMITTED)).expect("decided");
        assert_eq!(txn.called(), [0, 1], "its call is under way");
        assert!(!txn.txn.wants_call(0, Commit) && txn.txn.wants_call(1, Commit));
        assert_eq!(txn.reply(0, reply.clone()), only([]));
        assert_eq!(txn.due(), Some(txn.limits.stuck_after_ms));
        txn.reply(1, Reply::Ok);
        assert_eq!(txn.txn.phase, Phase::Committed);
    }
    // Also where the transaction has ended meanwhile, and where the call was one of the phase before.
    let mut txn = Driven::committing(["a"]);
    txn.resolve("a", says(COMMITTED)).expect("decided");
    assert_eq!(txn.reply(0, Reply::Heuristic(Heuristic::Rollback)), only([]));
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, no());
    txn.resolve("b", says(ABORTED)).expect("decided");
    assert_eq!(txn.reply(1, Reply::Ok), only([]), "it is not rolled back");
    assert_eq!(txn.called(), [0]);
}

#[test]
fn the_same_again_is_the_same_and_the_contrary_is_refused() {
    let mut txn = Driven::committing(["a", "b", "c"]);
    txn.resolve("a", says(ABORTED)).expect("decided");
    let other = Resolution::new(ABORTED, Some("another reason"), None).expect("short enough");
    assert_eq!(txn.resolve("a", other), Ok(only([])));
    assert_eq!(txn.txn.branches[0].resolution.as_deref(), Some(&says(ABORTED)), "the first one's words stay");
    assert_eq!(txn.resolve("a", says(COMMITTED)), Err(ended("a", ABORTED)));
    txn.reply(1, Reply::Ok);
    assert_eq!(txn.resolve("b", says(COMMITTED)), Ok(only([])), "it has acknowledged");
    assert_eq!(txn.resolve("b", says(ABORTED)), Err(ended("b", COMMITTED)));
    txn.reply(2, Reply::Heuristic(Heuristic::Rollback));
    assert_eq!(txn.txn.phase, Phase::Committed);
    assert_eq!(txn.resolve("c", says(ABORTED)), Ok(only([])), "it said so itself");
    assert_eq!(txn.resolve("c", says(COMMITTED)), Err(ended("c", ABORTED)));
}

#[test]
fn one_that_has_nothing_to_do_has_ended() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, Reply::ReadOnly);
    txn.reply(1, Reply::Ok);
    assert_eq!(txn.resolve("a", says(ABORTED)), Err(ended("a", COMMITTED)));
    assert_eq!(txn.resolve("a", says(COMMITTED)), Ok(only([])));
}

#[test]
fn before_the_decision_there_is_nothing_to_resolve() {
    let mut txn = Driven::begin(["a", "b"]);
    assert_eq!(txn.resolve("a", says(COMMITTED)), Err(Rejection::NotDecided(Phase::Active)));
    txn.commit();
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.resolve("a", says(COMMITTED)), Err(Rejection::NotDecided(Phase::Preparing)));
    assert_eq!(txn.resolve("x", says(COMMITTED)), Err(Rejection::NotDecided(Phase::Preparing)));
    txn.reply(1, Reply::Ok);
    let unknown = Rejection::NoSuchBranch(BranchId::new("x").expect("a name"));
    assert_eq!(txn.resolve("x", says(COMMITTED)), Err(unknown));
}

#[test]
fn of_a_stuck_one_phase_transaction_it_is_the_decision() {
    let mut txn = alone();
    assert_eq!(txn.resolve("a", says(COMMITTED)), Err(Rejection::NotDecided(Phase::Preparing)), "not stuck yet");
    txn.at(txn.limits.stuck_after_ms).woke();
    let mut other = txn.clone();
    let recorded = [Resolved(0, says(COMMITTED)), committed(), Finished];
    assert_eq!(txn.resolve("a", says(COMMITTED)), Ok(forced(recorded, [])));
    assert_eq!((txn.txn.phase, txn.txn.heuristic()), (Phase::Committed, None));
    assert_eq!(txn.resolve("a", says(ABORTED)), Err(ended("a", COMMITTED)));
    assert_eq!(txn.reply(0, no()), only([]));

    let reason = Reason { code: ReasonCode::Client, branch: Some(0), detail: Some("seen in its books".into()) };
    let recorded = [Resolved(0, says(ABORTED)), Recorded::Decided(ABORTED, Some(reason)), Finished];
    assert_eq!(other.resolve("a", says(ABORTED)), Ok(forced(recorded, [])));
    assert_eq!(other.txn.phase, Phase::Aborted);
}

#[test]
fn it_outlives_a_crash() {
    let mut txn = Driven::committing(["a", "b"]);
    txn.resolve("a", says(COMMITTED)).expect("decided");
    assert_eq!(txn.reload(), only([call(1, Commit, 1)]));
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, Reply::Ok);
    txn.rollback();
    txn.resolve("a", says(ABORTED)).expect("decided");
    assert_eq!(txn.reload(), only([call(1, Rollback, 1)]));
    assert_eq!(txn.txn.branches[0].vote, Some(Vote::Yes));
}

#[test]
fn what_a_person_says_is_bounded() {
    let long = |n| "x".repeat(n);
    let new = |reason: usize, by: usize| Resolution::new(COMMITTED, Some(&long(reason)), Some(&long(by)));
    let said = new(1_024, 256).expect("as long as may be");
    assert_eq!((said.reason().map(str::len), said.by().map(str::len)), (Some(1_024), Some(256)));
    assert_eq!(new(1_025, 0).expect_err("too long").bytes_max, 1_024);
    assert_eq!(new(0, 257).expect_err("too long").bytes_max, 256);
}

#[test]
fn one_of_very_many_is_asked_no_more() {
    let mut txn = Driven::with((0..30).map(|i| spec(&format!("b{i}"))));
    txn.commit();
    (0..30).for_each(|branch| drop(txn.reply(branch, Reply::Ok)));
    txn.reply(20, timeout());
    txn.reply(21, timeout());
    txn.resolve("b20", says(COMMITTED)).expect("decided");
    assert_eq!(txn.retried(), only([call(21, Commit, 3)]));
}
