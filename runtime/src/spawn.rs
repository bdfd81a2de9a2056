//! Where tasks run: tokio's threads, or the simulator's single one.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::{AbortHandle, Abortable};
use tokio::sync::oneshot;

use crate::net::BoxFuture;

/// Starts tasks. Cheap to clone.
#[derive(Clone)]
pub struct Spawner {
    executor: Arc<dyn Executor>,
}

/// What a kind of runtime gives so that tasks can be started on it.
pub trait Executor: Send + Sync + 'static {
    /// Runs `future` to its end beside the others. The name is for traces.
    fn execute(&self, name: &'static str, future: BoxFuture<()>);

    /// Runs `future` to its end where it holds up none of the others, however long it computes without waiting.
    fn execute_apart(&self, name: &'static str, future: BoxFuture<()>) {
        self.execute(name, future);
    }

    /// Runs `work` on a thread of its own. Only real disks and clocks ask for one; a simulator panics.
    fn execute_thread(&self, name: &'static str, work: Box<dyn FnOnce() + Send + 'static>);

    /// How many tasks can run at the same moment.
    fn parallelism(&self) -> usize;

    /// Hears that a task panicked, whether or not anybody awaits its handle. A simulator fails the run.
    fn on_panic(&self, _name: &'static str, _message: &str) {}
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEnd {
    /// It ran to its end.
    Finished,
    /// It was aborted, or its runtime went away.
    Aborted,
    /// It panicked: an invariant did not hold. The text is the panic's message.
    Panicked(String),
}

/// A task that was started. Dropping the handle lets the task go on; awaiting it says how the task ended.
pub struct TaskHandle {
    abort: AbortHandle,
    end: oneshot::Receiver<TaskEnd>,
}

impl Spawner {
    /// A spawner on this kind of runtime.
    pub fn new(executor: Arc<dyn Executor>) -> Spawner {
        Spawner { executor }
    }

    /// How many tasks can run at the same moment, as a measure for how many to share work among; at least 1.
    pub fn parallelism(&self) -> usize {
        self.executor.parallelism().max(1)
    }

    /// Starts `future` as a task. A panic in it ends that task alone and is what the handle answers.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> TaskHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (future, handle) = self.guarded(name, future);
        self.executor.execute(name, future);
        handle
    }

    /// Like [`Spawner::spawn`], for a task that computes much: it holds no other task up meanwhile.
    pub fn spawn_apart<F>(&self, name: &'static str, future: F) -> TaskHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (future, handle) = self.guarded(name, future);
        self.executor.execute_apart(name, future);
        handle
    }

    /// What runs in place of `future` so that it can be aborted, and its end be heard of.
    fn guarded<F>(&self, name: &'static str, future: F) -> (BoxFuture<()>, TaskHandle)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (abort, registration) = AbortHandle::new_pair();
        let (send_end, end) = oneshot::channel();
        let guarded = AssertUnwindSafe(Abortable::new(future, registration)).catch_unwind();
        let executor = Arc::clone(&self.executor);
        let future = Box::pin(async move {
            let end = match guarded.await {
                Ok(Ok(())) => TaskEnd::Finished,
                Ok(Err(_aborted)) => TaskEnd::Aborted,
                Err(panic) => {
                    let message = panic_message(panic.as_ref());
                    executor.on_panic(name, &message);
                    TaskEnd::Panicked(message)
                }
            };
            // Nobody need be waiting: the handle may have been dropped.
            let _unheard = send_end.send(end);
        });
        (future, TaskHandle { abort, end })
    }

    /// Runs `work` on a thread of its own, until it returns.
    pub fn spawn_thread<F>(&self, name: &'static str, work: F)
    where
        F: FnOnce() + Send + 'static,
    {
        self.executor.execute_thread(name, Box::new(work));
    }
}

impl TaskHandle {
    /// Ends the task at its next point of waiting.
    pub fn abort(&self) {
        self.abort.abort();
    }
}

impl Future for TaskHandle {
    type Output = TaskEnd;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TaskEnd> {
        Pin::new(&mut self.end).poll(context).map(|end| end.unwrap_or(TaskEnd::Aborted))
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "panic without a message".to_owned()
    }
}

/// Completes when the other tasks that can run on this thread have had a turn, and for one that was spawned apart the
/// other threads that wait for its processor.
pub async fn yield_now() {
    let mut has_waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
