//! Bugs planted in the lane: each must be seen.
use crate::world::{Flaws, Scenario};
use crate::worlds::hunt;
use crate::{TRANSACTIONS, env};
use unanim_coordinator::Bug;

const BUGS: &[Bug] = &[
    Bug::ActBeforeSave,
    Bug::AbortLazy,
    Bug::VotesSurviveCrash,
    Bug::PresumeFromMemory,
    Bug::DropWaiters,
    Bug::OvertakeInFlight,
    Bug::ReadUnsaved,
    Bug::NoFindQueue,
    Bug::LazyOutrunsForced,
    Bug::ForgetUnsaved,
    Bug::UnknownIsYes,
    Bug::RefusalIsDone,
    Bug::LineLeaks,
    Bug::DigestIgnored,
];

#[test]
fn planted_bugs_are_seen() {
    let seeds = env("PLANTED_SEEDS", 200);
    let scenario = |bug| Scenario { bug: Some(bug), ..Scenario::of(TRANSACTIONS) };
    let missed: Vec<_> = BUGS.iter().filter(|bug| hunt(&format!("{bug:?}"), seeds, scenario(**bug)) == 0).collect();
    assert!(missed.is_empty(), "not seen: {missed:?}");
}

/// What the direct oracles are worth: the same bugs, looked for in what people outside see and in how everything ends.
#[test]
fn what_the_ends_alone_show() {
    let seeds = env("PLANTED_SEEDS", 200);
    for bug in BUGS {
        let flaws = Flaws { blind: true, ..Flaws::default() };
        hunt(&format!("{bug:?}, ends only"), seeds, Scenario { bug: Some(*bug), flaws, ..Scenario::of(TRANSACTIONS) });
    }
}
