//! Prometheus' text format.
use std::fmt::{Display, Write};
use unanim_coordinator::{Bounds, Histogram};

/// A page that grows.
pub(super) struct Page(String);

impl Default for Page {
    fn default() -> Page {
        Page(String::with_capacity(16 << 10))
    }
}

impl Page {
    /// A metric's head; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) -> &mut Page {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self
    }

    /// One sample.
    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            _ => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    /// A metric with one sample.
    pub(super) fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(name, "", value);
    }

    /// The samples of a histogram whose values are so many to a unit.
    pub(super) fn histogram(&mut self, name: &str, labels: &str, bounds: &Bounds, per_unit: f64, of: &Histogram) {
        let (gap, bucket) = (if labels.is_empty() { "" } else { "," }, format!("{name}_bucket"));
        let mut sum = 0;
        for (bound, count) in bounds.iter().zip(of.counts) {
            sum += count;
            self.sample(&bucket, &format!("{labels}{gap}le=\"{}\"", *bound as f64 / per_unit), sum);
        }
        self.sample(&bucket, &format!("{labels}{gap}le=\"+Inf\""), of.count);
        self.sample(&format!("{name}_sum"), labels, of.sum as f64 / per_unit);
        self.sample(&format!("{name}_count"), labels, of.count);
    }

    /// All of it.
    pub(super) fn text(self) -> String {
        self.0
    }
}

/// A text between the quotes of a label.
pub(super) fn label_value(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
