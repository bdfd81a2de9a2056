//! Re-verifies sealed segments in the background, a little at a time, so that damage is found before anybody needs the
//! records: `ottla.scrub.bytes.per.second`.
//!
//! One partition after another, and of one log at rest at a time: only those are opened that have something sealed. The
//! reading is `log::scrub`'s; what it finds goes to the log's owner, and from then on nothing behind it is served.

use std::sync::Arc;
use std::time::Duration;

use ottla_runtime::Clock;
use tracing::warn;

use super::partition::Partition;
use super::registry::Partitions;
use super::shards::Shards;
use crate::log::scrub::scrub_step;
use crate::metrics::table::{SCRUB_PASSES, VERIFIED_BYTES};

/// When the first pass begins: a broker that has just started has better things to read.
const FIRST_AFTER: Duration = Duration::from_secs(10 * 60);
/// The rest between two passes.
const BETWEEN_PASSES: Duration = Duration::from_secs(24 * 60 * 60);
/// What is read at a time.
const PIECE_BYTES: u64 = 256 * 1024;

/// Goes through all partitions, again and again.
pub(super) struct ScrubTask {
    pub(super) partitions: Arc<Partitions>,
    pub(super) shards: Shards,
    pub(super) clock: Clock,
    /// Not 0.
    pub(super) bytes_per_second: u64,
}

impl ScrubTask {
    /// Runs until it is aborted.
    pub(super) async fn run(self) {
        self.clock.sleep(FIRST_AFTER).await;
        loop {
            for entry in self.partitions.snapshot().entries() {
                for partition in entry.partitions() {
                    self.scrub(partition).await;
                }
            }
            SCRUB_PASSES.count(&[], 1);
            self.clock.sleep(BETWEEN_PASSES).await;
        }
    }

    async fn scrub(&self, partition: &Arc<Partition>) {
        if partition.log().is_none() && !partition.has_sealed_segments() {
            return;
        }
        let Ok(mut log) = self.shards.log_of(partition).await else { return };
        let mut from = None;
        loop {
            // It stays open meanwhile; a log that was closed may find other files under its names.
            partition.note_read(self.clock.now());
            if !partition.log().is_some_and(|open| Arc::ptr_eq(&open, &log)) {
                let Ok(opened) = self.shards.log_of(partition).await else { return };
                log = opened;
            }
            let step = match scrub_step(&log, from, PIECE_BYTES).await {
                Ok(step) => step,
                Err(error) => {
                    warn!(?partition, "not scrubbed: {error}");
                    return;
                }
            };
            VERIFIED_BYTES.count(&["scrub"], step.bytes);
            if let Some(place) = step.damage {
                self.shards.report_damage(partition, place).await;
            }
            self.clock.sleep(time_for(step.bytes, self.bytes_per_second)).await;
            if step.next.is_none() {
                return;
            }
            from = step.next;
        }
    }
}

/// How long reading so much may take.
fn time_for(bytes: u64, bytes_per_second: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_takes_the_time_that_the_rate_allows() {
        for (bytes, rate, expected) in
            [(0, 100, 0), (100, 100, 1000), (50, 100, 500), (u64::MAX, 1, 18_446_744_073_709)]
        {
            assert_eq!(time_for(bytes, rate).as_millis(), expected, "{bytes} bytes at {rate}");
        }
    }
}
