//! What a person is to know. When a participant is down, a hundred thousand transactions may be stuck at once.
use tokio::time::{Duration, Instant};
use unanim_coordinator::Alert;
use unanim_engine::{BranchId, Gid};

/// So many stuck transactions are named in a span; of the others their number is told at its end.
const NAMED_MAX: u32 = 20;
const SPAN: Duration = Duration::from_secs(1);

/// Logs alerts.
pub(crate) struct Alerts {
    span_ends: Instant,
    named: u32,
    unnamed: u64,
}

impl Alerts {
    pub(crate) fn new() -> Alerts {
        Alerts { span_ends: Instant::now() + SPAN, named: 0, unnamed: 0 }
    }

    pub(crate) fn tell(&mut self, gid: &Gid, alert: Alert) {
        match alert {
            Alert::Stuck { phase, first, count } if self.named < NAMED_MAX => {
                self.named += 1;
                let branches = first.iter().map(BranchId::as_str).collect::<Vec<_>>().join(", ");
                tracing::warn!(%gid, ?phase, branches, count, "stuck: open in one phase for too long, and asked on");
            }
            Alert::Stuck { .. } => self.unnamed += 1,
            Alert::Heuristic(branch, how) => {
                tracing::warn!(%gid, %branch, ?how, "a participant finished on its own, or a person resolved its branch against the decision: compare the books");
            }
        }
    }

    /// To be called now and then.
    pub(crate) fn sum_up(&mut self, now: Instant) {
        if now < self.span_ends {
            return;
        }
        let unnamed = std::mem::take(&mut self.unnamed);
        (self.span_ends, self.named) = (now + SPAN, 0);
        if unnamed > 0 {
            tracing::warn!(transactions = unnamed, "stuck, as those named before: `unanim tx list --stuck` lists them");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unanim_engine::Phase;

    #[test]
    fn a_flood_of_stuck_ones_is_named_in_part_and_counted_whole() {
        let mut alerts = Alerts::new();
        let gid = Gid::new("order-17").expect("a gid");
        let stuck = Alert::Stuck { phase: Phase::Preparing, first: Vec::new(), count: 0 };
        (0..50).for_each(|_| alerts.tell(&gid, stuck.clone()));
        assert_eq!((alerts.named, alerts.unnamed), (NAMED_MAX, 50 - u64::from(NAMED_MAX)));
        alerts.sum_up(alerts.span_ends - Duration::from_millis(1));
        assert_ne!(alerts.unnamed, 0, "the span is not over");
        alerts.sum_up(alerts.span_ends);
        assert_eq!((alerts.named, alerts.unnamed), (0, 0));
    }
}
