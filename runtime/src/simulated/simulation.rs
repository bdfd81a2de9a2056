//! How a test drives a run: make machines, let a future run to its end, look at what happened.

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Rate;
use super::disk::DiskShared;
use super::executor::{TaskId, TaskWaker};
use super::machine::{Machine, MachineState, WALL_AT_START};
use super::net::SimulatedNetwork;
use super::world::{Step, World};
use crate::clock::Clock;
use crate::random::Rng;

/// A world that one seed decides. Dropped, it drops every task that is left.
pub struct Simulation {
    world: Arc<World>,
    seed: u64,
    clock: Clock,
    limits: Cell<Limits>,
    panics_expected: Cell<bool>,
    runs: Cell<u64>,
}

/// How far one call of [`Simulation::run_until`] may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many steps: polls of a task, or jumps of time.
    pub steps: u64,
    /// How much virtual time.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { steps: 20_000_000, time: Duration::from_secs(24 * 60 * 60) }
    }
}

/// A task that panicked: an invariant of what runs in the simulation did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPanic {
    /// The machine's name.
    pub machine: String,
    /// The task's name.
    pub task: &'static str,
    /// What the panic said.
    pub message: String,
}

/// Why a run ended before its future did. Each names the seed that repeats it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// It took more steps than its limit.
    #[error("seed {seed}: not done after {steps} steps")]
    StepLimit {
        /// Of the simulation.
        seed: u64,
        /// The limit.
        steps: u64,
    },
    /// It took more virtual time than its limit.
    #[error("seed {seed}: not done after {time:?} of virtual time")]
    TimeLimit {
        /// Of the simulation.
        seed: u64,
        /// The limit.
        time: Duration,
    },
    /// No task can run, no timer is set and nothing is in flight: the future waits for what never comes.
    #[error("seed {seed}: stuck, nothing will ever happen again")]
    Stuck {
        /// Of the simulation.
        seed: u64,
    },
    /// A task panicked, and [`Simulation::expect_panics`] was not called.
    #[error("seed {seed}: task {:?} of machine {:?} panicked: {}", panic.task, panic.machine, panic.message)]
    TaskPanicked {
        /// Of the simulation.
        seed: u64,
        /// Which one, and what it said.
        panic: TaskPanic,
    },
}

impl Simulation {
    /// A world without machines yet.
    pub fn new(seed: u64) -> Simulation {
        let mut rng = Rng::seeded(seed);
        let world = Arc::new(World::new(&mut rng));
        let (clock, handle) = Clock::manual(WALL_AT_START);
        world.drive_clock(None, Arc::new(handle));
        Simulation {
            world,
            seed,
            clock,
            limits: Cell::default(),
            panics_expected: Cell::new(false),
            runs: Cell::new(0),
        }
    }

    /// The seed that decides it.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The machine of this name, made and started if there is none yet.
    pub fn machine(&self, name: &str) -> Machine {
        if let Some(state) = self.world.machine_named(name) {
            return Machine::new(Arc::clone(&self.world), state);
        }
        let rng = self.world.fork_rng();
        let state = self.world.add_machine(|id| MachineState::new(id, name, Arc::new(DiskShared::new(rng))));
        let machine = Machine::new(Arc::clone(&self.world), state);
        machine.start();
        machine
    }

    /// The simulation's own clock, which no machine's crash stops and no jump moves.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// A generator that the seed decides, for the test's own choices.
    pub fn rng(&self) -> Rng {
        self.world.fork_rng()
    }

    /// The network between the machines: its delays and faults.
    pub fn network(&self) -> SimulatedNetwork {
        SimulatedNetwork::new(Arc::clone(&self.world))
    }

    /// From now on a runnable task is held up at this rate, for up to `time_max` while the others go on, as a busy
    /// machine does it. Never, unless it is asked for: what it finds are tasks that rely on another one being quick.
    pub fn set_stalls(&self, rate: Rate, time_max: Duration) {
        self.world.set_stalls(rate, u64::try_from(time_max.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How far each following run may go.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
    }

    /// From now on a panic of a task does not end the run; [`Simulation::panics`] tells of it.
    pub fn expect_panics(&self) {
        self.panics_expected.set(true);
    }

    /// Every panic of a task so far.
    pub fn panics(&self) -> Vec<TaskPanic> {
        self.world.panics.lock().clone()
    }

    /// How many steps there have been: polls of a task, jumps of time.
    pub fn steps(&self) -> u64 {
        self.world.steps()
    }

    /// A hash over every decision, disk operation and network operation so far. Equal for two runs of one seed.
    pub fn trace_hash(&self) -> u64 {
        self.world.trace.hash()
    }

    /// Runs the world until `future` ends. What else runs stays as it is, and goes on in the next run.
    ///
    /// The future belongs to no machine, so no crash stops it. It must not call this function.
    pub fn run_until<F: Future>(&self, future: F) -> Result<F::Output, SimulationError> {
        let mut future = std::pin::pin!(future);
        let generation = self.runs.get() + 1;
        self.runs.set(generation);
        let handle = TaskWaker::new(TaskId::driver(generation), &self.world.ready);
        let waker = Waker::from(Arc::clone(&handle));
        waker.wake_by_ref();

        let limits = self.limits.get();
        let steps_end = self.world.steps().saturating_add(limits.steps);
        let time_end = self.clock.now().after(limits.time);
        let mut steps = self.world.steps();
        loop {
            match self.world.step() {
                Step::Driver { generation: of } if of == generation => {
                    handle.on_picked();
                    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                        self.check_panics()?;
                        return Ok(output);
                    }
                }
                // A waker of an earlier run's future.
                Step::Driver { .. } | Step::Task => {}
                Step::Time if self.clock.now() > time_end => {
                    return Err(SimulationError::TimeLimit { seed: self.seed, time: limits.time });
                }
                Step::Time => {}
                Step::Stuck => return Err(SimulationError::Stuck { seed: self.seed }),
            }
            steps += 1;
            self.check_panics()?;
            if steps >= steps_end {
                return Err(SimulationError::StepLimit { seed: self.seed, steps: limits.steps });
            }
        }
    }

    /// Runs the world until `future` ends.
    ///
    /// # Panics
    /// Where [`Simulation::run_until`] fails, with the seed in the message.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.run_until(future).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Lets the world run for so much virtual time.
    ///
    /// # Panics
    /// As [`Simulation::block_on`] does.
    pub fn run_for(&self, duration: Duration) {
        self.block_on(self.clock.sleep(duration));
    }

    fn check_panics(&self) -> Result<(), SimulationError> {
        if self.panics_expected.get() {
            return Ok(());
        }
        match self.world.panics.lock().first() {
            Some(panic) => Err(SimulationError::TaskPanicked { seed: self.seed, panic: panic.clone() }),
            None => Ok(()),
        }
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        self.world.end();
    }
}
