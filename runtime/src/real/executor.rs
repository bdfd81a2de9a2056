//! Tasks on a tokio runtime, and named threads.

use tokio::runtime::Handle;

use crate::net::BoxFuture;
use crate::spawn::Executor;

/// Runs tasks on a tokio runtime and work on threads of the system.
pub struct TokioExecutor {
    handle: Handle,
}

impl TokioExecutor {
    /// Tasks run on the runtime of `handle`.
    pub fn new(handle: Handle) -> TokioExecutor {
        TokioExecutor { handle }
    }
}

impl Executor for TokioExecutor {
    fn execute(&self, name: &'static str, future: BoxFuture<()>) {
        tracing::trace!(name, "task started");
        // Dropping tokio's own handle lets the task go on; the Spawner's handle is what reports its end.
        drop(self.handle.spawn(future));
    }

    fn parallelism(&self) -> usize {
        std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
    }

    /// Panics if the system gives no more threads: there are a fixed few, all asked for soon after the start, and
    /// work that silently never runs would hang whoever waits for it.
    fn execute_thread(&self, name: &'static str, work: Box<dyn FnOnce() + Send + 'static>) {
        let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        started.expect("the system gives this process another thread");
    }
}
