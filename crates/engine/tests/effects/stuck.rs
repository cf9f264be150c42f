//! Open in one phase for too long: marked, and still asked.
use crate::driven::{DEADLINE_MS, Driven, LIMITS, call, forced, late, lazy, no, only, timeout};
use unanim_engine::Op::{Commit, Rollback};
use unanim_engine::{Phase, Recorded, Reply};

const STUCK_MS: u64 = LIMITS.stuck_after_ms;

#[test]
fn one_that_cannot_end_is_marked_once_and_still_asked() {
    let mut txn = Driven::committing(["a"]);
    txn.reply(0, timeout());
    assert_eq!(txn.at(STUCK_MS - 1).woke(), only([call(0, Commit, 3)]));
    assert_eq!(txn.due(), Some(STUCK_MS));
    assert_eq!(txn.at(STUCK_MS).woke(), lazy([Recorded::Stuck], []));
    assert!(txn.txn.stuck);
    assert_eq!(txn.due(), None, "marked, and its call under way");
    txn.reply(0, timeout());
    assert_eq!(txn.woke_when_due(), only([call(0, Commit, 4)]));
    txn.reply(0, Reply::Ok);
    assert_eq!((txn.txn.phase, txn.txn.stuck), (Phase::Committed, false));
}

#[test]
fn a_retry_and_the_mark_may_fall_on_one_instant() {
    let mut txn = Driven::committing(["a"]);
    txn.reply(0, timeout());
    assert_eq!(txn.at(STUCK_MS).woke(), lazy([Recorded::Stuck], [call(0, Commit, 3)]));
}

#[test]
fn the_time_counts_from_entering_the_phase() {
    let mut txn = Driven::preparing(["a"]);
    txn.at(30_000).reply(0, no());
    assert_eq!(txn.due(), Some(30_000 + STUCK_MS));
    assert_eq!(txn.at(30_000 + STUCK_MS).woke().recorded, [Recorded::Stuck]);
}

#[test]
fn an_active_one_is_never_stuck() {
    let mut txn = Driven::begin(["a"]);
    txn.limits.stuck_after_ms = 10;
    assert_eq!(txn.due(), Some(DEADLINE_MS));
    assert_eq!(txn.at(11).woke(), only([]));
}

#[test]
fn entering_a_phase_clears_the_mark() {
    let mut txn = Driven::begin(["a"]);
    txn.limits.stuck_after_ms = 10;
    txn.commit();
    assert_eq!(txn.at(10).woke(), lazy([Recorded::Stuck], []));
    assert_eq!(txn.due(), Some(DEADLINE_MS));
    txn.at(20).reply(0, Reply::Ok);
    assert_eq!((txn.txn.stuck, txn.due()), (false, Some(30)));
}

#[test]
fn it_counts_across_a_crash() {
    let mut txn = Driven::committing(["a"]);
    txn.at(STUCK_MS - 1);
    assert_eq!(txn.reload(), only([call(0, Commit, 1)]));
    assert_eq!(txn.due(), Some(STUCK_MS));
    txn.at(STUCK_MS);
    assert_eq!(txn.reload(), lazy([Recorded::Stuck], [call(0, Commit, 1)]));
    assert_eq!(txn.reload(), only([call(0, Commit, 1)]), "the mark is in the history");
    assert!(txn.txn.stuck);
}

#[test]
fn even_with_no_patience_at_all_a_waking_leads_somewhere() {
    let mut txn = Driven::preparing(["a"]);
    txn.limits.stuck_after_ms = 0;
    let step = txn.at(DEADLINE_MS).woke();
    assert_eq!(step, forced([Recorded::Stuck, late(0, None)], []));
    txn.reply(0, timeout());
    assert_eq!(txn.called(), [0]);
    assert_eq!(txn.woke_when_due(), lazy([Recorded::Stuck], []));
    txn.reply(0, timeout());
    assert_eq!(txn.woke_when_due(), only([call(0, Rollback, 3)]));
}
