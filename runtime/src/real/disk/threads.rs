//! A few threads that share one queue of operations.
//!
//! Waking a thread costs more than a small write, so an operation wakes one only if none is awake, or if operations
//! come in faster than the awake ones take them. A thread goes on until the queue is empty and then sleeps.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::spawn::Spawner;

/// What distinguishes one set of threads from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct ThreadsKind {
    /// The threads' name, which tools like `top` show up to its fifteenth byte.
    pub(super) name: &'static str,
    /// How many there may be.
    pub(super) thread_count_max: usize,
    /// So many operations coming in without one being taken call for another thread. 1: each does.
    pub(super) wake_after: usize,
}

type Operation = Box<dyn FnOnce() + Send + 'static>;

/// The threads' owner. Dropped, it lets them finish what is queued and leave.
pub(super) struct Threads {
    spawner: Spawner,
    queue: Arc<Queue>,
}

struct Queue {
    kind: ThreadsKind,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    operations: VecDeque<Operation>,
    /// Threads that were started.
    started: usize,
    /// Those of them that sleep and that nobody has begun to wake.
    sleeping: usize,
    /// Operations that came in since a thread last took one.
    since_progress: usize,
    closed: bool,
}

/// What an operation that comes in calls for.
enum Wake {
    Nobody,
    Sleeper,
    NewThread,
}

impl Threads {
    /// No thread starts before the first operation.
    pub(super) fn new(kind: ThreadsKind, spawner: Spawner) -> Threads {
        let queue = Queue { kind, state: Mutex::default(), changed: Condvar::new() };
        Threads { spawner, queue: Arc::new(queue) }
    }

    /// Has `operation` run on one of the threads.
    pub(super) fn submit(&self, operation: impl FnOnce() + Send + 'static) {
        let operation = Box::new(operation);
        let wake = self.queue.state.lock().add(operation, self.queue.kind);
        // Outside the lock, so that who is woken does not run into it.
        match wake {
            Wake::Nobody => {}
            Wake::Sleeper => {
                self.queue.changed.notify_one();
            }
            Wake::NewThread => {
                let queue = Arc::clone(&self.queue);
                self.spawner.spawn_thread(self.queue.kind.name, move || queue.work());
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

impl State {
    fn add(&mut self, operation: Operation, kind: ThreadsKind) -> Wake {
        self.operations.push_back(operation);
        self.since_progress += 1;
        let awake = self.started - self.sleeping;
        if awake > 0 && self.since_progress < kind.wake_after {
            Wake::Nobody
        } else if self.sleeping > 0 {
            self.sleeping -= 1;
            Wake::Sleeper
        } else if self.started < kind.thread_count_max {
            self.started += 1;
            Wake::NewThread
        } else {
            Wake::Nobody
        }
    }
}

impl Queue {
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(operation) = state.operations.pop_front() {
                state.since_progress = 0;
                drop(state);
                run(operation);
                state = self.state.lock();
            } else if state.closed {
                return;
            } else {
                state.sleeping += 1;
                self.changed.wait(&mut state);
            }
        }
    }
}

/// A panic is a bug in whoever asked, most likely in its completion; it must not take the disk from the others.
fn run(operation: Operation) {
    if catch_unwind(AssertUnwindSafe(operation)).is_err() {
        tracing::error!("a disk operation or its completion panicked");
    }
}
