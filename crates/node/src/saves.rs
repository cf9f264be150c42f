//! What is counted of saves.
use std::cell::Cell;
use std::time::Duration;
use unanim_coordinator::{Bounds, Histogram};

/// Bounds of how many records a batch has.
pub const BATCH_RECORDS: Bounds = [1, 2, 3, 5, 8, 12, 20, 32, 48, 64, 96, 127, 256, 512];
/// Bounds of how long a save takes, in microseconds.
pub const SAVE_MICROS: Bounds =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000];

/// Of the saves since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaveFigures {
    /// Records of a batch.
    pub records: Histogram,
    /// Microseconds from handing a batch to the store to knowing that it is durable.
    pub micros: Histogram,
}

/// Counts saves.
#[derive(Default)]
pub(crate) struct Saves(Cell<SaveFigures>);

impl Saves {
    pub(crate) fn add(&self, records: usize, took: Duration) {
        let mut figures = self.0.get();
        figures.records.add(&BATCH_RECORDS, records as u64);
        figures.micros.add(&SAVE_MICROS, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.0.set(figures);
    }

    pub(crate) fn figures(&self) -> SaveFigures {
        self.0.get()
    }
}
