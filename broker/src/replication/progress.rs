//! When a task last took a turn, for whoever watches that it goes on.

use std::sync::atomic::{AtomicU64, Ordering};

use ottla_runtime::MonotonicTime;

/// The time of one task's last turn. Only the task writes it.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU64);

impl Progress {
    /// A turn begins.
    pub(super) fn note(&self, now: MonotonicTime) {
        self.0.store(now.0, Ordering::Relaxed);
    }

    /// When the last one began.
    pub(crate) fn last(&self) -> MonotonicTime {
        MonotonicTime(self.0.load(Ordering::Relaxed))
    }
}
