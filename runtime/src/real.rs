//! The seams on the machine itself: tokio's threads and sockets, the kernel's files, the system's clock.
//!
//! tokio's timers and file operations are not used: time is the [`Clock`]'s, and files have threads of their own,
//! because a pool that all kinds of blocking work share lets a slow sync hold up an append.

mod disk;
mod executor;
mod net;

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};

pub use disk::RealDisk;
pub use executor::TokioExecutor;
pub use net::TokioNet;

use crate::{Clock, RngSource, Runtime, Spawner};

impl Runtime {
    /// The seams on the machine, with tasks and sockets on the tokio runtime of `handle`, whose IO driver must be
    /// enabled. Threads of the clock and the disk leave once the last clone and every open file are dropped.
    pub fn real(handle: Handle) -> Runtime {
        let spawner = Spawner::new(Arc::new(TokioExecutor::new(handle.clone())));
        Runtime {
            clock: Clock::system(&spawner),
            rng: RngSource::seeded(seed_from_the_system()),
            net: Arc::new(TokioNet::new(handle, spawner.clone())),
            disk: Arc::new(RealDisk::new(spawner.clone())),
            spawner,
        }
    }
}

/// Builds a runtime on the machine, runs what `main` makes of it to its end, and stops every task that is left.
///
/// `worker_threads` is how many threads run tasks; without it, one for each processor. For a program's main function:
/// it must not be called from a task.
pub fn block_on<F, M>(worker_threads: Option<NonZeroUsize>, main: M) -> io::Result<F::Output>
where
    F: Future,
    M: FnOnce(Runtime) -> F,
{
    let mut builder = Builder::new_multi_thread();
    builder.thread_name("ottla-worker").enable_io();
    if let Some(count) = worker_threads {
        builder.worker_threads(count.get());
    }
    let tokio = builder.build()?;
    Ok(tokio.block_on(main(Runtime::real(tokio.handle().clone()))))
}

/// A number that nobody can foresee: the standard library's hash keys come from the system's entropy.
fn seed_from_the_system() -> u64 {
    RandomState::new().hash_one("ottla")
}
