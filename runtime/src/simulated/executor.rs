//! Tasks, and which runnable one goes next.
//!
//! The seed picks among the runnable tasks; every [`FAIR_EVERY`]-th pick takes the one that has waited longest, so a
//! runnable task among `n` runs within `n * FAIR_EVERY` steps whatever the seed says. A waker belongs to one task,
//! is `Send + Sync`, and takes no lock but the ready queue's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use parking_lot::Mutex;

use super::Boot;
use super::trace::Noted;
use super::world::World;
use crate::net::BoxFuture;
use crate::random::Rng;
use crate::spawn::Executor;

/// Every how many picks the longest waiting task goes first.
const FAIR_EVERY: u64 = 64;

/// Where a task lives. A slot is used again, a generation is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskId {
    pub(super) slot: usize,
    pub(super) generation: u64,
}

impl TaskId {
    /// The future that drives the run, which belongs to no machine. Each run has its own generation.
    pub(super) fn driver(generation: u64) -> TaskId {
        TaskId { slot: usize::MAX, generation }
    }
}

/// The tasks that can run.
#[derive(Debug, Default)]
pub(super) struct ReadyQueue(Mutex<Ready>);

#[derive(Debug, Default)]
struct Ready {
    /// Each with a serial number: the lower, the longer it has waited.
    tasks: Vec<(u64, TaskId)>,
    next_serial: u64,
    picks: u64,
}

impl ReadyQueue {
    /// Adds a task that can run.
    pub(super) fn push(&self, task: TaskId) {
        let mut ready = self.0.lock();
        ready.next_serial += 1;
        let serial = ready.next_serial;
        ready.tasks.push((serial, task));
    }

    /// Takes the task that the seed lets run next.
    pub(super) fn pick(&self, rng: &mut Rng) -> Option<TaskId> {
        let mut ready = self.0.lock();
        let count = ready.tasks.len();
        if count <= 1 {
            return ready.tasks.pop().map(|(_, task)| task);
        }
        ready.picks += 1;
        let index = if ready.picks.is_multiple_of(FAIR_EVERY) {
            let waiting = ready.tasks.iter().enumerate();
            waiting.min_by_key(|(_, (serial, _))| *serial).map_or(0, |(index, _)| index)
        } else {
            usize::try_from(rng.below(count as u64)).expect("below a usize")
        };
        Some(ready.tasks.swap_remove(index).1)
    }
}

/// What a waker of a task holds.
#[derive(Debug)]
pub(super) struct TaskWaker {
    id: TaskId,
    /// Whether the task is in the ready queue: waking it twice runs it once.
    queued: AtomicBool,
    ready: Arc<ReadyQueue>,
}

impl TaskWaker {
    pub(super) fn new(id: TaskId, ready: &Arc<ReadyQueue>) -> Arc<TaskWaker> {
        Arc::new(TaskWaker { id, queued: AtomicBool::new(false), ready: Arc::clone(ready) })
    }

    /// Says that the task is about to be polled, so that a wake-up from now on queues it again.
    pub(super) fn on_picked(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.id);
        }
    }
}

/// A task that is not being polled.
pub(super) struct Task {
    pub(super) id: TaskId,
    pub(super) boot: Boot,
    pub(super) future: BoxFuture<()>,
    pub(super) handle: Arc<TaskWaker>,
    pub(super) waker: Waker,
}

/// All tasks of all machines.
#[derive(Default)]
pub(super) struct Tasks {
    slots: Vec<Slot>,
    free: Vec<usize>,
    next_generation: u64,
}

enum Slot {
    Free,
    Waiting(Task),
    /// Being polled. Its machine may crash meanwhile; the task then is not put back.
    Polled {
        boot: Boot,
        killed: bool,
    },
}

impl Tasks {
    /// Adds a task and wakes it.
    pub(super) fn add(&mut self, boot: Boot, future: BoxFuture<()>, ready: &Arc<ReadyQueue>) -> TaskId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            self.slots.len() - 1
        });
        self.next_generation += 1;
        let id = TaskId { slot, generation: self.next_generation };
        let handle = TaskWaker::new(id, ready);
        let waker = Waker::from(Arc::clone(&handle));
        waker.wake_by_ref();
        self.slots[slot] = Slot::Waiting(Task { id, boot, future, handle, waker });
        id
    }

    /// Takes a task out to be polled; nothing if it has ended.
    pub(super) fn take(&mut self, id: TaskId) -> Option<Task> {
        let slot = self.slots.get_mut(id.slot)?;
        match slot {
            Slot::Waiting(task) if task.id == id => {
                let polled = Slot::Polled { boot: task.boot, killed: false };
                match std::mem::replace(slot, polled) {
                    Slot::Waiting(task) => Some(task),
                    Slot::Free | Slot::Polled { .. } => None,
                }
            }
            _ => None,
        }
    }

    /// Puts a polled task back. Gives it back, to be dropped without a lock, if its machine has crashed meanwhile.
    pub(super) fn put_back(&mut self, task: Task) -> Option<Task> {
        let slot = task.id.slot;
        if let Slot::Polled { killed: true, .. } = &self.slots[slot] {
            self.remove(slot);
            return Some(task);
        }
        self.slots[slot] = Slot::Waiting(task);
        None
    }

    /// Frees the slot of a task that has ended.
    pub(super) fn remove(&mut self, slot: usize) {
        self.slots[slot] = Slot::Free;
        self.free.push(slot);
    }

    /// Takes out every task of a start of a machine, to be dropped without a lock.
    pub(super) fn take_all_of(&mut self, boot: Boot) -> Vec<Task> {
        let mut taken = Vec::new();
        for index in 0..self.slots.len() {
            match &mut self.slots[index] {
                Slot::Waiting(task) if task.boot == boot => {
                    if let Slot::Waiting(task) = std::mem::replace(&mut self.slots[index], Slot::Free) {
                        taken.push(task);
                    }
                    self.free.push(index);
                }
                Slot::Polled { boot: of, killed } if *of == boot => *killed = true,
                _ => {}
            }
        }
        taken
    }
}

/// Starts tasks that belong to one start of one machine.
pub(super) struct MachineExecutor {
    pub(super) world: Arc<World>,
    pub(super) boot: Boot,
}

impl Executor for MachineExecutor {
    fn execute(&self, name: &'static str, future: BoxFuture<()>) {
        if !self.world.is_running(self.boot) {
            // The future is dropped: nothing starts on a machine that is down.
            return;
        }
        self.world.trace.note_bytes(Noted::TaskStarted, name.as_bytes());
        self.world.add_task(self.boot, future);
    }

    fn execute_thread(&self, name: &'static str, _work: Box<dyn FnOnce() + Send + 'static>) {
        panic!("the simulated world has no threads, and {name:?} asked for one: use a task");
    }

    /// The same everywhere, whatever machine simulates: what a seed means must not depend on it.
    fn parallelism(&self) -> usize {
        2
    }

    fn on_panic(&self, name: &'static str, message: &str) {
        self.world.note_panic(self.boot, name, message);
    }
}
