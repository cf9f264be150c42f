//! The result of a run, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::Door;
use super::load::{Outcome, Plan};

const SAMPLES_MAX: usize = 5;

/// One JSON object; times are in microseconds.
pub(super) fn json(plan: &Plan, outcome: &Outcome) -> Value {
    let errors: u64 = outcome.errors.values().sum();
    let samples: Vec<_> = outcome.errors.keys().take(SAMPLES_MAX).collect();
    let at = |quantile| outcome.latency.value_at_quantile(quantile);
    json!({
        "door": name(plan.door), "clients": plan.clients, "seconds": outcome.window.as_secs_f64(),
        "transactions": outcome.latency.len(), "throughput": throughput(outcome),
        "p50_us": at(0.5), "p90_us": at(0.9), "p99_us": at(0.99), "max_us": outcome.latency.max(),
        "errors": errors, "error_samples": samples, "cpu_us_per_transaction": cpu_us(outcome),
    })
}

/// A few lines.
pub(super) fn text(plan: &Plan, outcome: &Outcome) -> String {
    let mut out = String::new();
    let at = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1000.0;
    let (door, window) = (name(plan.door), outcome.window.as_secs_f64());
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{door} door, {} clients, {window:.1} s: {} committed", plan.clients, outcome.latency.len());
    let _ = writeln!(out, "  throughput  {:.0} transactions/s", throughput(outcome));
    let _ = writeln!(
        out,
        "  latency     p50 {:.2} ms   p90 {:.2} ms   p99 {:.2} ms   max {:.2} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    if let Some((pid, cpu)) = plan.pid.zip(cpu_us(outcome)) {
        let _ = writeln!(out, "  CPU         {cpu:.1} µs per transaction, in process {pid}");
    }
    let _ = writeln!(out, "  errors      {}", outcome.errors.values().sum::<u64>());
    for (error, times) in outcome.errors.iter().take(SAMPLES_MAX) {
        let _ = writeln!(out, "    {times} × {error}");
    }
    out
}

fn name(door: Door) -> &'static str {
    match door {
        Door::V1 => "v1",
        Door::Classic => "classic",
    }
}

fn throughput(outcome: &Outcome) -> f64 {
    outcome.latency.len() as f64 / outcome.window.as_secs_f64()
}

fn cpu_us(outcome: &Outcome) -> Option<f64> {
    let transactions = outcome.latency.len();
    outcome.cpu.filter(|_| transactions > 0).map(|cpu| cpu.as_secs_f64() * 1e6 / transactions as f64)
}
