//! The five seams between Ottla and the world: clock, randomness, tasks, network, disk.
//!
//! Broker and client reach the world through these and nothing else, so one program text runs on real sockets and
//! files, and inside a simulator in which one seed decides time, order, network and every disk fault. Each seam has
//! both implementations, and one conformance suite (`tests/`) holds them to the same behaviour. Beside them `watch`, a
//! value to wait on that wakes its waiters in an order of its own making.

pub mod clock;
pub mod disk;
pub mod net;
pub mod random;
pub mod real;
pub mod simulated;
pub mod spawn;
pub mod watch;

pub use clock::{Clock, MonotonicTime, Sleep, WallTime};
pub use disk::{Disk, DiskRef, DiskWait, File, FileRange, FileRef, FileWait};
pub use net::{Connection, ConnectionReader, ConnectionWriter, Listener, Net, NetRef};
pub use random::{Rng, RngSource};
pub use spawn::{Spawner, TaskEnd, TaskHandle, yield_now};

/// The five seams, handed to whatever needs the world. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    /// What time it is, and timers.
    pub clock: Clock,
    /// Where each part gets its own generator.
    pub rng: RngSource,
    /// Where tasks run.
    pub spawner: Spawner,
    /// Sockets.
    pub net: NetRef,
    /// Files.
    pub disk: DiskRef,
}
