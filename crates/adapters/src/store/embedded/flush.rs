//! How long this disk takes for a flush, and what follows from it.
use super::CommitMode;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

const FLUSHES_MAX: usize = 32;
const MEASURED_FOR_MAX: Duration = Duration::from_millis(10);
/// Below this a hop to another thread and back costs more than waiting for the disk.
const INLINE_BELOW: Duration = Duration::from_micros(500);

/// Where commits are made: as wished, or by the median of a few flushes in this folder.
pub(super) fn choose(wished: CommitMode, dir: &Path) -> io::Result<CommitMode> {
    if wished != CommitMode::Auto {
        return Ok(wished);
    }
    let mut flushes = measure(dir)?;
    flushes.sort_unstable();
    let median = flushes[flushes.len() / 2];
    let chosen = if median < INLINE_BELOW { CommitMode::Inline } else { CommitMode::Thread };
    tracing::info!(commit = %chosen, flush_micros = median.as_micros() as u64, flushes = flushes.len(), "measured the disk's flush");
    Ok(chosen)
}

/// At least one.
fn measure(dir: &Path) -> io::Result<Vec<Duration>> {
    let path = dir.join("flush-probe");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    let measured = (|| {
        let block = [0x55; 4096];
        let began = Instant::now();
        let mut flushes = Vec::with_capacity(FLUSHES_MAX);
        while flushes.is_empty() || (flushes.len() < FLUSHES_MAX && began.elapsed() < MEASURED_FOR_MAX) {
            let at = Instant::now();
            file.write_all_at(&block, (flushes.len() * block.len()) as u64)?;
            file.sync_data()?;
            flushes.push(at.elapsed());
        }
        Ok(flushes)
    })();
    std::fs::remove_file(&path)?;
    measured
}
