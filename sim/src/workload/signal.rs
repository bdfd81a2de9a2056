//! A value that tasks wait on, woken in the order in which they began to wait.
//!
//! tokio's `watch` will not do here: it spreads its waiters by a generator of its own, so the order in which they wake
//! differs between two runs of one seed.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// The value, and who waits for another.
#[derive(Debug)]
pub(crate) struct Signal<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    value: T,
    waiting: BTreeMap<u64, Waker>,
    next: u64,
}

impl<T: Copy + PartialOrd> Signal<T> {
    pub(crate) fn new(value: T) -> Signal<T> {
        Signal(Mutex::new(State { value, waiting: BTreeMap::new(), next: 0 }))
    }

    pub(crate) fn get(&self) -> T {
        self.0.lock().value
    }

    /// Sets the value, and wakes everybody who waits.
    pub(crate) fn set(&self, value: T) {
        let waiting = {
            let mut state = self.0.lock();
            state.value = value;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }

    /// Completes once the value is at least `wanted`.
    pub(crate) fn reach(&self, wanted: T) -> Reach<'_, T> {
        Reach { signal: self, wanted, number: None }
    }
}

/// Waits for a value. Dropping it is giving up.
pub(crate) struct Reach<'a, T: Copy + PartialOrd> {
    signal: &'a Signal<T>,
    wanted: T,
    number: Option<u64>,
}

impl<T: Copy + PartialOrd + Unpin> Future for Reach<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let signal = self.signal;
        let mut state = signal.0.lock();
        if state.value >= self.wanted {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            state.next += 1;
            state.next
        });
        state.waiting.insert(number, context.waker().clone());
        Poll::Pending
    }
}

impl<T: Copy + PartialOrd> Drop for Reach<'_, T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.signal.0.lock().waiting.remove(&number);
        }
    }
}
