//! Every schedule of one small transaction, to a depth: two nodes, two branches, one process that crashes or loses its
//! session, one message that is lost, deliveries in any order.
use crate::choices::{Bounds, Choices, Script};
use crate::env;
use crate::world::{Scenario, Small, World};
use std::collections::BTreeMap;
use std::time::Instant;

/// Runs all scripts within the bounds until one violates something: that one.
fn search(bounds: Bounds, scenario: Scenario, mut ran: impl FnMut(&World)) -> Option<World> {
    let trace = std::env::var("TRACE").is_ok();
    let mut next = Some(Script::first(bounds));
    while let Some(script) = next {
        let mut world = World::new(Choices::Scripted(script), scenario, trace);
        world.run();
        ran(&world);
        if world.violation.is_some() {
            return Some(world);
        }
        next = world.choices.script().expect("a script").next(bounds);
    }
    None
}

/// Runs all scripts within the bounds; how many there were.
fn all(name: &str, bounds: Bounds, scenario: Scenario) -> u64 {
    let start = Instant::now();
    let (mut schedules, mut events, mut ends) = (0u64, 0u64, BTreeMap::<String, u64>::new());
    let violated = search(bounds, scenario, |world| {
        schedules += 1;
        events += world.tick;
        for kept in world.store.kept.values() {
            *ends.entry(format!("{:?}", kept.txn.phase)).or_default() += 1;
        }
    });
    if let Some(world) = violated {
        let choices = world.choices.script().map(Script::choices);
        panic!("{name}, schedule {schedules}, {choices:?}: {:?}", world.violation);
    }
    let t = start.elapsed().as_secs_f64();
    println!("{name:32} {schedules:7} schedules, {events:8} events, {ends:?}, {t:.1} s");
    schedules
}

/// The schedule, counted from 1, that shows a flaw first, and the oracle that saw it.
#[cfg(feature = "plant")]
pub(crate) fn first_seen(scenario: Scenario) -> Option<(u64, &'static str)> {
    let mut schedules = 0;
    let bounds = Bounds { deviations: 2, ..FAULTS };
    let world = search(bounds, scenario, |_| schedules += 1)?;
    Some((schedules, world.violation?.oracle))
}

const FAULTS: Bounds = Bounds { choices: usize::MAX, deviations: usize::MAX, crashes: 1, losses: 1, session_ends: 1 };

#[test]
fn every_schedule_that_strays_a_little() {
    let strays = |deviations| Bounds { deviations: env("DEVIATIONS", deviations) as usize, ..FAULTS };
    let small = |small| Scenario { small, ..Scenario::default() };
    let all = all("both say yes", strays(3), small(Small::Yes))
        + all("one says no", strays(2), small(Small::No))
        + all("a rollback comes in between", strays(2), small(Small::Rollback))
        + all("one branch, in one phase", strays(2), small(Small::OnePhase))
        + all("in three requests", strays(2), small(Small::Steps))
        + all("without tombstones, one says no", strays(3), small(Small::Classic));
    assert!(all > 1_000, "{all} schedules are too few to mean anything");
}

#[test]
fn every_schedule_at_first() {
    let bounds = Bounds { choices: env("CHOICES", 14) as usize, ..FAULTS };
    let all = all("both say yes, any first choices", bounds, Scenario::default());
    assert!(all > 1_000, "{all} schedules are too few to mean anything");
}
