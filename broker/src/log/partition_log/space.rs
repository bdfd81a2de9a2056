//! Space ahead of the log's end: asked for where the partition's rate is worth it, given back when a segment is sealed
//! or the log is put to sleep.
//!
//! Giving back is cutting the file to its length. Operations on a file have no order among themselves, so neither a
//! write nor a reservation may be under way with a cut: each waits for the other's answer.

use ottla_protocol::types::Offset;
use ottla_runtime::MonotonicTime;

use super::PartitionLog;
use crate::log::effect::LogEffect;
use crate::log::ends::EndPlace;
use crate::log::preallocation::Preallocation;

/// Space that a sealed segment may hold beyond its end.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) base: Offset,
    pub(super) size: u64,
    pub(super) preallocation: Preallocation,
}

impl PartitionLog {
    /// Space ahead of the writes, where the partition's rate is worth it.
    pub(super) fn reserve_ahead(&mut self, now: MonotonicTime, end: EndPlace) {
        if end.base == self.active.base {
            let limit = u64::from(self.config.segment_bytes);
            if let Some(range) = self.active.preallocation.on_append(now, end.position, limit, &self.budget) {
                self.effects.push(LogEffect::Preallocate { base: end.base, range });
            }
        } else {
            self.trim_spare();
        }
    }

    pub(super) fn on_preallocated(&mut self, base: Offset, result: &std::io::Result<()>) {
        if base == self.active.base {
            self.active.preallocation.on_answer(result, &self.budget);
        } else if let Some(spare) = self.spare.iter_mut().find(|spare| spare.base == base) {
            spare.preallocation.on_answer(result, &self.budget);
            self.trim_spare();
        }
    }

    /// Gives back what is left of the space reserved for sealed segments, once they are written to their end.
    pub(super) fn trim_spare(&mut self) {
        let log_end = self.log_end;
        let is_written = |spare: &mut Spare| {
            let is_written =
                spare.base < log_end.base || (spare.base == log_end.base && spare.size == log_end.position);
            is_written && !spare.preallocation.is_asking()
        };
        while let Some(mut spare) = self.spare.pop_front_if(is_written) {
            if spare.preallocation.give_back(&self.budget).is_some() {
                self.trim(spare.base, spare.size);
            }
        }
    }

    /// Gives back what is left of the space reserved for the active segment. No write of it may be under way.
    pub(super) fn trim_active(&mut self) {
        if self.active.preallocation.give_back(&self.budget).is_some() {
            self.trim(self.active.base, self.active.size);
        }
    }

    /// Whether no space is being reserved or given back.
    pub(super) fn space_is_settled(&self) -> bool {
        self.spare.is_empty() && self.trimming.is_empty() && !self.active.preallocation.is_asking()
    }

    /// Whether a segment's file is still wanted for giving back space.
    pub(super) fn holds_space(&self, base: Offset) -> bool {
        self.trimming.contains(&base) || self.spare.iter().any(|spare| spare.base == base)
    }

    /// Leaves the reserved space to whoever looks at the files next, and the budget to others.
    pub(super) fn give_up_space(&mut self) {
        self.active.preallocation.give_back(&self.budget);
        for mut spare in self.spare.drain(..) {
            spare.preallocation.give_back(&self.budget);
        }
    }

    fn trim(&mut self, base: Offset, size: u64) {
        self.trimming.push(base);
        self.effects.push(LogEffect::Trim { base, size });
    }
}
