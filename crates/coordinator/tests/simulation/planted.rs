//! Bugs planted in the lane: each must be seen.
use crate::exhaustive::first_seen;
use crate::world::{Flaws, Scenario, Small};
use crate::worlds::{hunt, quietly};
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
/// That a lane takes another body for the same shows nowhere else, and where a rollback overtakes a prepare tombstones
/// mostly make up for it.
#[test]
fn most_planted_bugs_show_in_the_ends_too() {
    let missed = missed(", ends only", Flaws { blind: true, ..Flaws::default() });
    let excused = |bug: &Bug| matches!(bug, Bug::DigestIgnored | Bug::OvertakeInFlight);
    assert!(missed.iter().all(excused), "not seen: {missed:?}");
}

/// The small transaction's schedules are enough for most of them.
#[test]
fn the_exhaustive_run_sees_most_of_them() {
    let smalls = [Small::Yes, Small::No, Small::Rollback, Small::Steps];
    let mut seen = 0;
    for bug in BUGS {
        let scenario = |small| Scenario { bug: Some(*bug), small, ..Scenario::default() };
        let see =
            |small| quietly(|| first_seen(scenario(small))).unwrap_or(Some((0, "an assertion"))).map(|by| (small, by));
        let by = smalls.into_iter().find_map(see);
        println!("{:24} {by:?}", format!("{bug:?}"));
        seen += usize::from(by.is_some());
    }
    assert!(seen >= 8, "only {seen} seen");
}
