//! The queue of what will happen at a virtual time: completions of disk operations, arrivals on the network.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Boot;
use super::executor::TaskId;
use super::net::NetworkEvent;

/// Something that happens at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A disk has carried out an operation.
    Disk { boot: Boot, operation: u64 },
    /// A task that was held up can run again.
    Resume(TaskId),
    /// Something arrives.
    Network(NetworkEvent),
}

/// Events by their time; those of one moment in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    next_serial: u64,
}

impl EventQueue {
    /// Adds an event at `nanos` of virtual time.
    pub(super) fn push(&mut self, nanos: u64, event: Event) {
        self.next_serial += 1;
        self.heap.push(Reverse((nanos, self.next_serial, event)));
    }

    /// When the next event is due.
    pub(super) fn next_nanos(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((nanos, ..))| *nanos)
    }

    /// Takes the next event that is due at `nanos`.
    pub(super) fn pop_due(&mut self, nanos: u64) -> Option<Event> {
        if self.next_nanos()? > nanos {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, event))| event)
    }
}
