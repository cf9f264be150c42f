//! Every branch votes, then every branch is told.
use crate::driven::{BEGIN, Driven, aborted, call, committed, forced, lazy, no, only, preparing, refused, timeout};
use unanim_engine::Op::{Commit, Prepare, Rollback};
use unanim_engine::Recorded::{Acknowledged, Finished, Voted};
use unanim_engine::{Decision, Event, Outcome, Phase, ReasonCode, Rejection, Reply, Vote};

#[test]
fn all_vote_yes_and_all_are_told_to_commit() {
    let mut txn = Driven::begin(["a", "b"]);
    assert_eq!(txn.commit(), forced([preparing()], [call(0, Prepare, 1), call(1, Prepare, 1)]));
    assert_eq!(txn.reply(1, Reply::Ok), lazy([Voted(1, Vote::Yes)], []));
    let decided = forced([Voted(0, Vote::Yes), committed()], [call(0, Commit, 2), call(1, Commit, 2)]);
    assert_eq!(txn.reply(0, Reply::Ok), decided);
    assert_eq!(txn.reply(0, Reply::Ok), lazy([Acknowledged(0)], []));
    assert_eq!(txn.reply(1, Reply::Ok), lazy([Acknowledged(1), Finished], []));
    assert_eq!((txn.txn.phase, txn.txn.outcome()), (Phase::Committed, Some(Outcome::Committed)));
    assert_eq!((txn.txn.seq, txn.due()), (8, None));
}

#[test]
fn one_branch_needs_two_phases_too() {
    let mut txn = Driven::preparing(["a"]);
    assert_eq!(txn.reply(0, Reply::Ok), forced([Voted(0, Vote::Yes), committed()], [call(0, Commit, 2)]));
    assert_eq!(txn.reply(0, Reply::Ok), lazy([Acknowledged(0), Finished], []));
}

#[test]
fn a_branch_with_nothing_to_do_is_not_called_again() {
    let mut txn = Driven::preparing(["a", "b", "c"]);
    assert_eq!(txn.reply(1, Reply::ReadOnly), lazy([Voted(1, Vote::ReadOnly)], []));
    txn.reply(0, Reply::Ok);
    let decided = forced([Voted(2, Vote::Yes), committed()], [call(0, Commit, 2), call(2, Commit, 2)]);
    assert_eq!(txn.reply(2, Reply::Ok), decided);
    assert_eq!(txn.reply(2, Reply::Ok), lazy([Acknowledged(2)], []));
    assert_eq!(txn.reply(0, Reply::Ok), lazy([Acknowledged(0), Finished], []));
    assert!(!txn.txn.branches[1].done);
}

#[test]
fn a_branch_with_nothing_to_do_is_not_rolled_back() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, Reply::ReadOnly);
    assert_eq!(txn.reply(1, no()), forced([Voted(1, Vote::Refused), refused(1, None)], [call(1, Rollback, 2)]));
    assert_eq!(txn.reply(1, Reply::Ok), lazy([Acknowledged(1), Finished], []));
    assert_eq!(txn.txn.phase, Phase::Aborted);
}

#[test]
fn with_nothing_to_do_anywhere_it_is_committed_without_a_second_phase() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, Reply::ReadOnly);
    assert_eq!(txn.reply(1, Reply::ReadOnly), forced([Voted(1, Vote::ReadOnly), committed(), Finished], []));
    assert_eq!(txn.txn.phase, Phase::Committed);
}

#[test]
fn one_no_aborts_at_once_and_the_one_that_said_it_is_rolled_back_too() {
    let mut txn = Driven::preparing(["a", "b", "c"]);
    txn.reply(0, Reply::Ok);
    let said = Reply::Refused(Some("no widgets left".into()));
    // The third has not answered yet: its rollback waits for the end of its prepare.
    let effects = [call(0, Rollback, 2), call(1, Rollback, 2)];
    let decision = refused(1, Some("no widgets left"));
    assert_eq!(txn.reply(1, said), forced([Voted(1, Vote::Refused), decision], effects));
    assert_eq!(txn.txn.phase, Phase::Aborting);
    assert_eq!(txn.reply(2, timeout()), only([call(2, Rollback, 2)]));
    txn.reply(0, Reply::Ok);
    txn.reply(1, Reply::Ok);
    assert_eq!(txn.reply(2, Reply::Ok), lazy([Acknowledged(2), Finished], []));
    assert_eq!(txn.txn.phase, Phase::Aborted);
}

#[test]
fn a_vote_that_comes_after_the_abort_does_not_count_and_is_rolled_back() {
    for late in [Reply::Ok, no(), Reply::ReadOnly] {
        let mut txn = Driven::preparing(["a", "b"]);
        txn.reply(0, no());
        assert_eq!(txn.called(), [0, 1]);
        assert_eq!(txn.reply(1, late), only([call(1, Rollback, 2)]));
        assert_eq!(txn.txn.branches[1].vote, None);
    }
}

#[test]
fn the_words_of_a_refusal_are_kept_up_to_a_limit_and_whole() {
    let mut txn = Driven::preparing(["a"]);
    txn.reply(0, Reply::Refused(Some("ä".repeat(2_000).into())));
    let reason = txn.txn.reason.clone().expect("refused");
    assert_eq!(reason.detail.as_deref(), Some(&*"ä".repeat(512)));
    let mut txn = Driven::preparing(["a"]);
    txn.reply(0, Reply::Refused(Some(format!("x{}", "ä".repeat(2_000)).into())));
    assert_eq!(txn.txn.reason.clone().expect("refused").detail.expect("words").len(), 1023);
}

#[test]
fn a_client_rolls_back_before_anyone_was_asked_and_nobody_is_called() {
    let mut txn = Driven::begin(["a", "b"]);
    assert_eq!(txn.rollback(), forced([aborted(ReasonCode::Client), Finished], []));
    assert_eq!(txn.txn.phase, Phase::Aborted);
    let mut empty = Driven::begin([]);
    assert_eq!(empty.rollback(), forced([aborted(ReasonCode::Client), Finished], []));
}

#[test]
fn a_client_rolls_back_before_the_decision() {
    let mut txn = Driven::preparing(["a", "b", "c"]);
    txn.reply(0, Reply::Ok);
    txn.reply(2, timeout());
    let step = txn.rollback();
    assert_eq!(step, forced([aborted(ReasonCode::Client)], [call(0, Rollback, 2), call(2, Rollback, 2)]));
    assert_eq!(txn.reply(1, Reply::Ok), only([call(1, Rollback, 2)]));
    assert_eq!(txn.rollback(), only([]), "asking again is no error");
    (0..3).for_each(|branch| drop(txn.reply(branch, Reply::Ok)));
    assert_eq!(txn.rollback(), only([]));
    assert_eq!(txn.txn.phase, Phase::Aborted);
}

#[test]
fn after_the_decision_a_client_cannot_roll_back() {
    let rollback = Event::Requested(Decision::Rollback, None);
    let mut txn = Driven::committing(["a"]);
    let rejection = Err(Rejection::AlreadyDecided(Outcome::Committed));
    assert_eq!(txn.try_step(rollback.clone()), rejection);
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.try_step(rollback), rejection);
}

#[test]
fn to_commit_again_is_no_error_and_changes_nothing() {
    let mut txn = Driven::preparing(["a"]);
    assert_eq!(txn.commit(), only([]));
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.commit(), only([]));
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.commit(), only([]));
    let mut txn = Driven::preparing(["a"]);
    txn.reply(0, no());
    assert_eq!(txn.commit(), only([]));
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.commit(), only([]));
}

#[test]
fn there_must_be_something_to_commit() {
    let mut txn = Driven::begin([]);
    assert_eq!(txn.try_step(Event::Requested(Decision::Commit, None)), Err(Rejection::NoBranches));
    assert_eq!(txn.txn.phase, Phase::Active);
}

#[test]
fn of_two_refusals_the_first_is_the_reason() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(1, no());
    txn.reply(0, no());
    assert_eq!(txn.txn.reason.as_ref().and_then(|r| r.branch), Some(1));
}

#[test]
fn all_are_heard_once_each_has_answered_or_failed_in_this_phase() {
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, Reply::Ongoing { retry_after_ms: 0 });
    assert!(!txn.txn.all_heard());
    txn.reply(1, Reply::Ok);
    assert!(txn.txn.all_heard(), "one that is still working has been heard");
    txn.woke_when_due();
    assert!(txn.txn.all_heard(), "asking again takes nothing back");
    txn.reply(0, Reply::Ok);
    assert!(!txn.txn.all_heard(), "the next phase begins anew");
    txn.reply(0, timeout());
    txn.reply(1, no());
    assert!(txn.txn.all_heard());
    txn.woke_when_due();
    txn.called().into_iter().for_each(|branch| drop(txn.reply(branch, Reply::Ok)));
    assert!(txn.txn.all_heard());
}

#[test]
fn it_is_known_when_it_began_was_decided_and_ended() {
    let instants = |txn: &Driven| {
        let t = &txn.txn;
        (t.created_at, t.entered_at, t.decided_at, t.finished_at)
    };
    let at = |ms| BEGIN.after(ms);
    let mut txn = Driven::begin(["a"]);
    assert_eq!(instants(&txn), (BEGIN, BEGIN, None, None));
    txn.at(10).commit();
    assert_eq!(instants(&txn), (BEGIN, at(10), None, None));
    txn.at(20).reply(0, Reply::Ok);
    assert_eq!(instants(&txn), (BEGIN, at(20), Some(at(20)), None));
    txn.at(30).reply(0, Reply::Ok);
    assert_eq!(instants(&txn), (BEGIN, at(30), Some(at(20)), Some(at(30))));
    let mut txn = Driven::begin(["a"]);
    txn.at(5).rollback();
    assert_eq!(instants(&txn), (BEGIN, at(5), Some(at(5)), Some(at(5))));
}
