//! Tasks on a tokio runtime, and named threads.

use std::future::poll_fn;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

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

    /// A thread of its own drives it. It is dropped when the runtime is: a task there tells.
    fn execute_apart(&self, name: &'static str, mut future: BoxFuture<()>) {
        let (alive, runtime_is_gone) = oneshot::channel::<()>();
        let (running, has_ended) = oneshot::channel::<()>();
        drop(self.handle.spawn(async move {
            let _dropped = has_ended.await;
            drop(alive);
        }));
        let handle = self.handle.clone();
        self.execute_thread(
            name,
            Box::new(move || {
                let _running = running;
                let courteous = poll_fn(move |context| {
                    let state = future.as_mut().poll(context);
                    if state.is_pending() {
                        // Linux lets a thread that only computes go on for milliseconds while a sync's thread, just woken,
                        // waits for its processor. This thread says where it may be interrupted.
                        std::thread::yield_now();
                    }
                    state
                });
                handle.block_on(async {
                    tokio::select! {
                        () = courteous => {}
                        _ = runtime_is_gone => {}
                    }
                });
            }),
        );
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
