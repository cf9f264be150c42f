//! Bugs planted in the store: each must be seen.
use crate::env;
use crate::life::{Life, Seen};
use unanim_adapters::store::embedded::Bug;

const BUGS: &[Bug] =
    &[Bug::SynchronousOff, Bug::StartTrustsLog, Bug::StartForgetsNames, Bug::FlushTriedAgain, Bug::RewritesNoLog];

#[test]
fn planted_bugs_are_seen() {
    let seeds = env("PLANTED_SEEDS", 1000);
    let seen = |bug: Bug| {
        (0..seeds).find_map(|seed| {
            let mut life = Life::new(seed);
            life.bug = Some(bug);
            life.live(&mut Seen::default()).err().map(|why| (seed, why))
        })
    };
    let mut missed = Vec::new();
    for bug in BUGS {
        let by = seen(*bug);
        println!("{:20} {by:?}", format!("{bug:?}"));
        if by.is_none() {
            missed.push(bug);
        }
    }
    assert!(missed.is_empty(), "not seen: {missed:?}");
}
