//! A participant that finished on its own: recorded, and forced, since nobody would say it again.
use crate::driven::{Driven, call, called, committed, forced, lazy, no, only, refused, spec, timeout};
use unanim_engine::Heuristic::{Commit as Committed, Mixed, Rollback as RolledBack};
use unanim_engine::Op::{Commit, Rollback};
use unanim_engine::Recorded::{Acknowledged, Finished, Heuristic, Voted};
use unanim_engine::{Phase, Reply, Vote};

#[test]
fn before_the_decision_it_is_a_refusal() {
    for heuristic in [Committed, RolledBack, Mixed] {
        let mut txn = Driven::preparing(["a", "b"]);
        txn.reply(1, Reply::Ok);
        let recorded = [Heuristic(0, heuristic), Voted(0, Vote::Refused), refused(0, None)];
        let step = txn.reply(0, Reply::Heuristic(heuristic));
        assert_eq!(step, forced(recorded, [call(0, Rollback, 2), call(1, Rollback, 2)]));
        assert_eq!(txn.txn.heuristic(), Some(heuristic));
    }
}

#[test]
fn after_the_decision_it_is_done() {
    for heuristic in [Committed, RolledBack, Mixed] {
        let mut txn = Driven::committing(["a", "b"]);
        let step = txn.reply(0, Reply::Heuristic(heuristic));
        assert_eq!(step, forced([Heuristic(0, heuristic), Acknowledged(0)], []));
        assert_eq!(txn.reply(1, Reply::Ok), lazy([Acknowledged(1), Finished], []));
        assert_eq!((txn.txn.phase, txn.txn.heuristic()), (Phase::Committed, Some(heuristic)));

        let mut txn = Driven::preparing(["a"]);
        txn.reply(0, no());
        let step = txn.reply(0, Reply::Heuristic(heuristic));
        assert_eq!(step, forced([Heuristic(0, heuristic), Acknowledged(0), Finished], []));
        assert_eq!(txn.txn.phase, Phase::Aborted);
    }
}

#[test]
fn in_answer_to_a_prepare_that_no_longer_counts_it_is_recorded_all_the_same() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, no());
    let step = txn.reply(1, Reply::Heuristic(Committed));
    assert_eq!(step, forced([Heuristic(1, Committed)], [call(1, Rollback, 2)]));
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.reply(1, Reply::Ok), lazy([Acknowledged(1), Finished], []));
    assert_eq!((txn.txn.phase, txn.txn.heuristic()), (Phase::Aborted, Some(Committed)));
}

#[test]
fn several_taken_together_are_mixed_unless_they_agree() {
    let mut txn = Driven::committing(["a", "b", "c"]);
    assert_eq!(txn.txn.heuristic(), None);
    txn.reply(0, Reply::Heuristic(Committed));
    txn.reply(1, Reply::Heuristic(Committed));
    assert_eq!(txn.txn.heuristic(), Some(Committed));
    txn.reply(2, Reply::Heuristic(RolledBack));
    assert_eq!(txn.txn.heuristic(), Some(Mixed));
}

#[test]
fn in_one_phase_the_only_branch_has_decided() {
    let begin = || {
        let mut txn = Driven::with([called(spec("a"), |callee| callee.one_phase = true)]);
        txn.commit();
        txn
    };
    let mut txn = begin();
    let step = txn.reply(0, Reply::Heuristic(Committed));
    assert_eq!(step, forced([Heuristic(0, Committed), Acknowledged(0), committed(), Finished], []));
    for heuristic in [RolledBack, Mixed] {
        let mut txn = begin();
        let step = txn.reply(0, Reply::Heuristic(heuristic));
        assert_eq!(step, forced([Heuristic(0, heuristic), Voted(0, Vote::Refused), refused(0, None), Finished], []));
    }
}

#[test]
fn said_twice_or_too_late_it_changes_nothing() {
    let mut txn = Driven::committing(["a"]);
    txn.reply(0, timeout());
    assert_eq!(txn.message(0, Commit, 2, Reply::Heuristic(RolledBack)), only([]));
    txn.woke_when_due();
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.message(0, Commit, 3, Reply::Heuristic(RolledBack)), only([]));
    assert_eq!(txn.txn.heuristic(), None);
}

#[test]
fn a_crash_does_not_lose_it() {
    let mut txn = Driven::committing(["a", "b"]);
    txn.reply(0, Reply::Heuristic(Mixed));
    txn.crash(0);
    assert_eq!(txn.woke(), only([call(1, Commit, 1)]));
    assert_eq!(txn.txn.heuristic(), Some(Mixed));
}
