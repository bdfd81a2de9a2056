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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::net::BoxFuture;
    use crate::spawn::Executor;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Starts threads and reports the end of each.
    struct ReportingExecutor(Mutex<mpsc::Sender<()>>);

    impl Executor for ReportingExecutor {
        fn execute(&self, _name: &'static str, _future: BoxFuture<()>) {
            unreachable!("threads start no tasks");
        }

        fn execute_thread(&self, name: &'static str, work: Box<dyn FnOnce() + Send + 'static>) {
            let ended = self.0.lock().clone();
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn(move || (work(), ended.send(()))).unwrap();
        }

        fn parallelism(&self) -> usize {
            unreachable!("threads share no work among tasks");
        }
    }

    fn threads(thread_count_max: usize, wake_after: usize) -> (Threads, mpsc::Receiver<()>) {
        let (ended, ends) = mpsc::channel();
        let spawner = Spawner::new(Arc::new(ReportingExecutor(Mutex::new(ended))));
        (Threads::new(ThreadsKind { name: "test", thread_count_max, wake_after }, spawner), ends)
    }

    /// What one more operation calls for when of `started` threads `sleeping` sleep and `waiting` operations came in
    /// since one was taken.
    fn wake((started, sleeping, waiting): (usize, usize, usize), wake_after: usize) -> Wake {
        let mut state = State { started, sleeping, since_progress: waiting, ..State::default() };
        state.add(Box::new(|| ()), ThreadsKind { name: "test", thread_count_max: 2, wake_after })
    }

    #[test]
    fn a_thread_is_started_only_when_none_sleeps() {
        assert!(matches!(wake((0, 0, 0), 2), Wake::NewThread));
        assert!(matches!(wake((1, 1, 0), 2), Wake::Sleeper));
        assert!(matches!(wake((1, 0, 1), 2), Wake::NewThread));
        assert!(matches!(wake((2, 0, 100), 2), Wake::Nobody));
    }

    #[test]
    fn an_awake_thread_is_trusted_until_operations_pile_up() {
        assert!(matches!(wake((2, 1, 0), 2), Wake::Nobody));
        assert!(matches!(wake((2, 1, 1), 2), Wake::Sleeper));
        assert!(matches!(wake((2, 1, 0), 1), Wake::Sleeper));
    }

    #[test]
    fn every_operation_runs_and_then_the_threads_leave() {
        let (threads, ends) = threads(3, 1);
        let (ran, runs) = mpsc::channel();
        for number in 0..1_000 {
            let ran = ran.clone();
            threads.submit(move || ran.send(number).unwrap());
        }
        drop(threads);
        drop(ran);
        let mut numbers: Vec<i32> = runs.iter().collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
        let started = ends.iter().count();
        assert!((1..=3).contains(&started));
    }

    #[test]
    fn a_stuck_operation_does_not_hold_up_those_behind_it() {
        let (threads, _ends) = threads(2, 2);
        let (release, stuck) = mpsc::channel::<()>();
        let (began, beginning) = mpsc::channel();
        threads.submit(move || {
            began.send(()).unwrap();
            stuck.recv_timeout(PATIENCE).unwrap();
        });
        beginning.recv_timeout(PATIENCE).unwrap();
        let (ran, runs) = mpsc::channel();
        for number in 0..2 {
            let ran = ran.clone();
            threads.submit(move || ran.send(number).unwrap());
        }
        assert_eq!(runs.recv_timeout(PATIENCE), Ok(0));
        assert_eq!(runs.recv_timeout(PATIENCE), Ok(1));
        release.send(()).unwrap();
    }

    #[test]
    fn a_panic_costs_no_thread() {
        let (threads, _ends) = threads(1, 1);
        threads.submit(|| panic!("as planned"));
        let (ran, runs) = mpsc::channel();
        threads.submit(move || ran.send(()).unwrap());
        assert_eq!(runs.recv_timeout(PATIENCE), Ok(()));
    }

    #[test]
    fn the_last_operation_may_drop_the_threads_it_runs_on() {
        let (threads, ends) = threads(2, 1);
        let threads = Arc::new(threads);
        let kept = Arc::clone(&threads);
        let (go, wait) = mpsc::channel::<()>();
        threads.submit(move || {
            wait.recv_timeout(PATIENCE).unwrap();
            drop(kept);
        });
        drop(threads);
        go.send(()).unwrap();
        assert_eq!(ends.recv_timeout(PATIENCE), Ok(()));
    }
}
