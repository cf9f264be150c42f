//! A single branch may vote and commit in one call: its answer is the decision.
use crate::driven::{
    DEADLINE_MS, Driven, aborted, call, called, committed, forced, lazy, no, only, preparing, refused, spec, timeout,
};
use unanim_engine::Op::{Commit, CommitOnePhase, Prepare};
use unanim_engine::Recorded::{Acknowledged, Finished, Voted};
use unanim_engine::{BranchSpec, Decision, Event, Phase, ReasonCode, Recorded, Rejection, Reply, Vote};

fn alone(id: &str) -> BranchSpec {
    called(spec(id), |callee| callee.one_phase = true)
}

fn asked() -> Driven {
    let mut txn = Driven::with([alone("a")]);
    assert_eq!(txn.commit(), forced([preparing()], [call(0, CommitOnePhase, 1)]));
    txn
}

#[test]
fn its_yes_commits() {
    let mut txn = asked();
    assert_eq!(txn.reply(0, Reply::Ok), forced([Acknowledged(0), committed(), Finished], []));
    assert_eq!(txn.txn.phase, Phase::Committed);
}

#[test]
fn its_no_aborts_without_another_call() {
    let mut txn = asked();
    let step = txn.reply(0, Reply::Refused(Some("broke".into())));
    assert_eq!(step, forced([Voted(0, Vote::Refused), refused(0, Some("broke")), Finished], []));
    assert_eq!(txn.txn.phase, Phase::Aborted);
}

#[test]
fn with_nothing_to_do_it_is_committed() {
    let mut txn = asked();
    assert_eq!(txn.reply(0, Reply::ReadOnly), forced([Voted(0, Vote::ReadOnly), committed(), Finished], []));
}

#[test]
fn no_deadline_overrules_it_once_it_may_have_been_called() {
    let mut txn = asked();
    assert_eq!(txn.due(), Some(txn.limits.stuck_after_ms));
    assert_eq!(txn.at(DEADLINE_MS + 1).woke(), only([]));
    assert_eq!(txn.reply(0, timeout()), only([]));
    assert_eq!(txn.woke_when_due(), only([call(0, CommitOnePhase, 2)]));
    assert_eq!(txn.reply(0, Reply::Ok), forced([Acknowledged(0), committed(), Finished], []));
}

#[test]
fn before_its_call_the_deadline_holds() {
    let mut txn = Driven::with([alone("a")]);
    assert_eq!(txn.due(), Some(DEADLINE_MS));
    assert_eq!(txn.at(DEADLINE_MS).woke(), forced([aborted(ReasonCode::Deadline), Finished], []));
}

#[test]
fn a_client_cannot_roll_back_what_may_have_committed() {
    let rollback = Event::Requested(Decision::Rollback, None);
    let mut txn = asked();
    assert_eq!(txn.try_step(rollback.clone()), Err(Rejection::OnePhase));
    txn.reply(0, timeout());
    assert_eq!(txn.try_step(rollback.clone()), Err(Rejection::OnePhase));
    assert_eq!(txn.reload(), only([call(0, CommitOnePhase, 1)]));
    assert_eq!(txn.try_step(rollback), Err(Rejection::OnePhase));
    let mut txn = Driven::with([alone("a")]);
    assert_eq!(txn.rollback(), forced([aborted(ReasonCode::Client), Finished], []));
}

#[test]
fn unknown_is_asked_again_for_ever() {
    let mut txn = asked();
    for attempt in 2..200 {
        assert_eq!(txn.reply(0, timeout()), only([]));
        let step = txn.woke_when_due();
        if step.recorded == [Recorded::Stuck] {
            txn.woke_when_due();
        }
        assert_eq!((txn.called(), txn.txn.branches[0].attempts), (vec![0], attempt));
    }
    assert!(txn.txn.stuck);
    assert_eq!(txn.reply(0, no()), forced([Voted(0, Vote::Refused), refused(0, None), Finished], []));
}

#[test]
fn with_several_branches_the_flag_is_ignored() {
    let mut txn = Driven::with([alone("a"), alone("b")]);
    assert_eq!(txn.commit(), forced([preparing()], [call(0, Prepare, 1), call(1, Prepare, 1)]));
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.reply(1, Reply::Ok).effects, [call(0, Commit, 2), call(1, Commit, 2)]);
    let mut txn = Driven::with([alone("a")]);
    txn.join([spec("b")]).expect("joins");
    assert_eq!(txn.commit().effects, [call(0, Prepare, 1), call(1, Prepare, 1)]);
    assert_eq!(txn.rollback().recorded, [aborted(ReasonCode::Client)]);
}

#[test]
fn a_late_second_answer_changes_nothing() {
    let mut txn = asked();
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.message(0, CommitOnePhase, 1, no()), only([]));
    assert_eq!(txn.txn.phase, Phase::Committed);
}

#[test]
fn a_crash_before_the_answer_asks_again() {
    let mut txn = asked();
    assert_eq!(txn.at(DEADLINE_MS * 3).reload(), only([call(0, CommitOnePhase, 1)]));
    assert_eq!(txn.reply(0, Reply::Ok), forced([Acknowledged(0), committed(), Finished], []));
    txn.crash(usize::MAX);
    assert_eq!(txn.txn.phase, Phase::Committed);
}

#[test]
fn one_branch_without_the_flag_votes_first() {
    let mut txn = Driven::begin(["a"]);
    assert_eq!(txn.commit().effects, [call(0, Prepare, 1)]);
    assert_eq!(txn.reply(0, Reply::Ok).effects, [call(0, Commit, 2)]);
    assert_eq!(txn.reply(0, Reply::Ok), lazy([Acknowledged(0), Finished], []));
}
