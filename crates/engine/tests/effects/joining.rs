//! Branches join while a transaction is active: all that are named in one event, or none.
use crate::driven::{DEADLINE_MS, Driven, LIMITS, aborted, body, call, called, forced, only, spec};
use std::sync::Arc;
use unanim_engine::Op::Prepare;
use unanim_engine::Recorded::{BranchAdded, Finished};
use unanim_engine::{BranchId, BranchSpec, Dialect, Phase, ReasonCode, Rejection, Reply, Transaction};

fn id(id: &str) -> BranchId {
    BranchId::new(id).expect("a name")
}

fn added(spec: BranchSpec) -> unanim_engine::Recorded {
    BranchAdded(Arc::new(spec))
}

fn with_payload(id: &str, bytes: usize) -> BranchSpec {
    let mut spec = spec(id);
    spec.payload = Some(vec![b'x'; bytes].into());
    spec
}

#[test]
fn branches_join_and_are_asked() {
    let mut txn = Driven::begin([]);
    assert_eq!(txn.join([spec("a")]), Ok(forced([added(spec("a"))], [])));
    assert_eq!(txn.join([spec("b"), spec("c")]), Ok(forced([added(spec("b")), added(spec("c"))], [])));
    assert_eq!(txn.commit().effects, [call(0, Prepare, 1), call(1, Prepare, 1), call(2, Prepare, 1)]);
    assert_eq!(txn.txn.find(&id("c")), Some(2));
    assert_eq!(txn.txn.find(&id("d")), None);
}

#[test]
fn the_same_branch_again_is_the_same_branch() {
    let mut txn = Driven::begin(["a"]);
    assert_eq!(txn.join([spec("a")]), Ok(only([])));
    assert_eq!(txn.join([spec("b"), spec("a"), spec("b")]), Ok(forced([added(spec("b"))], [])));
    txn.commit();
    assert_eq!(txn.join([spec("b")]), Ok(only([])), "in any phase");
    (0..2).for_each(|branch| drop(txn.reply(branch, Reply::Ok)));
    assert_eq!(txn.join([spec("b"), spec("a")]), Ok(only([])));
    (0..2).for_each(|branch| drop(txn.reply(branch, Reply::Ok)));
    assert_eq!(txn.join([spec("b")]), Ok(only([])));
}

#[test]
fn another_branch_of_the_same_name_conflicts_and_none_joins() {
    let mut txn = Driven::begin(["a"]);
    let other = |id| called(spec(id), |callee| callee.dialect = Dialect::Classic);
    assert_eq!(txn.join([spec("b"), other("a")]), Err(Rejection::BranchConflict(id("a"))));
    assert_eq!(txn.join([spec("b"), other("b")]), Err(Rejection::BranchConflict(id("b"))));
    assert_eq!(txn.txn.branches.len(), 1);
    txn.commit();
    assert_eq!(txn.join([other("a")]), Err(Rejection::BranchConflict(id("a"))));
}

#[test]
fn where_both_have_digests_these_alone_tell_whether_two_are_the_same() {
    let with = |digest, timeout| called(spec("a"), |callee| callee.call_timeout_ms = timeout).with_digest([digest; 32]);
    let mut txn = Driven::with([with(1, 10)]);
    assert_eq!(txn.join([with(1, 20)]), Ok(only([])), "a default may have changed since");
    assert_eq!(txn.join([with(2, 10)]), Err(Rejection::BranchConflict(id("a"))));
}

#[test]
fn a_digest_that_only_one_has_tells_nothing() {
    let (plain, named) = (spec("a"), spec("a").with_digest([1; 32]));
    for (first, again) in [(&plain, &named), (&named, &plain)] {
        let mut txn = Driven::with([first.clone()]);
        assert_eq!(txn.join([again.clone()]), Ok(only([])));
        let other = called(again.clone(), |callee| callee.call_timeout_ms += 1);
        assert_eq!(txn.join([other]), Err(Rejection::BranchConflict(id("a"))));
    }
}

#[test]
fn after_active_nobody_joins() {
    let mut txn = Driven::preparing(["a"]);
    assert_eq!(txn.join([spec("b")]), Err(Rejection::Closed(Phase::Preparing)));
    assert_eq!(txn.join([spec("a"), spec("b")]), Err(Rejection::Closed(Phase::Preparing)));
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.join([spec("b")]), Err(Rejection::Closed(Phase::Committing)));
    txn.reply(0, Reply::Ok);
    assert_eq!(txn.join([spec("b")]), Err(Rejection::Closed(Phase::Committed)));
    let mut txn = Driven::begin(["a"]);
    txn.rollback();
    assert_eq!(txn.join([spec("b")]), Err(Rejection::Closed(Phase::Aborted)));
    assert_eq!(txn.txn.branches.len(), 1);
}

#[test]
fn the_number_of_branches_is_bounded() {
    let many = |from, to| (from..to).map(|i| spec(&format!("b{i}"))).collect::<Vec<_>>();
    let max = LIMITS.branches_max;
    let mut txn = Driven::with(many(0, max - 1));
    assert_eq!(txn.join(many(max - 1, max + 1)), Err(Rejection::TooManyBranches(max)));
    assert_eq!(txn.txn.branches.len(), max - 1);
    txn.join(many(max - 1, max)).expect("just as many as may be");
    assert_eq!(txn.join(many(max, max + 1)), Err(Rejection::TooManyBranches(max)));
    assert_eq!(txn.join(many(0, max)), Ok(only([])), "known ones take no more room");
    let full = Transaction::begin(&body(many(0, max + 1)), &LIMITS);
    assert_eq!(full.err(), Some(Rejection::TooManyBranches(max)));
}

#[test]
fn payloads_are_bounded() {
    let max = LIMITS.payload_bytes_max;
    let mut txn = Driven::with([with_payload("a", max)]);
    let too_large = |name| Rejection::PayloadTooLarge(id(name), max);
    assert_eq!(txn.join([spec("c"), with_payload("b", max + 1)]), Err(too_large("b")));
    txn.join([with_payload("b", max)]).expect("just as large as may be");
    let begun = Transaction::begin(&body([with_payload("a", max + 1)]), &LIMITS);
    assert_eq!(begun.err(), Some(too_large("a")));
}

#[test]
fn a_begin_names_each_branch_once() {
    for (ids, twice) in [(&["a", "a"][..], "a"), (&["a", "b", "a"], "a"), (&["a", "b", "b", "c"], "b")] {
        let begun = Transaction::begin(&body(ids.iter().copied().map(spec)), &LIMITS);
        assert_eq!(begun.err(), Some(Rejection::BranchConflict(id(twice))), "{ids:?}");
    }
}

#[test]
fn names_are_found_whether_indexed_or_not() {
    for begun in [0, 1, 15, 16, 17, 18, 30] {
        let mut txn = Driven::with((0..begun).map(|i| spec(&format!("b{i}"))));
        for i in begun..35 {
            txn.join([spec(&format!("b{i}"))]).expect("joins");
            assert_eq!(txn.join([spec(&format!("b{}", i / 2))]), Ok(only([])));
        }
        (0..35).for_each(|i| assert_eq!(txn.txn.find(&id(&format!("b{i}"))), Some(i)));
    }
}

#[test]
fn one_that_joins_after_the_deadline_joins_an_aborted_transaction() {
    let mut txn = Driven::begin(["a"]);
    let step = txn.at(DEADLINE_MS).join([spec("b")]);
    let recorded = [added(spec("b")), aborted(ReasonCode::Deadline), Finished];
    assert_eq!(step, Ok(forced(recorded, [])), "nobody was asked, so nobody is told");
}
