//! The timers of a group's members, in the order in which they run out.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::wire::Str;
use ottla_runtime::MonotonicTime;

/// What a member has to do in time; else it is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKind {
    /// Be heard of.
    Session,
    /// Say that it has given up what it was told to.
    Revocation,
    /// Join again: a member of the classic protocol that was told to.
    Join,
    /// Ask for its assignment: a member of the classic protocol that has joined.
    Sync,
}

const ALL_KINDS: [TimerKind; 4] =
    [TimerKind::Session, TimerKind::Revocation, TimerKind::Join, TimerKind::Sync];

/// The timers that run.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(MonotonicTime, Str, TimerKind)>,
    ends: BTreeMap<(Str, TimerKind), MonotonicTime>,
}

impl Timers {
    /// Starts a timer, in place of the one that ran.
    pub(crate) fn start(&mut self, member_id: &Str, kind: TimerKind, ends: MonotonicTime) {
        if let Some(before) = self.ends.insert((member_id.clone(), kind), ends) {
            self.queue.remove(&(before, member_id.clone(), kind));
        }
        self.queue.insert((ends, member_id.clone(), kind));
    }

    /// Starts a timer unless it runs.
    pub(crate) fn start_once(&mut self, member_id: &Str, kind: TimerKind, ends: MonotonicTime) {
        if !self.ends.contains_key(&(member_id.clone(), kind)) {
            self.start(member_id, kind, ends);
        }
    }

    pub(crate) fn stop(&mut self, member_id: &Str, kind: TimerKind) {
        if let Some(ends) = self.ends.remove(&(member_id.clone(), kind)) {
            self.queue.remove(&(ends, member_id.clone(), kind));
        }
    }

    pub(crate) fn stop_all(&mut self, member_id: &Str) {
        for kind in ALL_KINDS {
            self.stop(member_id, kind);
        }
    }

    pub(crate) fn next(&self) -> Option<MonotonicTime> {
        self.queue.first().map(|(ends, ..)| *ends)
    }

    /// Stops and tells the first timer that has run out.
    pub(crate) fn take_due(&mut self, now: MonotonicTime) -> Option<Str> {
        let (ends, member_id, kind) = self.queue.first().filter(|(ends, ..)| *ends <= now)?.clone();
        self.queue.remove(&(ends, member_id.clone(), kind));
        self.ends.remove(&(member_id.clone(), kind));
        Some(member_id)
    }
}
