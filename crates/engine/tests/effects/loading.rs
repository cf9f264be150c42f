//! After a crash: every call that the history does not exclude counts as made, and what is open goes on.
use crate::driven::{
    CALL_TIMEOUT_MS, DEADLINE_MS, Driven, aborted, call, called, committed, forced, late, lazy, no, only, refused,
    spec, timeout,
};
use unanim_engine::Op::{Commit, Prepare, Rollback};
use unanim_engine::Recorded::{Acknowledged, Finished, Voted};
use unanim_engine::{BranchSpec, BranchState, Dialect, Phase, ReasonCode, Reply, Vote};

fn classic(id: &str) -> BranchSpec {
    called(spec(id), |callee| callee.dialect = Dialect::Classic)
}

#[test]
fn an_active_one_waits_for_its_client_or_its_deadline() {
    let mut txn = Driven::begin(["a"]);
    assert_eq!(txn.reload(), only([]));
    assert_eq!(txn.due(), Some(DEADLINE_MS));
    assert_eq!(txn.commit().effects, [call(0, Prepare, 1)]);
    let mut txn = Driven::begin(["a"]);
    assert_eq!(txn.at(DEADLINE_MS).reload(), forced([aborted(ReasonCode::Deadline), Finished], []));
}

#[test]
fn in_preparing_it_goes_on_asking_those_that_have_not_voted() {
    let mut txn = Driven::preparing(["a", "b", "c"]);
    txn.reply(0, Reply::Ok);
    txn.reply(1, Reply::ReadOnly);
    assert_eq!(txn.reload(), only([call(2, Prepare, 1)]));
    let decided = forced([Voted(2, Vote::Yes), committed()], [call(0, Commit, 1), call(2, Commit, 2)]);
    assert_eq!(txn.reply(2, Reply::Ok), decided);
}

#[test]
fn votes_that_were_lost_are_asked_for_again() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, Reply::Ok);
    txn.crash(0);
    assert_eq!(txn.woke(), only([call(0, Prepare, 1), call(1, Prepare, 1)]));
    // And may turn out otherwise.
    assert_eq!(txn.reply(0, no()).effects, [call(0, Rollback, 2)]);
}

#[test]
fn past_the_deadline_it_aborts_and_rolls_back_all_that_may_have_been_asked() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, Reply::Ok);
    txn.at(DEADLINE_MS).crash(0);
    let step = forced([late(0, None)], [call(0, Rollback, 1), call(1, Rollback, 1)]);
    assert_eq!(txn.woke(), step);
}

#[test]
fn after_the_decision_those_that_have_not_acknowledged_are_told_again() {
    let mut txn = Driven::committing(["a", "b"]);
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.clone().reload(), only([call(1, Commit, 1)]));
    txn.crash(0);
    assert_eq!(txn.woke(), only([call(0, Commit, 1), call(1, Commit, 1)]), "a lost acknowledgement is asked for again");
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.reply(1, Reply::Ok), lazy([Acknowledged(1), Finished], []));
}

#[test]
fn an_abort_goes_on() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, no());
    assert_eq!(txn.reload(), only([call(0, Rollback, 1), call(1, Rollback, 1)]));
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.reload(), only([call(1, Rollback, 1)]));
}

#[test]
fn what_is_finished_stays_so() {
    let mut txn = Driven::committing(["a"]);
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.clone().reload(), only([]));
    txn.crash(0);
    assert_eq!(txn.txn.phase, Phase::Committing, "its end was lazy");
    assert_eq!(txn.woke(), only([call(0, Commit, 1)]));
}

#[test]
fn a_reply_from_before_the_crash_is_nobodys() {
    let mut txn = Driven::preparing(["a"]);
    txn.crash(0);
    assert_eq!(txn.message(0, Prepare, 1, Reply::Ok).recorded, []);
    assert_eq!(txn.txn.branches[0].vote, None);
}

#[test]
fn a_request_may_be_the_first_thing_that_happens() {
    let mut txn = Driven::preparing(["a"]);
    txn.crash(0);
    assert_eq!(txn.rollback(), forced([aborted(ReasonCode::Client)], [call(0, Rollback, 1)]));
    let mut txn = Driven::preparing(["a"]);
    txn.crash(0);
    assert_eq!(txn.commit(), only([call(0, Prepare, 1)]));
    assert_eq!(txn.woke(), only([]));
}

#[test]
fn a_classic_branch_in_doubt_is_rolled_back_one_call_timeout_after_the_load() {
    let mut txn = Driven::with([classic("a"), spec("b"), classic("c")]);
    txn.commit();
    txn.at(100).reply(2, Reply::Ok);
    txn.at(200).reply(1, no());
    txn.at(1_000);
    // The third's vote is known, but a vote is what one call answered: another may still be on its way.
    assert_eq!(txn.reload(), only([call(1, Rollback, 1)]));
    assert_eq!(txn.due(), Some(1_000 + CALL_TIMEOUT_MS));
    assert_eq!(txn.at(999 + CALL_TIMEOUT_MS).woke(), only([]));
    assert_eq!(txn.at(1_000 + CALL_TIMEOUT_MS).woke(), only([call(0, Rollback, 1), call(2, Rollback, 1)]));
    txn.reply(0, timeout());
    assert!(txn.due().expect("a retry") <= 1_100 + CALL_TIMEOUT_MS, "only the first one waits");
}

#[test]
fn a_classic_branch_in_doubt_waits_too_where_the_abort_comes_after_the_load() {
    let mut txn = Driven::with(["a", "b", "c"].map(classic));
    txn.commit();
    txn.at(1_000);
    assert_eq!(txn.reload(), only([0, 1, 2].map(|branch| call(branch, Prepare, 1))));
    txn.at(1_500).reply(2, Reply::Ok);
    // Their prepares of this life have ended or will; those from before the crash may still be on their way.
    assert_eq!(txn.at(2_000).reply(1, no()), forced([Voted(1, Vote::Refused), refused(1, None)], []));
    assert_eq!(txn.at(3_000).reply(0, timeout()), only([]));
    assert_eq!(txn.due(), Some(1_000 + CALL_TIMEOUT_MS));
    assert_eq!(txn.at(1_000 + CALL_TIMEOUT_MS).woke(), only([0, 1, 2].map(|branch| call(branch, Rollback, 2))));
}

#[test]
fn a_retry_does_not_cut_that_wait_short() {
    let mut txn = Driven::with([classic("a"), spec("b")]);
    txn.commit();
    txn.at(200).reply(1, no());
    txn.at(1_000).reload();
    txn.reply(1, timeout());
    assert_eq!(txn.retried(), only([call(1, Rollback, 2)]));
    assert_eq!(txn.due(), Some(1_000 + CALL_TIMEOUT_MS));
    txn.at(1_000 + CALL_TIMEOUT_MS).woke();
    txn.reply(0, timeout());
    assert_eq!(txn.retried(), only([call(0, Rollback, 2)]));
}

#[test]
fn one_that_was_loaded_before_anyone_was_asked_waits_for_nothing() {
    let mut txn = Driven::with([classic("a")]);
    txn.reload();
    txn.commit();
    txn.reply(0, timeout());
    assert_eq!(txn.rollback().effects, [call(0, Rollback, 2)]);
}

#[test]
fn long_after_the_load_or_without_one_nobody_waits() {
    let mut txn = Driven::with([classic("a")]);
    txn.commit();
    txn.reload();
    txn.at(CALL_TIMEOUT_MS).reply(0, timeout());
    assert_eq!(txn.rollback().effects, [call(0, Rollback, 2)]);
    let mut txn = Driven::with([classic("a")]);
    txn.commit();
    txn.reply(0, timeout());
    assert_eq!(txn.rollback().effects, [call(0, Rollback, 2)]);
}

#[test]
fn the_state_of_a_branch_as_people_read_it() {
    let of = |txn: &Driven| -> Vec<_> { txn.txn.branches.iter().map(|b| txn.txn.branch_state(b)).collect() };
    let mut txn = Driven::begin(["a", "b", "c"]);
    assert_eq!(of(&txn), [BranchState::Waiting; 3]);
    txn.commit();
    assert_eq!(of(&txn), [BranchState::Asked; 3]);
    txn.reload();
    assert_eq!(of(&txn), [BranchState::Asked; 3]);
    txn.reply(0, Reply::Ok);
    txn.reply(1, Reply::ReadOnly);
    txn.reply(2, no());
    assert_eq!(of(&txn), [BranchState::Yes, BranchState::ReadOnly, BranchState::Refused]);
    txn.reply(0, Reply::Ok);
    txn.reply(2, Reply::Ok);
    assert_eq!(of(&txn), [BranchState::Done, BranchState::ReadOnly, BranchState::Done]);
}
