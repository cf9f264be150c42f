//! Random events, in any order and at any time: everything that [`Driven`] holds a step against, and that all ends.
use crate::driven::{BEGIN, Driven, called, spec, timeout};
use proptest::prelude::*;
use unanim_engine::{
    BranchId, BranchSpec, Decision, Dialect, Event, Failure, Heuristic, Op, Outcome, Phase, Reply, Resolution,
    RetryOverride, Vote,
};

#[derive(Clone, Debug)]
enum Act {
    /// One of the calls under way ends.
    Replied(prop::sample::Index, Reply),
    /// A message that may fit nothing.
    Message(u32, Op, u32, Reply),
    Commit(Option<u64>),
    Rollback,
    Join(u8, bool),
    Woke,
    WokeWhenDue,
    Retried,
    Resolve(u8, Outcome),
    Later(u64),
    /// The clock is set back.
    Earlier(u64),
    /// A crash keeps what some prefix of the steps recorded, or all.
    Crash(Option<prop::sample::Index>),
}

fn reply() -> impl Strategy<Value = Reply> {
    let retry_after = prop_oneof![3 => Just(0), 1 => 0..400_000u64];
    let heuristic = prop::sample::select(vec![Heuristic::Commit, Heuristic::Rollback, Heuristic::Mixed]);
    prop_oneof![
        8 => Just(Reply::Ok),
        2 => Just(Reply::ReadOnly),
        2 => Just(Reply::Refused(None)),
        1 => Just(Reply::Refused(Some("no".into()))),
        1 => heuristic.prop_map(Reply::Heuristic),
        2 => retry_after.clone().prop_map(|retry_after_ms| Reply::Ongoing { retry_after_ms }),
        3 => retry_after.prop_map(|retry_after_ms| Reply::Unknown { failure: Failure::Status(503), retry_after_ms }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let op = prop::sample::select(vec![Op::Prepare, Op::Commit, Op::Rollback, Op::CommitOnePhase]);
    prop_oneof![
        12 => (any::<prop::sample::Index>(), reply()).prop_map(|(i, r)| Act::Replied(i, r)),
        2 => (0..6u32, op, 0..4u32, reply()).prop_map(|(b, o, a, r)| Act::Message(b, o, a, r)),
        2 => prop::option::weighted(0.2, 0..100_000u64).prop_map(Act::Commit),
        1 => Just(Act::Rollback),
        2 => (0..8u8, any::<bool>()).prop_map(|(name, other)| Act::Join(name, other)),
        1 => Just(Act::Woke),
        4 => Just(Act::WokeWhenDue),
        1 => Just(Act::Retried),
        1 => (0..5u8, prop::sample::select(vec![Outcome::Committed, Outcome::Aborted]))
            .prop_map(|(name, outcome)| Act::Resolve(name, outcome)),
        2 => (0..90_000u64).prop_map(Act::Later),
        1 => (0..5_000u64).prop_map(Act::Earlier),
        2 => prop::option::of(any::<prop::sample::Index>()).prop_map(Act::Crash),
    ]
}

fn branch() -> impl Strategy<Value = (bool, bool, Option<u32>)> {
    (any::<bool>(), any::<bool>(), prop::option::of(0..5_000u32))
}

fn branch_spec(number: usize, (classic, one_phase, first_ms): (bool, bool, Option<u32>)) -> BranchSpec {
    called(spec(&format!("b{number}")), |callee| {
        callee.dialect = if classic { Dialect::Classic } else { Dialect::V1 };
        callee.retry = first_ms.map(|first_ms| Box::new(RetryOverride { first_ms: Some(first_ms), max_ms: None }));
        callee.one_phase = one_phase;
    })
}

fn apply(txn: &mut Driven, act: Act, steps: &mut usize) {
    let event = match act {
        Act::Replied(index, reply) => {
            let called = txn.called();
            if called.is_empty() {
                return;
            }
            *steps += 1;
            txn.reply(*index.get(&called), reply);
            return;
        }
        Act::Message(branch, op, attempt, reply) => Event::Replied { branch, op, attempt, reply },
        Act::Commit(deadline) => Event::Requested(Decision::Commit, deadline.map(|ms| BEGIN.after(ms))),
        Act::Rollback => Event::Requested(Decision::Rollback, None),
        Act::Join(name, other) => {
            let dialect = if other { Dialect::Classic } else { Dialect::V1 };
            Event::Joined(vec![called(spec(&format!("b{name}")), |callee| callee.dialect = dialect).into()])
        }
        Act::Woke => Event::Woke,
        Act::Retried => Event::Retried,
        Act::Resolve(name, outcome) => {
            let id = BranchId::new(&format!("b{name}")).expect("a name");
            Event::Resolved(id, Resolution::new(outcome, None, Some("ops")).expect("short enough"))
        }
        Act::WokeWhenDue => match txn.due() {
            None => return,
            Some(ms) => {
                txn.now = txn.now.max(BEGIN.after(ms));
                Event::Woke
            }
        },
        Act::Later(ms) => {
            txn.now = txn.now.after(ms);
            return;
        }
        Act::Earlier(ms) => {
            txn.now.0 = (txn.now.0 - ms).max(BEGIN.0);
            return;
        }
        Act::Crash(kept) => {
            txn.crash(kept.map_or(usize::MAX, |index| index.index(*steps + 1)));
            Event::Woke
        }
    };
    // A rejection is as good as any: it must only change nothing, which the step itself checks.
    *steps += usize::from(txn.try_step(event).is_ok());
}

/// Once nothing fails any more, everything ends: as it was decided, and otherwise by votes or at the deadline.
fn ends(txn: &mut Driven) {
    let decided = txn.txn.outcome();
    for _ in 0..200 {
        if txn.txn.finished() {
            break;
        }
        match txn.called().first() {
            Some(branch) => drop(txn.reply(*branch, Reply::Ok)),
            None => drop(txn.woke_when_due()),
        }
    }
    assert!(txn.txn.finished(), "{:?}", txn.txn);
    assert!(decided.is_none() || decided == txn.txn.outcome());
    let refused = txn.txn.branches.iter().any(|b| b.vote == Some(Vote::Refused));
    match txn.txn.outcome().expect("ended") {
        Outcome::Committed => {
            assert!(!refused && txn.txn.reason.is_none() && !txn.txn.branches.is_empty());
            assert!(
                txn.txn.branches.iter().all(|b| b.done || b.resolution.is_some() || b.vote == Some(Vote::ReadOnly))
            );
        }
        Outcome::Aborted => assert!(txn.txn.reason.is_some()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_step_is_sound_and_everything_ends(
        branches in prop::collection::vec(branch(), 0..5),
        commits in any::<bool>(),
        acts in prop::collection::vec(act(), 0..60),
    ) {
        let mut txn = Driven::with(branches.into_iter().enumerate().map(|(i, b)| branch_spec(i, b)));
        let mut steps = 0;
        if commits && !txn.txn.branches.is_empty() {
            txn.commit();
            steps += 1;
        }
        acts.into_iter().for_each(|act| apply(&mut txn, act, &mut steps));
        ends(&mut txn);
    }

    /// The same with more branches than are looked through one by one.
    #[test]
    fn many_branches_are_sound(replies in prop::collection::vec(reply(), 0..80), crash in any::<prop::sample::Index>()) {
        let mut txn = Driven::with((0..20).map(|i| spec(&format!("b{i}"))));
        txn.commit();
        let crash = crash.index(80);
        for (i, reply) in replies.into_iter().enumerate() {
            if i == crash {
                txn.crash(crash / 2);
                txn.woke();
            }
            let called = txn.called();
            match called.get(i % called.len().max(1)) {
                Some(branch) => drop(txn.reply(*branch, reply)),
                None if txn.txn.finished() => break,
                None => drop(txn.woke_when_due()),
            }
        }
        ends(&mut txn);
    }
}

#[test]
fn a_run_without_any_fault_commits() {
    let mut txn = Driven::begin(["a", "b", "c"]);
    txn.commit();
    ends(&mut txn);
    assert_eq!(txn.txn.phase, Phase::Committed);
    let mut txn = Driven::preparing(["a", "b"]);
    txn.reply(0, timeout());
    ends(&mut txn);
    assert_eq!(txn.txn.phase, Phase::Committed);
}
