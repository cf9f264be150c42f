//! Asking again: backoff, `Retry-After`, and messages that come late, twice or unasked.
use crate::driven::{BEGIN, DEADLINE_MS, Driven, call, called, late, lazy, no, only, spec, timeout};
use unanim_engine::Op::{Commit, CommitOnePhase, Prepare, Rollback};
use unanim_engine::Recorded::{Acknowledged, Finished, Voted};
use unanim_engine::{CallState, Failure, Reply, ReplyCode, RetryOverride, Vote};

fn unavailable(retry_after_ms: u64) -> Reply {
    Reply::Unknown { failure: Failure::Status(503), retry_after_ms }
}

fn ongoing(retry_after_ms: u64) -> Reply {
    Reply::Ongoing { retry_after_ms }
}

/// The wait until the branch is asked again, in milliseconds.
fn wait(txn: &Driven, branch: usize) -> u64 {
    match txn.txn.branches[branch].call {
        CallState::Again(at) => at.0 - txn.now.0,
        other => panic!("not waiting: {other:?}"),
    }
}

#[test]
fn unknown_is_not_refused_and_is_asked_again_later_each_time() {
    let mut txn = Driven::committing(["a"]);
    for (attempt, whole) in (2..).zip([100, 200, 400, 800, 1_600]) {
        assert_eq!(txn.reply(0, timeout()), only([]));
        let wait = wait(&txn, 0);
        assert!((whole * 3 / 4..=whole).contains(&wait), "{wait} of {whole}");
        assert_eq!(txn.due(), Some(txn.now.0 - BEGIN.0 + wait));
        assert_eq!(txn.woke_when_due(), only([call(0, Commit, attempt + 1)]));
    }
    assert_eq!(txn.reply(0, Reply::Ok), lazy([Acknowledged(0), Finished], []));
}

#[test]
fn a_branch_may_have_a_policy_of_its_own() {
    let retry = Some(Box::new(RetryOverride { first_ms: Some(4), max_ms: Some(4) }));
    let mut txn = Driven::with([called(spec("a"), |callee| callee.retry = retry), spec("b")]);
    txn.commit();
    txn.reply(1, timeout());
    for attempt in 2..10 {
        txn.reply(0, timeout());
        assert_eq!(wait(&txn, 0), 4);
        assert_eq!(txn.woke_when_due(), only([call(0, Prepare, attempt)]));
    }
    assert!((75..=100).contains(&(wait(&txn, 1) + 8 * 4)));
}

#[test]
fn what_a_branch_leaves_out_of_its_policy_is_the_transactions() {
    let retry = Some(Box::new(RetryOverride { first_ms: None, max_ms: Some(150) }));
    let mut txn = Driven::begin([]);
    txn.join([called(spec("a"), |callee| callee.retry = retry)]).expect("it joins");
    txn.commit();
    for whole in [100, 150, 150] {
        txn.reply(0, timeout());
        let wait = wait(&txn, 0);
        assert!((whole * 3 / 4..=whole).contains(&wait), "{wait} of {whole}");
        txn.woke_when_due();
    }
}

#[test]
fn a_policy_of_nothing_waits_a_millisecond_all_the_same() {
    let retry = Some(Box::new(RetryOverride { first_ms: Some(0), max_ms: Some(0) }));
    let mut txn = Driven::with([called(spec("a"), |callee| callee.retry = retry)]);
    txn.commit();
    txn.reply(0, timeout());
    assert_eq!(wait(&txn, 0), 1);
}

#[test]
fn retry_after_is_heeded_up_to_five_minutes() {
    let mut txn = Driven::committing(["a"]);
    txn.reply(0, unavailable(7_000));
    assert_eq!((wait(&txn, 0), txn.due()), (7_000, Some(7_000)));
    assert_eq!(txn.at(6_999).woke(), only([]));
    assert_eq!(txn.at(7_000).woke(), only([call(0, Commit, 3)]));
    txn.reply(0, unavailable(3_600_000));
    assert_eq!(wait(&txn, 0), 300_000);
    txn.woke_when_due();
    txn.reply(0, ongoing(u64::MAX));
    assert_eq!(wait(&txn, 0), 300_000);
}

#[test]
fn retry_after_never_delays_an_abort() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, unavailable(300_000));
    assert_eq!(txn.due(), Some(DEADLINE_MS));
    let step = txn.at(10).reply(1, no());
    assert_eq!(step.effects, [call(0, Rollback, 2), call(1, Rollback, 2)]);

    let mut txn = Driven::preparing(["a"]);
    txn.reply(0, unavailable(300_000));
    let step = txn.at(DEADLINE_MS).woke();
    assert_eq!(
        (step.recorded, step.effects),
        (vec![late(0, Some("it answered with status 503"))], vec![call(0, Rollback, 2)])
    );

    let mut txn = Driven::preparing(["a"]);
    txn.reply(0, ongoing(300_000));
    assert_eq!(txn.rollback().effects, [call(0, Rollback, 2)]);
}

#[test]
fn entering_a_phase_ends_the_timers_of_the_one_before() {
    let mut txn = Driven::preparing(["a", "b", "c"]);
    txn.reply(0, timeout());
    txn.reply(1, timeout());
    let retry_at = txn.due().expect("a retry");
    txn.reply(2, no());
    assert_eq!(txn.called(), [0, 1, 2]);
    assert_eq!(txn.due(), Some(txn.limits.stuck_after_ms));
    assert_eq!(txn.at(retry_at).woke(), only([]), "nothing is left of them");
}

#[test]
fn the_backoff_begins_anew_with_the_phase() {
    let mut txn = Driven::preparing(["a"]);
    for _ in 0..5 {
        txn.reply(0, timeout());
        txn.woke_when_due();
    }
    assert_eq!(txn.reply(0, Reply::Ok).effects, [call(0, Commit, 7)]);
    txn.reply(0, timeout());
    assert!((75..=100).contains(&wait(&txn, 0)));
}

#[test]
fn still_working_is_no_failure() {
    let mut txn = Driven::preparing(["a"]);
    for attempt in 2..20 {
        assert_eq!(txn.reply(0, ongoing(0)), only([]));
        assert!((75..=100).contains(&wait(&txn, 0)), "the interval does not grow");
        assert_eq!(txn.woke_when_due(), only([call(0, Prepare, attempt)]));
    }
    txn.reply(0, ongoing(2_000));
    assert_eq!(wait(&txn, 0), 2_000);
    txn.woke_when_due();
    assert_eq!(txn.reply(0, Reply::Ok).effects, [call(0, Commit, 21)]);
}

#[test]
fn after_the_decision_a_refusal_is_asked_again() {
    for reply in [no(), Reply::ReadOnly, timeout(), ongoing(0)] {
        let mut txn = Driven::committing(["a"]);
        assert_eq!(txn.reply(0, reply.clone()), only([]));
        assert_eq!(txn.woke_when_due(), only([call(0, Commit, 3)]));
        assert_eq!(txn.reply(0, Reply::Ok), lazy([Acknowledged(0), Finished], []));

        let mut txn = Driven::preparing(["a"]);
        txn.reply(0, no());
        assert_eq!(txn.reply(0, reply), only([]));
        assert_eq!(txn.woke_when_due(), only([call(0, Rollback, 3)]));
        assert_eq!(txn.reply(0, Reply::Ok), lazy([Acknowledged(0), Finished], []));
    }
}

#[test]
fn messages_that_nobody_waits_for_change_nothing() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, timeout());
    txn.woke_when_due();
    let before = txn.txn.clone();
    for (branch, op, attempt) in [(0, Prepare, 1), (0, Prepare, 3), (0, Commit, 2), (1, Rollback, 1), (9, Prepare, 1)] {
        for reply in [Reply::Ok, no(), timeout(), ongoing(5)] {
            assert_eq!(txn.message(branch, op, attempt, reply), only([]));
            assert_eq!(txn.txn, before);
        }
    }
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.message(0, Prepare, 2, no()), only([]), "the second of two answers");
    assert_eq!(txn.txn.branches[0].vote, Some(Vote::Yes));
    assert_eq!(txn.message(0, CommitOnePhase, 2, Reply::Ok), only([]));
}

#[test]
fn a_message_for_one_that_waits_or_has_not_begun_changes_nothing() {
    let mut txn = Driven::begin(["a"]);
    assert_eq!(txn.message(0, Prepare, 1, Reply::Ok), only([]));
    txn.commit();
    txn.reply(0, timeout());
    assert_eq!(txn.message(0, Prepare, 1, Reply::Ok), only([]), "its call has ended");
    assert_eq!(txn.txn.branches[0].vote, None);
}

#[test]
fn a_call_that_was_never_sent_is_unknown() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, no());
    assert!(!txn.txn.wants(Prepare) && txn.txn.wants(Rollback));
    assert_eq!(txn.reply(1, Reply::unknown(Failure::Unsent)), only([call(1, Rollback, 2)]));
}

#[test]
fn one_call_per_branch_at_a_time_however_often_it_is_woken() {
    let mut txn = Driven::committing(["a", "b"]);
    txn.reply(0, timeout());
    txn.reply(1, timeout());
    txn.at(50_000);
    assert_eq!(txn.woke(), only([call(0, Commit, 3), call(1, Commit, 3)]));
    assert_eq!(txn.woke(), only([]));
    txn.reply(1, timeout());
    assert_eq!(txn.at(90_000).woke(), only([call(1, Commit, 4)]));
}

#[test]
fn wants_says_which_calls_are_still_of_use() {
    let of = |txn: &Driven| [Prepare, Commit, Rollback, CommitOnePhase].map(|op| txn.txn.wants(op));
    let mut txn = Driven::begin(["a"]);
    assert_eq!(of(&txn), [false; 4]);
    txn.commit();
    assert_eq!(of(&txn), [true, false, false, false]);
    txn.reply(0, Reply::Ok);
    assert_eq!(of(&txn), [false, true, false, false]);
    txn.reply(0, Reply::Ok);
    assert_eq!(of(&txn), [false; 4]);
    let mut txn = Driven::preparing(["a"]);
    txn.reply(0, no());
    assert_eq!(of(&txn), [false, false, true, false]);
    let mut txn = Driven::with([called(spec("a"), |callee| callee.one_phase = true)]);
    txn.commit();
    assert_eq!(of(&txn), [false, false, false, true]);
}

#[test]
fn how_the_last_call_ended_is_remembered() {
    let mut txn = Driven::preparing(["a"]);
    assert_eq!(txn.txn.branches[0].last, None);
    txn.at(30).reply(0, Reply::unknown(Failure::Status(500)));
    let last = txn.txn.branches[0].last.expect("one ended");
    assert_eq!((last.at, last.code), (BEGIN.after(30), ReplyCode::Unknown(Failure::Status(500))));
    txn.woke_when_due();
    assert_eq!(txn.reply(0, Reply::Ok).recorded[0], Voted(0, Vote::Yes));
    assert_eq!(txn.txn.branches[0].last.expect("one ended").code, ReplyCode::Ok);
}

#[test]
fn a_person_who_retries_does_not_wait_for_the_backoff() {
    let mut txn = Driven::committing(["a", "b", "c"]);
    assert_eq!(txn.retried(), only([]), "all are being called");
    txn.reply(0, unavailable(200_000));
    txn.reply(1, timeout());
    assert_eq!(txn.retried(), only([call(1, Commit, 3), call(0, Commit, 3)]), "in the order in which they were due");
    assert_eq!(txn.retried(), only([]));
    txn.reply(0, timeout());
    assert!(wait(&txn, 0) > 100, "a retry is no reply: the backoff goes on where it was");
    (1..3).for_each(|branch| drop(txn.reply(branch, Reply::Ok)));
    txn.retried();
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.retried(), only([]), "nothing is left to be asked");
}

#[test]
fn a_retry_asks_for_no_vote_that_would_come_too_late() {
    let mut txn = Driven::preparing(["a"]);
    txn.at(DEADLINE_MS - 1).reply(0, timeout());
    let step = txn.at(DEADLINE_MS).retried();
    assert_eq!((step.recorded, step.effects), (vec![late(0, Some("no answer in time"))], vec![call(0, Rollback, 2)]));
}
