//! What the lane needs of the world around it, and what it could do without.
use crate::world::{Flaws, Scenario};
use crate::{TRANSACTIONS, env, run};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// An assertion that sees a bug is no news.
    static HUNTING: Cell<bool> = const { Cell::new(false) };
}

/// Runs something that may panic; what it gives otherwise.
pub(crate) fn quietly<T>(run: impl FnOnce() -> T) -> Option<T> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |info| {
            if !HUNTING.get() {
                loud(info);
            }
        }));
    });
    HUNTING.set(true);
    let ran = catch_unwind(AssertUnwindSafe(run)).ok();
    HUNTING.set(false);
    ran
}

/// In how many of the seeds something was seen, by which oracle first, and where.
pub(crate) fn hunt(name: &str, seeds: u64, scenario: Scenario) -> u64 {
    let mut by = BTreeMap::<&str, (u64, u64)>::new();
    for seed in 0..seeds {
        let violation = quietly(|| run(seed, scenario).violation.map(|v| v.oracle)).unwrap_or(Some("an assertion"));
        if let Some(oracle) = violation {
            by.entry(oracle).or_insert((0, seed)).0 += 1;
        }
    }
    let caught = by.values().map(|(n, _)| n).sum();
    println!("{name:56} {caught:4}/{seeds} {by:?}");
    caught
}

fn with(flaws: Flaws) -> Scenario {
    Scenario { flaws, ..Scenario::of(TRANSACTIONS) }
}

#[test]
fn a_flawed_world_is_seen() {
    let w = Flaws::default();
    let worlds = [
        ("the store takes a stale fence", Flaws { store_takes_stale: true, ..w }),
        ("a live session's ownership is taken", Flaws { claim_steals: true, ..w }),
        ("look-ups read what is stale", Flaws { stale_find: true, ..w }),
        ("loading leaves out what is preparing", Flaws { load_skips_preparing: true, ..w }),
        (
            "neither tombstones, fences nor inquiries",
            Flaws { no_tombstone: true, no_fence: true, no_inquiry: true, ..w },
        ),
        ("a one-phase no is forgotten", Flaws { one_phase_forgets_no: true, ..w }),
        ("calls without tombstones come twice and late", Flaws { classic_repeats: true, ..w }),
    ];
    let seeds = env("PLANTED_SEEDS", 200);
    let missed: Vec<_> = worlds.into_iter().filter(|(name, flaws)| hunt(name, seeds, with(*flaws)) == 0).collect();
    assert!(missed.is_empty(), "not seen: {missed:?}");
}

#[test]
fn the_rules_could_do_without() {
    let w = Flaws::default();
    let worlds = [
        ("fences at participants that keep tombstones", Flaws { no_fence: true, ..w }),
        ("an owner for inquiries: anyone may read the store", Flaws { anyone_reads: true, ..w }),
        ("both", Flaws { no_fence: true, anyone_reads: true, ..w }),
        ("inquiries, since calls are repeated", Flaws { no_inquiry: true, ..w }),
    ];
    let seeds = env("PLANTED_SEEDS", 200);
    let needed: Vec<_> = worlds.into_iter().filter(|(name, flaws)| hunt(name, seeds, with(*flaws)) > 0).collect();
    assert!(needed.is_empty(), "needed after all: {needed:?}");
}
