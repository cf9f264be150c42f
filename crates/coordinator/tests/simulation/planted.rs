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

fn missed(how: &str, flaws: Flaws) -> Vec<Bug> {
    let seeds = env("PLANTED_SEEDS", 200);
    let scenario = |bug| Scenario { bug: Some(bug), flaws, ..Scenario::of(TRANSACTIONS) };
    let seen = |bug: &Bug| hunt(&format!("{bug:?}{how}"), seeds, scenario(*bug)) > 0;
    BUGS.iter().filter(|bug| !seen(bug)).copied().collect()
}

#[test]
fn planted_bugs_are_seen() {
    let missed = missed("", Flaws::default());
    assert!(missed.is_empty(), "not seen: {missed:?}");
}

/// What the direct oracles are worth: the same bugs, looked for in what people outside see and in how everything ends.
/// That a lane takes another body for the same shows nowhere else.
#[test]
fn most_planted_bugs_show_in_the_ends_too() {
    let missed = missed(", ends only", Flaws { blind: true, ..Flaws::default() });
    assert!(missed.iter().all(|bug| *bug == Bug::DigestIgnored), "not seen: {missed:?}");
}
