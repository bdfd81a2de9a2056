//! What all machines share: virtual time, tasks, events. Carries out one step at a time.
//!
//! Lock order: a machine's disk or the network, then `core`. No waker, completion or destructor of a user's value
//! runs under any of these locks, because each may come back here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;

use parking_lot::Mutex;

use super::disk::DiskShared;
use super::events::{Event, EventQueue};
use super::executor::{ReadyQueue, Task, TaskId, Tasks};
use super::machine::MachineState;
use super::net::Network;
use super::trace::{Noted, Trace};
use super::{Boot, Crash, MachineId, Rate, TaskPanic};
use crate::clock::{ClockHandle, MonotonicTime};
use crate::net::BoxFuture;
use crate::random::Rng;

/// Time moves on by itself once in so many steps, so that completions arrive while other tasks still can run, and a
/// task that only yields does not stop the world.
const STEPS_PER_TICK: u64 = 32;

/// How much time the steps between two ticks took at most, in nanoseconds.
const TICK_NANOS_MAX: u64 = 64_000;

pub(super) struct World {
    pub(super) trace: Trace,
    pub(super) ready: Arc<ReadyQueue>,
    pub(super) network: Network,
    /// Virtual time in nanoseconds since the simulation began.
    nanos: AtomicU64,
    core: Mutex<Core>,
    machines: Mutex<Vec<Arc<MachineState>>>,
    clocks: Mutex<Vec<WorldClock>>,
    /// Crashes that a disk operation asked for while some task was being polled.
    crashes: Mutex<Vec<(Boot, Crash)>>,
    crash_waits: AtomicBool,
    pub(super) panics: Mutex<Vec<TaskPanic>>,
}

struct Core {
    rng: Rng,
    tasks: Tasks,
    events: EventQueue,
    steps: u64,
    /// How often a runnable task is held up, and for how many nanoseconds at most.
    stalls: (Rate, u64),
}

/// A clock that virtual time drives.
struct WorldClock {
    /// Nothing for the simulation's own clock.
    boot: Option<Boot>,
    began_nanos: u64,
    handle: Arc<ClockHandle>,
}

/// What one step was.
pub(super) enum Step {
    /// A task ran, or was no longer there.
    Task,
    /// The driving future is to be polled.
    Driver { generation: u64 },
    /// Nothing could run; time went on to the next thing that happens.
    Time,
    /// Nothing can run and nothing will ever happen.
    Stuck,
}

impl World {
    pub(super) fn new(rng: &mut Rng) -> World {
        World {
            trace: Trace::default(),
            ready: Arc::default(),
            network: Network::new(rng.fork()),
            nanos: AtomicU64::new(0),
            core: Mutex::new(Core {
                rng: rng.fork(),
                tasks: Tasks::default(),
                events: EventQueue::default(),
                steps: 0,
                stalls: (Rate::NEVER, 1),
            }),
            machines: Mutex::default(),
            clocks: Mutex::default(),
            crashes: Mutex::default(),
            crash_waits: AtomicBool::new(false),
            panics: Mutex::default(),
        }
    }

    /// Virtual time in nanoseconds since the simulation began.
    pub(super) fn nanos(&self) -> u64 {
        self.nanos.load(Ordering::Relaxed)
    }

    pub(super) fn steps(&self) -> u64 {
        self.core.lock().steps
    }

    /// Holds up runnable tasks from now on.
    pub(super) fn set_stalls(&self, rate: Rate, nanos_max: u64) {
        self.core.lock().stalls = (rate, nanos_max.max(1));
    }

    /// A generator of its own for a part of the world.
    pub(super) fn fork_rng(&self) -> Rng {
        self.core.lock().rng.fork()
    }

    pub(super) fn push_event(&self, delay_nanos: u64, event: Event) {
        self.core.lock().events.push(self.nanos() + delay_nanos, event);
    }

    pub(super) fn push_event_at(&self, nanos: u64, event: Event) {
        self.core.lock().events.push(nanos, event);
    }

    pub(super) fn add_task(&self, boot: Boot, future: BoxFuture<()>) {
        self.core.lock().tasks.add(boot, future, &self.ready);
    }

    pub(super) fn add_machine(&self, make: impl FnOnce(MachineId) -> MachineState) -> Arc<MachineState> {
        let mut machines = self.machines.lock();
        let machine = Arc::new(make(MachineId(machines.len())));
        machines.push(Arc::clone(&machine));
        machine
    }

    pub(super) fn machine(&self, id: MachineId) -> Arc<MachineState> {
        Arc::clone(&self.machines.lock()[id.0])
    }

    pub(super) fn machine_named(&self, name: &str) -> Option<Arc<MachineState>> {
        self.machines.lock().iter().find(|machine| machine.name == name).cloned()
    }

    pub(super) fn is_running(&self, boot: Boot) -> bool {
        self.machines.lock()[boot.machine.0].running() == Some(boot)
    }

    pub(super) fn note_panic(&self, boot: Boot, task: &'static str, message: &str) {
        let machine = self.machine(boot.machine).name.clone();
        self.panics.lock().push(TaskPanic { machine, task, message: message.to_owned() });
    }

    /// Lets virtual time drive a clock.
    pub(super) fn drive_clock(&self, boot: Option<Boot>, handle: Arc<ClockHandle>) {
        self.clocks.lock().push(WorldClock { boot, began_nanos: self.nanos(), handle });
    }

    /// Asks for a crash as soon as no task is being polled.
    pub(super) fn request_crash(&self, boot: Boot, crash: Crash) {
        self.crashes.lock().push((boot, crash));
        self.crash_waits.store(true, Ordering::Relaxed);
    }

    /// Stops what a start of a machine runs, now. Does nothing if that start is over.
    pub(super) fn crash(&self, boot: Boot, crash: Crash) {
        let machine = self.machine(boot.machine);
        if !machine.stop_running(boot) {
            return;
        }
        self.trace.note(Noted::Crashed, boot.machine.0 as u64);
        let in_flight = machine.disk.crash(crash);
        let tasks = self.core.lock().tasks.take_all_of(boot);
        self.clocks.lock().retain(|clock| clock.boot != Some(boot));
        self.network.crash(self, boot, crash);
        // What these hold may come back to the world while it is dropped, and finds the machine down.
        drop(in_flight);
        drop(tasks);
        drop(machine.take_runtime());
        machine.tell_stopped();
    }

    /// Does the next thing there is to do.
    pub(super) fn step(self: &Arc<Self>) -> Step {
        if self.crash_waits.swap(false, Ordering::Relaxed) {
            let crashes = std::mem::take(&mut *self.crashes.lock());
            for (boot, crash) in crashes {
                self.crash(boot, crash);
            }
        }
        let mut core = self.core.lock();
        core.steps += 1;
        if core.steps.is_multiple_of(STEPS_PER_TICK) {
            let nanos = self.nanos() + core.rng.below(TICK_NANOS_MAX);
            drop(core);
            self.move_time_to(nanos);
            core = self.core.lock();
        }
        let Core { rng, tasks, events, stalls: (stall, stall_nanos_max), .. } = &mut *core;
        let Some(id) = self.ready.pick(rng) else {
            let next_event = events.next_nanos();
            drop(core);
            return self.jump_to_next(next_event);
        };
        if id.slot == usize::MAX {
            return Step::Driver { generation: id.generation };
        }
        if stall.happens(rng) {
            // It still counts as queued, so nothing else can wake it.
            events.push(self.nanos() + rng.below(*stall_nanos_max), Event::Resume(id));
            return Step::Task;
        }
        let Some(mut task) = tasks.take(id) else { return Step::Task };
        drop(core);
        self.trace.note(Noted::TaskPolled, task.id.generation);
        task.handle.on_picked();
        let ended = task.future.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready();
        self.after_poll(id, task, ended);
        Step::Task
    }

    fn after_poll(&self, id: TaskId, task: Task, ended: bool) {
        let mut core = self.core.lock();
        let to_drop = if ended {
            core.tasks.remove(id.slot);
            Some(task)
        } else {
            core.tasks.put_back(task)
        };
        drop(core);
        drop(to_drop);
    }

    fn jump_to_next(self: &Arc<Self>, next_event: Option<u64>) -> Step {
        let next_timer = {
            let clocks = self.clocks.lock();
            let due = clocks.iter().filter_map(|clock| {
                clock.handle.next_deadline().map(|deadline| clock.began_nanos.saturating_add(deadline.0))
            });
            due.min()
        };
        match next_event.into_iter().chain(next_timer).min() {
            Some(nanos) => {
                self.move_time_to(nanos.max(self.nanos()));
                Step::Time
            }
            None => Step::Stuck,
        }
    }

    /// Moves time on and lets happen what is due by then.
    fn move_time_to(self: &Arc<Self>, nanos: u64) {
        self.nanos.store(nanos, Ordering::Relaxed);
        self.trace.note(Noted::TimeMoved, nanos);
        for clock in self.clocks.lock().iter() {
            clock.handle.advance_to(MonotonicTime(nanos.saturating_sub(clock.began_nanos)));
        }
        loop {
            let Some(event) = self.core.lock().events.pop_due(nanos) else { return };
            match event {
                Event::Disk { boot, operation } => {
                    let disk: Arc<DiskShared> = Arc::clone(&self.machine(boot.machine).disk);
                    disk.complete(self, boot, operation);
                }
                Event::Resume(task) => self.ready.push(task),
                Event::Network(event) => self.network.on_event(self, event),
            }
        }
    }

    /// Drops whatever the world holds for others, so that nothing keeps itself alive in a circle.
    pub(super) fn end(&self) {
        let machines = self.machines.lock().clone();
        for machine in machines {
            if let Some(boot) = machine.running() {
                self.crash(boot, Crash::Kill);
            }
        }
    }
}
