//! Segments on their way out: one at a time loses its name, and a while later its files are removed.

use std::collections::VecDeque;

use ottla_protocol::types::Offset;
use ottla_runtime::MonotonicTime;

/// What is under way, and what waits for its removal.
#[derive(Debug, Default)]
pub(super) struct Retiring {
    under_way: Option<Offset>,
    /// In order of their deadlines but for changes of the delay, which may make one wait for the one before.
    waiting: VecDeque<(MonotonicTime, Offset)>,
}

impl Retiring {
    /// Whether a segment is losing its name.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether nothing is left to do.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_empty()
    }

    pub(super) fn start(&mut self, base: Offset) {
        self.under_way = Some(base);
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
