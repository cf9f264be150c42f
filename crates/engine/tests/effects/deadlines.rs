//! One clock per transaction; it holds until the point of no return.
use crate::driven::{BEGIN, DEADLINE_MS, Driven, aborted, call, forced, late, lazy, only, timeout};
use unanim_engine::Op::{Commit, Prepare, Rollback};
use unanim_engine::Recorded::{Finished, Voted};
use unanim_engine::{Decision, Event, Failure, Phase, ReasonCode, Recorded, Reply, Vote};

#[test]
fn one_that_is_never_committed_aborts_at_its_deadline() {
    let mut txn = Driven::begin(["a"]);
    assert_eq!(txn.due(), Some(DEADLINE_MS));
    assert_eq!(txn.at(DEADLINE_MS - 1).woke(), only([]), "too early changes nothing");
    assert_eq!(txn.at(DEADLINE_MS).woke(), forced([aborted(ReasonCode::Deadline), Finished], []));
    assert_eq!(txn.txn.phase, Phase::Aborted);
}

#[test]
fn a_commit_that_comes_after_the_deadline_comes_too_late() {
    let mut txn = Driven::begin(["a"]);
    assert_eq!(txn.at(DEADLINE_MS).commit(), forced([aborted(ReasonCode::Deadline), Finished], []));
}

#[test]
fn not_all_votes_in_time_aborts_and_the_silent_one_is_rolled_back_after_its_call_ended() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.due(), Some(DEADLINE_MS), "a call under way has no due time");
    assert_eq!(txn.at(DEADLINE_MS).woke(), forced([late(1, None)], [call(0, Rollback, 2)]), "no call of it had ended");
    assert_eq!(txn.reply(1, timeout()), only([call(1, Rollback, 2)]));
    txn.reply(0, Reply::Ok);
    txn.reply(1, Reply::Ok);
    assert_eq!(txn.txn.phase, Phase::Aborted);
}

#[test]
fn a_vote_that_was_to_be_asked_for_again_is_not_at_the_deadline() {
    let mut txn = Driven::preparing(["a"]);
    txn.at(DEADLINE_MS - 1).reply(0, timeout());
    assert_eq!(txn.due(), Some(DEADLINE_MS));
    // Both are due by then: the retry and the deadline.
    let step = txn.at(DEADLINE_MS + 1_000).woke();
    assert_eq!(step, forced([late(0, Some("no answer in time"))], [call(0, Rollback, 2)]));
}

#[test]
fn the_last_vote_after_the_deadline_is_too_late_even_if_nobody_woke() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, Reply::Ok);
    let step = txn.at(DEADLINE_MS).reply(1, Reply::Ok);
    let recorded = [Voted(1, Vote::Yes), aborted(ReasonCode::Deadline)];
    assert_eq!(step, forced(recorded, [call(0, Rollback, 2), call(1, Rollback, 2)]));
}

#[test]
fn the_last_vote_just_before_the_deadline_is_in_time() {
    let mut txn = Driven::preparing(["a"]);
    let step = txn.at(DEADLINE_MS - 1).reply(0, Reply::Ok);
    assert_eq!(step.effects, [call(0, Commit, 2)]);
}

#[test]
fn the_deadline_is_over_with_the_decision() {
    let mut txn = Driven::committing(["a"]);
    assert_eq!(txn.due(), Some(txn.limits.stuck_after_ms));
    assert_eq!(txn.at(DEADLINE_MS * 2).woke(), only([]));
    txn.reply(0, timeout());
    assert_eq!(txn.woke_when_due(), only([call(0, Commit, 3)]));
    assert_eq!(txn.txn.phase, Phase::Committing);
}

#[test]
fn a_commit_may_set_the_deadline_anew() {
    let mut txn = Driven::begin(["a"]);
    let sooner = BEGIN.after(10_000);
    let step = txn.step(Event::Requested(Decision::Commit, Some(sooner)));
    assert_eq!(step, forced([Recorded::Phase(Phase::Preparing, Some(sooner))], [call(0, Prepare, 1)]));
    assert_eq!(txn.due(), Some(10_000));
    let later = BEGIN.after(90_000);
    assert_eq!(txn.step(Event::Requested(Decision::Commit, Some(later))), only([]), "only the first one does");
    assert_eq!(txn.at(10_000).woke().recorded, [late(0, None)]);
}

#[test]
fn a_deadline_in_the_past_prepares_nobody() {
    let mut txn = Driven::begin(["a"]);
    let step = txn.step(Event::Requested(Decision::Commit, Some(BEGIN)));
    let recorded = [Recorded::Phase(Phase::Preparing, Some(BEGIN)), late(0, None)];
    // Nobody was called, but after a crash nobody could tell: it is told.
    assert_eq!(step, forced(recorded, [call(0, Rollback, 1)]));
}

#[test]
fn a_spurious_waking_is_harmless() {
    let mut txn = Driven::preparing(["a"]);
    assert_eq!(txn.woke(), only([]));
    txn.reply(0, timeout());
    assert_eq!(txn.woke(), only([]));
    txn.woke_when_due();
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.woke(), only([]));
    assert_eq!(txn.reply(0, Reply::Ok), lazy([Recorded::Acknowledged(0), Finished], []));
    assert_eq!(txn.woke(), only([]));
}

#[test]
fn the_reason_names_the_first_that_had_not_voted_and_how_its_last_call_ended() {
    let mut txn = Driven::preparing(["a", "b", "c", "d"]);
    txn.reply(0, Reply::Ok);
    txn.reply(3, timeout());
    txn.reply(2, Reply::unknown(Failure::Connect));
    txn.reply(1, timeout());
    txn.retried();
    txn.reply(1, Reply::Unknown { failure: Failure::Status(503), retry_after_ms: 0 });
    assert_eq!(txn.at(DEADLINE_MS).woke().recorded, [late(1, Some("it answered with status 503"))]);
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(1, Reply::Ongoing { retry_after_ms: 0 });
    txn.reply(0, Reply::ReadOnly);
    assert_eq!(txn.at(DEADLINE_MS).woke().recorded, [late(1, Some("it was still working"))]);
}
