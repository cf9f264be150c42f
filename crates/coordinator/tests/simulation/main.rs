//! The two inner rings under simulation: virtual time, a lossy network, a store whose answers get lost, processes that
//! crash between any two outputs, sessions that end without their node knowing.
//!
//! `SEED=7 SEEDS=1 TRACE=1 cargo test -p unanim-coordinator --test simulation every_seed -- --nocapture` prints every
//! input and output of one seed. With `--features plant` the bugs that are planted in the lane are looked for as well.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::disallowed_types,
    reason = "a test reads its settings, tells the time it took, and prints"
)]

mod agenda;
mod answers;
mod choices;
mod clients;
mod ends;
mod exhaustive;
mod nodes;
mod oracles;
mod participants;
#[cfg(feature = "plant")]
mod planted;
mod saves;
mod store;
mod trace;
mod world;
mod worlds;

use choices::Choices;
use std::collections::BTreeMap;
use std::time::Instant;
use world::{Scenario, World};

/// Transactions of one seed.
const TRANSACTIONS: usize = 60;

/// Says which seed an assertion of the lane's own failed in.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("in seed {}", self.0);
        }
    }
}

pub(crate) fn run(seed: u64, scenario: Scenario) -> World {
    let trace = std::env::var("TRACE").is_ok();
    let mut world = World::new(Choices::seeded(seed), scenario, trace);
    world.run();
    world
}

pub(crate) fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [1, 42] {
        let scenario = Scenario { transcript: true, ..Scenario::of(TRANSACTIONS) };
        let (first, again) = (run(seed, scenario), run(seed, scenario));
        assert_eq!((first.transcript, &first.figures), (again.transcript, &again.figures), "seed {seed}");
        assert_ne!(first.transcript, run(seed + 1, scenario).transcript);
    }
}

#[test]
fn every_seed_keeps_every_promise() {
    let (from, seeds) = (env("SEED", 0), env("SEEDS", 1_000));
    let start = Instant::now();
    let mut figures = BTreeMap::<&str, u64>::new();
    let mut ends = BTreeMap::<String, u64>::new();
    for seed in from..from + seeds {
        let named = Named(seed);
        let world = run(seed, Scenario::of(TRANSACTIONS));
        drop(named);
        assert!(world.violation.is_none(), "seed {seed}: {:?}", world.violation);
        world.figures.iter().for_each(|(what, n)| *figures.entry(what).or_default() += n);
        for kept in world.store.kept.values() {
            let one_phase = if kept.txn.one_phase() { " in one phase" } else { "" };
            let why = kept.txn.reason.as_ref().map_or(String::new(), |r| format!(" ({:?})", r.code));
            *ends.entry(format!("{:?}{one_phase}{why}", kept.txn.phase)).or_default() += 1;
            *ends.entry("stuck once".into()).or_default() += u64::from(kept.was_stuck);
            let resolved = kept.txn.branches.iter().any(|branch| branch.resolution.is_some());
            *figures.entry("resolved").or_default() += u64::from(resolved);
            let decided = resolved && kept.txn.one_phase();
            *figures.entry("resolved in one phase").or_default() += u64::from(decided);
            *ends.entry("with a heuristic".into()).or_default() += u64::from(kept.txn.heuristic().is_some());
        }
    }
    let t = start.elapsed().as_secs_f64();
    println!("{seeds} seeds in {t:.1} s, {:.0} inputs/s", figures["inputs"] as f64 / t);
    println!("{figures:#?}\n{ends:#?}");
    if seeds >= 1_000 {
        EVERYTHING.iter().for_each(|what| assert!(figures.get(what) > Some(&0), "no seed has: {what}"));
    }
}

/// What a thousand seeds must have seen, so that their silence means something.
const EVERYTHING: &[&str] = &[
    "crashes",
    "ended by an inquiry",
    "fenced saves",
    "finished on its own",
    "full batches",
    "gone",
    "history: all",
    "history: more",
    "inquiry: decided",
    "inquiry: undecided",
    "listed",
    "lost save answers",
    "refused: already decided",
    "refused: branch conflict",
    "refused: branch ended",
    "refused: closed",
    "refused: gid conflict",
    "refused: loading",
    "refused: no branches",
    "refused: no such branch",
    "refused: not admitted",
    "refused: not decided",
    "refused: not found",
    "refused: payload too large",
    "refused: too many branches",
    "refused: too many open",
    "refused: unavailable",
    "replies: stale fence",
    "resolved",
    "resolved in one phase",
    "slices",
    "takeovers",
    "told: aborted",
    "told: committed",
    "told: open",
    "turns with a line",
    "zombies",
];
