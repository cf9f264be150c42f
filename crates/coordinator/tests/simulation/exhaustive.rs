//! Every schedule of one small transaction, to a depth: two nodes, two branches, one process that crashes or loses its
//! session, one message that is lost, deliveries in any order.
use crate::choices::{Bounds, Choices, Script};
use crate::env;
use crate::world::{Scenario, World};
use std::collections::BTreeMap;
use std::time::Instant;

/// Runs all scripts within the bounds; how many there were.
fn all(name: &str, bounds: Bounds, scenario: Scenario) -> u64 {
    let start = Instant::now();
    let (mut schedules, mut events, mut ends) = (0u64, 0u64, BTreeMap::<String, u64>::new());
    let mut script = Script::first(bounds);
    loop {
        let mut world = World::new(Choices::Scripted(script.clone()), scenario, std::env::var("TRACE").is_ok());
        world.run();
        schedules += 1;
        events += world.tick;
        let ran = world.choices.script().expect("a script");
        assert!(world.violation.is_none(), "{name}, {:?}: {:?}", ran.choices(), world.violation);
        for kept in world.store.kept.values() {
            *ends.entry(format!("{:?}", kept.txn.phase)).or_default() += 1;
        }
        match ran.next(bounds) {
            Some(next) => script = next,
            None => break,
        }
    }
    let t = start.elapsed().as_secs_f64();
    println!("{name:40} {schedules:8} schedules, {events} events, {ends:?}, {t:.1} s");
    schedules
}

const FAULTS: Bounds = Bounds { choices: usize::MAX, deviations: usize::MAX, crashes: 1, losses: 1, session_ends: 1 };

#[test]
fn every_schedule_that_strays_a_little() {
    let strays = |deviations| Bounds { deviations: env("DEVIATIONS", deviations) as usize, ..FAULTS };
    let plain = Scenario::default();
    let all = all("both say yes", strays(3), plain)
        + all("one says no", strays(2), Scenario { refuses: true, ..plain })
        + all("a rollback comes in between", strays(2), Scenario { rollback: true, ..plain });
    assert!(all > 1_000, "{all} schedules are too few to mean anything");
}

#[test]
fn every_schedule_at_first() {
    let bounds = Bounds { choices: env("CHOICES", 14) as usize, ..FAULTS };
    let all = all("both say yes, any first choices", bounds, Scenario::default());
    assert!(all > 1_000, "{all} schedules are too few to mean anything");
}
