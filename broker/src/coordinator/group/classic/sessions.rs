//! When to look at which member or pending id. A heartbeat only moves the member's own end of session: the queue is not
//! touched, and what it finds too early it puts back.

use std::collections::BTreeSet;

use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

/// Member ids by the time at which they are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SessionQueue {
    due: BTreeSet<(MonotonicTime, Str)>,
}

impl SessionQueue {
    pub(super) fn add(&mut self, at: MonotonicTime, member_id: &Str) {
        self.due.insert((at, member_id.clone()));
    }

    pub(super) fn remove(&mut self, at: MonotonicTime, member_id: &Str) {
        self.due.remove(&(at, member_id.clone()));
    }

    /// Takes out the first that is due by `now`.
    pub(super) fn pop_due(&mut self, now: MonotonicTime) -> Option<Str> {
        let first = self.due.first()?;
        if now < first.0 {
            return None;
        }
        self.due.pop_first().map(|(_, member_id)| member_id)
    }

    pub(super) fn first(&self) -> Option<MonotonicTime> {
        self.due.first().map(|(at, _)| *at)
    }
}
