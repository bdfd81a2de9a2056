//! A machine that stops at one of its disk's operations, may stop again while that is recovered, and at last comes back.

use futures_util::future::{Either, select};
use ottla_runtime::simulated::{Crash, CrashPoint, Machine, Simulation};

/// A machine that will stop; see the module's text.
pub(in crate::log) struct CrashMachine {
    pub(in crate::log) machine: Machine,
    simulation: Simulation,
    crash: Crash,
}

impl CrashMachine {
    /// A machine with an empty data directory, which stops at `point`. Another `round` has another seed.
    pub(in crate::log) fn new(point: CrashPoint, crash: Crash, round: u64) -> CrashMachine {
        let place = match point {
            CrashPoint::Submitted(count) => count * 2,
            CrashPoint::Completed(count) => count * 2 + 1,
        };
        let simulation = Simulation::new(round * 10_000 + place);
        let machine = simulation.machine("node");
        machine.disk().write("data/lock", Vec::new());
        machine.disk().crash_at(point, crash);
        CrashMachine { machine, simulation, crash }
    }

    /// Runs `work` until the machine stops, which it does at the latest when `work` is over.
    pub(in crate::log) fn run<T>(&self, work: impl AsyncFnOnce(&Machine) -> T) {
        self.simulation.block_on(async {
            let work = std::pin::pin!(work(&self.machine));
            let down = std::pin::pin!(self.machine.wait_until_down());
            if let Either::Left(_) = select(work, down).await {
                self.machine.crash(self.crash);
            }
        });
    }

    /// Starts the machine, and stops it within `operations` more of its disk's operations.
    pub(in crate::log) fn run_again<T>(&self, operations: u64, work: impl AsyncFnOnce(&Machine) -> T) {
        self.machine.restart();
        let disk = self.machine.disk();
        let more = 1 + self.simulation.rng().below(operations);
        disk.crash_at(CrashPoint::Completed(disk.completed_count() + more), self.crash);
        self.run(work);
    }

    /// Starts the machine, which doesn't stop any more.
    pub(in crate::log) fn come_back<T>(&self, then: impl AsyncFnOnce(&Machine) -> T) -> T {
        self.machine.disk().crash_at(CrashPoint::Completed(u64::MAX), self.crash);
        self.machine.restart();
        self.simulation.block_on(async { then(&self.machine).await })
    }
}

/// Tries every operation of a workload in turn, before it is done and after, so many rounds each. `is_done` crashes there,
/// and says whether the workload had ended before the crash came.
pub(in crate::log) fn at_every_point(rounds: u64, is_done: impl Fn(CrashPoint, u64) -> bool) {
    for point in [CrashPoint::Submitted, CrashPoint::Completed] {
        let in_all_rounds = |count| (0..rounds).fold(true, |done, round| is_done(point(count), round) & done);
        let end = (1..).find(|count| in_all_rounds(*count));
        assert!(end.is_some_and(|count| count > 100), "the workload has many operations");
    }
}
