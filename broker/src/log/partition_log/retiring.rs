//! Segments on their way out: one at a time loses its name, and a while later its files are removed.
//!
//! One at a time and oldest first, each durably before the next, because names that are not synced may come back in
//! any combination: two renames under way could leave a hole in the log. And never before the name of the active
//! segment is durable, or nothing would be left to say where the log ends. Nor before a producer snapshot that no crash
//! takes speaks of all that the segment holds: its producers' sequences would be forgotten with it.

use std::collections::VecDeque;

use ottla_protocol::types::Offset;
use ottla_runtime::{MonotonicTime, WallTime};

use super::{AppendError, PartitionLog};
use crate::log::effect::{LogEffect, SegmentSummary};
use crate::log::retention::{Expired, LogFacts, RetentionPolicy, SegmentFacts, expired};

/// Why records were not deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRecordsError {
    /// Wire: OFFSET_OUT_OF_RANGE (1). Only what is committed may be deleted.
    #[error("records can be deleted up to the high watermark, {high_watermark}, not up to {to}")]
    OutOfRange {
        /// What was asked for.
        to: Offset,
        /// The high watermark.
        high_watermark: Offset,
    },
    /// Wire: KAFKA_STORAGE_ERROR. The log has failed or is damaged.
    #[error(transparent)]
    NotWritable(#[from] AppendError),
}

/// What is under way, and what waits for its removal.
#[derive(Debug, Default)]
pub(super) struct Retiring {
    under_way: Option<Offset>,
    /// In order of their deadlines but for changes of the delay, which may make one wait for the one before.
    waiting: VecDeque<(MonotonicTime, Offset)>,
}

impl Retiring {
    /// Whether nothing is left to do.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_empty()
    }

    pub(super) fn on_retired(&mut self, base: Offset, due: MonotonicTime) {
        if self.under_way.take_if(|under_way| *under_way == base).is_some() {
            self.waiting.push_back((due, base));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<MonotonicTime> {
        self.waiting.front().map(|(due, _)| *due)
    }

    pub(super) fn take_due(&mut self, now: MonotonicTime) -> Option<Offset> {
        self.waiting.pop_front_if(|(due, _)| *due <= now).map(|(_, base)| base)
    }
}

impl PartitionLog {
    /// Lets go of what the policy no longer wants kept. `wall` is `None` while the calendar is not believed. If
    /// segments have to be looked at first, nothing happens and their base offsets come back: ask
    /// [`summarize`](crate::log::lookup::summarize), report [`LogEvent::Summary`](crate::log::effect::LogEvent), and
    /// call again.
    pub fn expire(
        &mut self,
        now: MonotonicTime,
        policy: RetentionPolicy,
        wall: Option<WallTime>,
    ) -> Result<Expired, Vec<Offset>> {
        let unknown = |segment: &&SegmentSummary| {
            (policy.max_bytes.is_some() && segment.size.is_none())
                || (policy.max_age_ms.is_some() && segment.max_timestamp.is_none())
        };
        let unknown: Vec<Offset> = self.segments.iter().filter(unknown).map(|segment| segment.base).collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        if self.check_writable().is_err() {
            return Ok(Expired::default());
        }
        let segments = self.retention_facts();
        let log = LogFacts {
            segments: &segments,
            log_start: self.ends.log_start,
            high_watermark: self.ends.high_watermark,
        };
        let decided = expired(policy, log, wall);
        if decided.roll_first {
            self.roll(now);
        }
        if let Some(last) = decided.segments.checked_sub(1).and_then(|last| segments.get(last)) {
            self.advance_log_start(last.end_offset);
        }
        if let Some(end) = self.end_of_expired() {
            self.provide_snapshot(now, end);
        }
        Ok(decided)
    }

    /// DeleteRecords: begins the log at `before`, or at the high watermark; says where it begins then. An offset that
    /// lies before the beginning moves nothing. What lies wholly before it goes from the disk bit by bit.
    pub fn delete_records(
        &mut self,
        now: MonotonicTime,
        before: Option<Offset>,
    ) -> Result<Offset, DeleteRecordsError> {
        self.check_writable()?;
        let high_watermark = self.ends.high_watermark;
        let to = before.unwrap_or(high_watermark);
        if high_watermark < to {
            return Err(DeleteRecordsError::OutOfRange { to, high_watermark });
        }
        self.advance_log_start(to);
        if let Some(end) = self.end_of_expired() {
            self.provide_snapshot(now, end);
        }
        Ok(self.ends.log_start)
    }

    /// Starts a new segment, so that retention can take the one that is active now. Nothing happens if that is empty.
    pub fn roll(&mut self, now: MonotonicTime) {
        if self.check_writable().is_ok() && self.active.size > 0 {
            self.start_segment(now);
        }
    }

    /// Makes `to` the first offset that may be read, but never beyond the high watermark. Segments that lie wholly
    /// before it leave the log; the active one stays.
    pub fn advance_log_start(&mut self, to: Offset) {
        let to = to.min(self.ends.high_watermark);
        if to <= self.ends.log_start {
            return;
        }
        self.ends.log_start = to;
        self.ends.local_log_start = to;
        self.advance_last_stable_offset();
        if self.epochs.truncate_from_start(to) {
            self.preparing.epochs_are_dirty = true;
            self.effects.push(LogEffect::PublishEpochs(self.epochs.clone()));
        }
        self.publish = true;
        self.ends.assert_in_order();
    }

    pub(super) fn retire_next(&mut self, effects: &mut Vec<LogEffect>) {
        let (Some(first), Some(end)) = (self.segments.front(), self.end_of_expired()) else { return };
        let is_free = self.retiring.under_way.is_none()
            && self.replacing.is_idle()
            && self.durability.all_names_durable();
        if !is_free || end > self.ends.durable_end || !self.producers_outlive(end) {
            return;
        }
        // A snapshot that is being written may bring the segment's transaction index with it.
        if self.holds_space(first.base) || self.preparing.is_writing_snapshot() {
            return;
        }
        let SegmentSummary { base, size, .. } = *first;
        self.total_bytes = self.total_bytes.zip(size).map(|(total, size)| total.saturating_sub(size));
        self.segments.pop_front();
        self.retiring.under_way = Some(base);
        effects.push(LogEffect::RetireSegment { base });
    }

    /// Whether a segment is on its way out.
    pub(super) fn retires_now(&self) -> bool {
        self.retiring.under_way.is_some()
    }

    /// Where the first segment ends, if it lies wholly before the log start.
    fn end_of_expired(&self) -> Option<Offset> {
        self.segments.get(1).map(|second| second.base).filter(|end| *end <= self.ends.log_start)
    }

    pub(super) fn note_summary(&mut self, summary: SegmentSummary) {
        let place = self.segments.binary_search_by_key(&summary.base, |segment| segment.base);
        let Some(known) = place.ok().and_then(|place| self.segments.get_mut(place)) else { return };
        known.size = known.size.or(summary.size);
        known.max_timestamp = known.max_timestamp.or(summary.max_timestamp);
        // A segment that went before anybody knew its size took the total with it.
        self.total_bytes =
            self.total_bytes.or_else(|| self.segments.iter().map(|segment| segment.size).sum());
    }

    fn retention_facts(&self) -> Vec<SegmentFacts> {
        let ends = self.segments.iter().skip(1).map(|next| next.base).chain([self.next_offset]);
        let facts = |(segment, end_offset): (&SegmentSummary, Offset)| SegmentFacts {
            end_offset,
            bytes: segment.size.unwrap_or(0),
            max_timestamp: segment.max_timestamp.filter(|timestamp| *timestamp >= 0),
        };
        self.segments.iter().zip(ends).map(facts).collect()
    }
}
