//! A compacted segment takes the place of those it was made from.
//!
//! One replacement at a time, and none while a segment is on its way out: both change the same names. Only segments that
//! are durable as a whole, so that nothing of theirs is under way.

use ottla_protocol::types::Offset;

use super::PartitionLog;
use crate::log::compaction::Swap;
use crate::log::effect::{LogEffect, SegmentSummary};
use crate::log::gaps::Gaps;

/// What takes whose place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Which segments go, and whether the new one has a transaction index.
    pub swap: Swap,
    /// The new segment.
    pub summary: SegmentSummary,
    /// The bytes of those that go.
    pub replaced_bytes: u64,
    /// The gaps that are legal in the log from then on.
    pub gaps: Gaps,
}

/// The segments are not there any more, or something of theirs is still under way; or the log has failed, or the new
/// segment could not be put in place. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the segments can't be replaced now")]
pub struct NotReplaced;

/// What waits, is under way, or has ended.
#[derive(Debug, Default)]
pub(super) struct Replacing {
    waiting: Option<Replacement>,
    under_way: bool,
    outcome: Option<Result<(), NotReplaced>>,
}

impl Replacing {
    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_none() && !self.under_way
    }
}

impl PartitionLog {
    /// Puts a compacted segment in place, as soon as nothing stands in the way: [`PartitionLog::take_replaced`] says how it
    /// ended. Its files lie ready, synced. One at a time.
    pub fn replace_segments(&mut self, replacement: Replacement) {
        assert!(self.replacing.is_idle(), "a log is compacted by one task");
        self.replacing.waiting = Some(replacement);
        self.replacing.outcome = None;
    }

    /// How the last replacement ended, once it has, and once.
    pub fn take_replaced(&mut self) -> Option<Result<(), NotReplaced>> {
        self.replacing.outcome.take()
    }

    pub(super) fn replace_next(&mut self, effects: &mut Vec<LogEffect>) {
        if self.replacing.waiting.is_none() || self.retires_now() {
            return;
        }
        let Some(replacement) = self.replacing.waiting.take() else { return };
        if !self.may_replace(&replacement.swap.replaced) {
            self.replacing.outcome = Some(Err(NotReplaced));
            return;
        }
        self.replacing.under_way = true;
        effects.push(LogEffect::ReplaceSegments(replacement));
    }

    pub(super) fn on_replaced(&mut self, replacement: Replacement) {
        self.replacing.under_way = false;
        self.replacing.outcome = Some(Ok(()));
        let place = self.index_of(&replacement.swap.replaced).expect("nobody else changed the segments");
        let count = replacement.swap.replaced.len();
        self.segments.drain(place..place + count);
        self.segments.insert(place, replacement.summary);
        let bytes = replacement.summary.size.unwrap_or(0);
        self.total_bytes =
            self.total_bytes.map(|total| (total + bytes).saturating_sub(replacement.replaced_bytes));
        self.effects.push(LogEffect::ShowReplaced(replacement));
    }

    pub(super) fn on_not_replaced(&mut self) {
        self.replacing.under_way = false;
        self.replacing.outcome = Some(Err(NotReplaced));
    }

    /// Whether these segments are there, durable as a whole, and left alone by everybody else.
    fn may_replace(&self, bases: &[Offset]) -> bool {
        let behind = self.index_of(bases).and_then(|place| self.segments.get(place + bases.len()));
        behind.is_some_and(|behind| behind.base <= self.durable_ends().active_base)
            && bases.iter().all(|base| !self.holds_space(*base))
            && self.damage.is_none()
    }

    /// Where these segments are in the list, if they are there in a row.
    fn index_of(&self, bases: &[Offset]) -> Option<usize> {
        let place = self.segments.binary_search_by_key(bases.first()?, |segment| segment.base).ok()?;
        let found = self.segments.iter().skip(place).map(|segment| segment.base);
        found.take(bases.len()).eq(bases.iter().copied()).then_some(place)
    }
}
