//! The machine's clock keeps what every clock keeps, and starts where the machine's stands.
use std::time::{SystemTime, UNIX_EPOCH};
use unanim_node::ports::Clock;
use unanim_node::{SystemClock, conformance};

#[test]
fn keeps_what_every_clock_keeps() {
    conformance::clock::suite(&SystemClock::start());
}

#[test]
fn starts_where_the_machines_clock_stands() {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    let now = SystemClock::start().now().0;
    assert!(now.abs_diff(wall) < 1_000, "{now} against {wall}");
}
