//! What the logs, their shards and the group commit count.

use metrics::{Counter, Histogram};
use ottla_protocol::types::Offset;

use super::table;
use crate::log::effect::LogEffect;
use crate::log::ends::LogEnds;

/// What a shard counts: added up in plain numbers, and handed on once a second.
pub(crate) struct ShardMetrics {
    counters: [Counter; COUNTERS],
    counts: [u64; COUNTERS],
}

const COUNTERS: usize = 9;

/// Places in [`ShardMetrics::counters`].
mod place {
    pub(super) const TURNS: usize = 0;
    pub(super) const ACKS_LEADER: usize = 1;
    pub(super) const ACKS_ALL: usize = 2;
    pub(super) const RECORDS: usize = 3;
    pub(super) const DURABLE_RECORDS: usize = 4;
    pub(super) const BATCHES: usize = 5;
    pub(super) const BYTES: usize = 6;
    pub(super) const WRITES: usize = 7;
    pub(super) const SEGMENTS_CREATED: usize = 8;
}

/// The ends of a log up to which its records have been counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CountedEnds {
    log_end: Offset,
    durable_end: Offset,
}

impl CountedEnds {
    /// Nothing before these ends is to be counted.
    pub(crate) fn of(ends: &LogEnds) -> CountedEnds {
        CountedEnds { log_end: ends.log_end, durable_end: ends.durable_end }
    }
}

impl ShardMetrics {
    /// Counters at the recorder that is installed now.
    pub(crate) fn register() -> ShardMetrics {
        ShardMetrics {
            counters: [
                table::SHARD_TURNS.counter(&[]),
                table::PRODUCE_ACKS.counter(&["leader"]),
                table::PRODUCE_ACKS.counter(&["all"]),
                table::LOG_RECORDS.counter(&[]),
                table::LOG_DURABLE_RECORDS.counter(&[]),
                table::LOG_BATCHES.counter(&[]),
                table::LOG_BYTES.counter(&[]),
                table::LOG_WRITES.counter(&[]),
                table::LOG_SEGMENTS_CREATED.counter(&[]),
            ],
            counts: [0; COUNTERS],
        }
    }

    /// A log's effect is about to be carried out.
    pub(crate) fn on_effect(&mut self, effect: &LogEffect) {
        match effect {
            LogEffect::Write { parts, .. } => {
                self.counts[place::WRITES] += 1;
                self.counts[place::BYTES] += parts.iter().map(|part| part.len() as u64).sum::<u64>();
            }
            LogEffect::NoteBatches { batches, .. } => self.counts[place::BATCHES] += batches.len() as u64,
            LogEffect::CreateSegment { .. } => self.counts[place::SEGMENTS_CREATED] += 1,
            _ => {}
        }
    }

    /// A log has these ends now.
    pub(crate) fn on_ends(&mut self, counted: &mut CountedEnds, ends: &LogEnds) {
        self.counts[place::RECORDS] += between(counted.log_end, ends.log_end);
        self.counts[place::DURABLE_RECORDS] += between(counted.durable_end, ends.durable_end);
        *counted = CountedEnds::of(ends);
    }

    /// Batches were acknowledged to their producers, by what they had waited for.
    pub(crate) fn on_acknowledged(&mut self, by_leader: u64, by_all: u64) {
        self.counts[place::ACKS_LEADER] += by_leader;
        self.counts[place::ACKS_ALL] += by_all;
    }

    /// A turn ends.
    pub(crate) fn end_turn(&mut self) {
        self.counts[place::TURNS] += 1;
    }

    /// All counters hear of what was added up.
    pub(crate) fn flush(&mut self) {
        for (counter, count) in self.counters.iter().zip(&mut self.counts) {
            if 0 < *count {
                counter.increment(std::mem::take(count));
            }
        }
    }
}

impl Drop for ShardMetrics {
    fn drop(&mut self) {
        self.flush();
    }
}

fn between(from: Offset, to: Offset) -> u64 {
    u64::try_from(to.0 - from.0).unwrap_or(0)
}

/// What is counted where logs are read for Fetch.
pub(crate) struct ReadMetrics {
    pub(crate) checked_bytes: Counter,
    pub(crate) cold_reads: Counter,
    pub(crate) cold_bytes: Counter,
}

impl ReadMetrics {
    /// Counters at the recorder that is installed now.
    pub(crate) fn register() -> ReadMetrics {
        ReadMetrics {
            checked_bytes: table::VERIFIED_BYTES.counter(&["fetch"]),
            cold_reads: table::FETCH_COLD_READS.counter(&[]),
            cold_bytes: table::FETCH_COLD_BYTES.counter(&[]),
        }
    }
}

/// What a data directory's group commit counts.
pub(crate) struct FlushMetrics {
    pub(crate) rounds: Counter,
    pub(crate) files: Counter,
    pub(crate) directories: Counter,
    pub(crate) duration: Histogram,
}

impl FlushMetrics {
    /// Counters at the recorder that is installed now.
    pub(crate) fn register() -> FlushMetrics {
        FlushMetrics {
            rounds: table::FLUSH_ROUNDS.counter(&[]),
            files: table::FLUSH_SYNCS.counter(&["file"]),
            directories: table::FLUSH_SYNCS.counter(&["directory"]),
            duration: table::FLUSH_DURATION.histogram(&[]),
        }
    }
}
