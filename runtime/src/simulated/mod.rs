//! The simulated world: whole machines in one thread, everything decided by one seed.
//!
//! A [`Simulation`] owns virtual time, the tasks of all machines, their disks and the network between them. Nothing
//! in it waits for anything real: where no task can run, time jumps to the next timer or completion. The seed
//! decides which runnable task goes next, how long each disk and network operation takes, how streams are cut into
//! segments, and what is left on a disk after a [`Crash`]; so a failure is found again by its seed alone, and
//! [`Simulation::trace_hash`] of two runs of one seed is equal.
//!
//! What runs inside keeps that promise only if it takes no decision from elsewhere. Two traps: the iteration order
//! of a std `HashMap`, and `tokio::select!` without `biased`, which draws from a generator of its own.
//!
//! | file         | decides                                                                  |
//! |--------------|--------------------------------------------------------------------------|
//! | `executor`   | which runnable task goes next                                            |
//! | `world`      | the order of events, virtual time, what a crash takes with it            |
//! | `simulation` | how a test drives a run, and the limits of one                           |
//! | `machine`    | one node: its seams, its crashes and restarts, its wall clock            |
//! | `disk/`      | files, names and what of them survives                                   |
//! | `net/`       | connections                                                              |

mod disk;
mod events;
mod executor;
mod machine;
mod net;
mod simulation;
mod trace;
mod world;

#[cfg(test)]
mod tests;

pub use disk::{CrashPoint, DiskFaults, DiskImage, DiskLatency, OperationKind, SimulatedDisk};
pub use machine::Machine;
pub use net::{NetworkFaults, SimulatedNetwork};
pub use simulation::{Limits, Simulation, SimulationError, TaskPanic};

use crate::random::Rng;

/// How a machine stops without having a say in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The power goes: what was not synced may be lost, torn or reordered, and the page cache is empty afterwards.
    PowerCut,
    /// The process is killed (`kill -9`): what was written stays. Of what was still in flight, each operation may have
    /// happened whole, in part (a prefix of a write) or not at all.
    Kill,
}

/// How often something happens: `count` times out of `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many times.
    pub count: u32,
    /// Out of how many; not 0.
    pub of: u32,
}

impl Rate {
    /// It does not happen.
    pub const NEVER: Rate = Rate { count: 0, of: 1 };
    /// It happens every time.
    pub const ALWAYS: Rate = Rate { count: 1, of: 1 };

    /// Once in `of` times on average.
    pub const fn one_in(of: u32) -> Rate {
        Rate { count: 1, of }
    }

    /// Whether it happens this time. A rate of 0 draws nothing, so that turning a fault off leaves other draws alone.
    fn happens(self, rng: &mut Rng) -> bool {
        self.count != 0 && rng.chance(u64::from(self.count), u64::from(self.of))
    }
}

/// A number of a simulated machine, in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct MachineId(usize);

/// Which start of a machine something belongs to. What an earlier start left behind has no effect any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Boot {
    machine: MachineId,
    /// 1 for the first start.
    number: u64,
}
