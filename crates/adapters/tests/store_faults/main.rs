//! The embedded store on a disk that fails: what it said is there afterwards, whatever went wrong in between.
//!
//! Every choice of a life comes from its seed. SEED and SEEDS say which are lived, TRACE=1 prints every call to the disk.
#![cfg(feature = "embedded")]
mod kept;
mod life;
mod nodes;
#[cfg(feature = "plant")]
mod planted;
mod quota;

use life::{Life, Seen};
use unanim_faulty_disk::Fault;

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn what_was_said_is_there_after_every_fault() {
    let (first, count) = (env("SEED", 0), env("SEEDS", 300));
    let mut seen = Seen::default();
    for seed in first..first + count {
        if let Err(why) = Life::new(seed).live(&mut seen) {
            panic!("SEED={seed} SEEDS=1 TRACE=1 shows it: {why}");
        }
    }
    println!("{seen:#?}");
    if count >= 300 {
        for fault in [Fault::Write, Fault::Flush, Fault::NoRoom, Fault::Quota, Fault::Power] {
            let happened = seen.happened.get(&format!("{fault:?}")).copied().unwrap_or_default();
            assert!(happened >= count / 10, "{fault:?} happened {happened} times");
        }
        let often = [seen.starts_that_failed, seen.starts_after_a_failed_flush, seen.saves, seen.refused_for_room];
        assert!(often.iter().all(|times| *times >= count / 20), "{seen:?}");
    }
}
