//! One node: its seams, its crashes and restarts, its wall clock.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::disk::{DiskShared, MachineDisk, SimulatedDisk};
use super::executor::MachineExecutor;
use super::net::MachineNet;
use super::trace::Noted;
use super::world::World;
use super::{Boot, Crash, MachineId};
use crate::Runtime;
use crate::clock::{Clock, ClockHandle, WallTime};
use crate::random::RngSource;
use crate::spawn::Spawner;

/// What the calendar says when a simulation begins: 2026-01-01T00:00:00Z.
pub(super) const WALL_AT_START: WallTime = WallTime(1_767_225_600_000);

/// A node of the simulation. Its disk outlives its crashes; its tasks, connections and clock do not. Cheap to clone.
#[derive(Clone)]
pub struct Machine {
    world: Arc<World>,
    state: Arc<MachineState>,
}

pub(super) struct MachineState {
    pub(super) id: MachineId,
    pub(super) name: String,
    pub(super) disk: Arc<DiskShared>,
    /// The number of the start that runs, 0 while the machine is down.
    running: AtomicU64,
    starts: AtomicU64,
    /// How far this machine's calendar is ahead of the simulation's.
    wall_ahead_millis: AtomicI64,
    seams: Mutex<Option<Seams>>,
    up: watch::Sender<bool>,
}

/// What one start of a machine has.
struct Seams {
    runtime: Runtime,
    clock: Arc<ClockHandle>,
}

impl MachineState {
    pub(super) fn new(id: MachineId, name: &str, disk: Arc<DiskShared>) -> MachineState {
        MachineState {
            id,
            name: name.to_owned(),
            disk,
            running: AtomicU64::new(0),
            starts: AtomicU64::new(0),
            wall_ahead_millis: AtomicI64::new(0),
            seams: Mutex::new(None),
            up: watch::channel(false).0,
        }
    }

    pub(super) fn running(&self) -> Option<Boot> {
        let number = self.running.load(Ordering::Relaxed);
        (number != 0).then_some(Boot { machine: self.id, number })
    }

    /// Marks this start as over; says whether it was running.
    pub(super) fn stop_running(&self, boot: Boot) -> bool {
        let running = self.running() == Some(boot);
        if running {
            self.running.store(0, Ordering::Relaxed);
        }
        running
    }

    pub(super) fn take_runtime(&self) -> Option<Runtime> {
        self.seams.lock().take().map(|seams| seams.runtime)
    }

    pub(super) fn tell_stopped(&self) {
        self.up.send_replace(false);
    }
}

/// The address of a machine, at which others reach it.
pub(super) fn ip_of(machine: MachineId) -> IpAddr {
    let number = u16::try_from(machine.0 + 1).expect("fewer than 65,535 machines");
    let [high, low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
}

impl Machine {
    pub(super) fn new(world: Arc<World>, state: Arc<MachineState>) -> Machine {
        Machine { world, state }
    }

    /// Its name, which is also its host name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    pub(super) fn id(&self) -> MachineId {
        self.state.id
    }

    /// Its address, at which the others reach it.
    pub fn ip(&self) -> IpAddr {
        ip_of(self.state.id)
    }

    /// Its five seams.
    ///
    /// # Panics
    /// While it is down.
    pub fn runtime(&self) -> Runtime {
        let seams = self.state.seams.lock();
        let seams = seams.as_ref().unwrap_or_else(|| panic!("machine {:?} is down", self.state.name));
        seams.runtime.clone()
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        self.state.running().is_some()
    }

    /// Waits until it is down.
    pub async fn wait_until_down(&self) {
        let mut up = self.state.up.subscribe();
        // The sender lives in the machine, so waiting cannot fail.
        let _closed = up.wait_for(|up| !up).await;
    }

    /// Stops it, now: its tasks are dropped where they wait, its operations in flight are cut short, peers see their
    /// connections reset. Does nothing while it is down.
    pub fn crash(&self, crash: Crash) {
        if let Some(boot) = self.state.running() {
            self.world.crash(boot, crash);
        }
    }

    /// Starts it again on the same disk, with clocks and generators of its own, as a new process has.
    ///
    /// # Panics
    /// While it is up.
    pub fn restart(&self) -> Runtime {
        self.start()
    }

    /// Its disk: faults, crash points, and what a test may look at or damage.
    pub fn disk(&self) -> SimulatedDisk {
        SimulatedDisk::new(Arc::clone(&self.state.disk))
    }

    /// Moves its calendar by so many milliseconds, as an operator or NTP would. The monotonic clock goes on as before,
    /// and the difference stays over restarts.
    pub fn jump_wall(&self, millis: i64) {
        self.state.wall_ahead_millis.fetch_add(millis, Ordering::Relaxed);
        if let Some(seams) = &*self.state.seams.lock() {
            seams.clock.set_wall(WallTime(seams.runtime.clock.wall().0 + millis));
        }
    }

    pub(super) fn start(&self) -> Runtime {
        let state = &self.state;
        assert!(state.running().is_none(), "machine {:?} is up", state.name);
        let number = state.starts.fetch_add(1, Ordering::Relaxed) + 1;
        state.running.store(number, Ordering::Relaxed);
        let boot = Boot { machine: state.id, number };
        self.world.trace.note(Noted::Started, state.id.0 as u64);
        state.disk.start(boot);

        let since_start = i64::try_from(self.world.nanos() / 1_000_000).unwrap_or(i64::MAX);
        let ahead = state.wall_ahead_millis.load(Ordering::Relaxed);
        let (clock, handle) = Clock::manual(WallTime(WALL_AT_START.0 + since_start + ahead));
        let handle = Arc::new(handle);
        self.world.drive_clock(Some(boot), Arc::clone(&handle));
        let runtime = Runtime {
            clock,
            rng: RngSource::seeded(self.world.fork_rng().next_u64()),
            spawner: Spawner::new(Arc::new(MachineExecutor { world: Arc::clone(&self.world), boot })),
            net: Arc::new(MachineNet::new(Arc::clone(&self.world), boot)),
            disk: Arc::new(MachineDisk::new(Arc::clone(&self.world), Arc::clone(&state.disk), boot)),
        };
        *state.seams.lock() = Some(Seams { runtime: runtime.clone(), clock: handle });
        state.up.send_replace(true);
        runtime
    }
}
