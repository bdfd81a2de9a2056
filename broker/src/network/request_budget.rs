//! How many bytes of requests may be in memory at once, over all connections (`queued.max.request.bytes`).
//!
//! Only bytes that have arrived count: announcing a frame costs nothing, so clients that announce and send nothing
//! take nothing from the others. When the budget is used up a connection stops reading, and its client waits in
//! TCP. Two rules keep this from standing still: the oldest frame that has begun to arrive may always go on, and so a
//! frame larger than the whole budget gets through too, alone. Bytes are given back when the request they belong to
//! has been dealt with (its [`RequestBytes`] is dropped).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// The budget that all connections of a broker share.
#[derive(Debug)]
pub(crate) struct RequestBudget {
    capacity: u64,
    state: Mutex<State>,
}

/// How a budget stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BudgetUsage {
    /// Bytes received and not given back yet.
    pub(crate) used: u64,
    /// Frames that wait to be read on.
    pub(crate) waiting: u64,
    /// Bytes that there may be.
    pub(crate) capacity: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes received and not given back yet.
    used: u64,
    next_serial: u64,
    /// Frames that have begun to arrive, oldest first, with whoever waits to read on.
    unfinished: BTreeMap<u64, Option<Waker>>,
}

impl RequestBudget {
    /// A budget of `capacity` bytes.
    pub(crate) fn new(capacity: u64) -> Arc<RequestBudget> {
        Arc::new(RequestBudget { capacity, state: Mutex::default() })
    }

    /// How it stands at this moment.
    pub(crate) fn usage(&self) -> BudgetUsage {
        let state = self.state.lock();
        let waiting = state.unfinished.values().filter(|waker| waker.is_some()).count();
        BudgetUsage { used: state.used, waiting: waiting as u64, capacity: self.capacity }
    }

    /// A frame has begun to arrive, with its first `held` bytes.
    pub(crate) fn begin(self: &Arc<Self>, held: u64) -> RequestBytes {
        let mut state = self.state.lock();
        let serial = state.next_serial;
        state.next_serial += 1;
        state.unfinished.insert(serial, None);
        state.used += held;
        RequestBytes { budget: Arc::clone(self), serial, held, finished: false }
    }

    /// A frame of `held` bytes has arrived at one go.
    pub(crate) fn take_whole(self: &Arc<Self>, held: u64) -> RequestBytes {
        let mut state = self.state.lock();
        let serial = state.next_serial;
        state.next_serial += 1;
        state.used += held;
        RequestBytes { budget: Arc::clone(self), serial, held, finished: true }
    }

    fn wake(wakers: impl IntoIterator<Item = Waker>) {
        for waker in wakers {
            waker.wake();
        }
    }
}

/// The bytes of one frame, counted against the budget until this is dropped.
#[derive(Debug)]
pub(crate) struct RequestBytes {
    budget: Arc<RequestBudget>,
    serial: u64,
    held: u64,
    finished: bool,
}

impl RequestBytes {
    /// Ready when more of this frame may be read.
    pub(crate) fn poll_admitted(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.budget.state.lock();
        let is_oldest = state.unfinished.first_key_value().is_some_and(|(first, _)| *first == self.serial);
        if state.used < self.budget.capacity || is_oldest {
            return Poll::Ready(());
        }
        state.unfinished.insert(self.serial, Some(context.waker().clone()));
        Poll::Pending
    }

    /// `count` more bytes of this frame have arrived.
    pub(crate) fn add(&mut self, count: u64) {
        self.held += count;
        self.budget.state.lock().used += count;
    }

    /// The frame is complete: it is no longer among those that are arriving, but its bytes still count.
    pub(crate) fn finish(&mut self) {
        if self.finished {
            return;
        }
        self.finished = true;
        let next = {
            let mut state = self.budget.state.lock();
            state.unfinished.remove(&self.serial);
            // Whoever is the oldest now may always go on.
            state.unfinished.first_entry().and_then(|mut oldest| oldest.get_mut().take())
        };
        RequestBudget::wake(next);
    }
}

impl Drop for RequestBytes {
    fn drop(&mut self) {
        self.finish();
        if self.held == 0 {
            return;
        }
        let waiting: Vec<Waker> = {
            let mut state = self.budget.state.lock();
            assert!(self.held <= state.used, "a frame gives back {} bytes of {}", self.held, state.used);
            state.used -= self.held;
            if state.used < self.budget.capacity {
                state.unfinished.values_mut().filter_map(Option::take).collect()
            } else {
                Vec::new()
            }
        };
        RequestBudget::wake(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct CountingWaker(AtomicUsize);

    impl Wake for CountingWaker {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn used(budget: &RequestBudget) -> u64 {
        budget.usage().used
    }

    fn admitted(bytes: &RequestBytes, waker: &Arc<CountingWaker>) -> bool {
        bytes.poll_admitted(&mut Context::from_waker(&Waker::from(Arc::clone(waker)))).is_ready()
    }

    #[test]
    fn announced_bytes_cost_nothing() {
        let budget = RequestBudget::new(100);
        let _announced: Vec<RequestBytes> = (0..1000).map(|_| budget.begin(0)).collect();
        let late = budget.begin(0);
        assert!(admitted(&late, &Arc::default()));
        assert_eq!(used(&budget), 0);
    }

    #[test]
    fn the_oldest_unfinished_frame_may_always_go_on() {
        let waker = Arc::default();
        let budget = RequestBudget::new(100);
        let mut oldest = budget.begin(0);
        let mut other = budget.begin(0);
        other.add(100);
        assert!(!admitted(&other, &waker));
        assert!(admitted(&oldest, &waker));
        oldest.add(1000);
        assert!(admitted(&oldest, &waker), "a frame larger than the budget gets through");
        oldest.finish();
        assert_eq!(waker.0.load(Ordering::Relaxed), 1, "the next one is woken");
        assert!(admitted(&other, &waker));
    }

    #[test]
    fn a_frame_that_came_at_one_go_holds_up_those_that_arrive_and_is_none_of_them() {
        let waker = Arc::default();
        let budget = RequestBudget::new(100);
        let whole = budget.take_whole(150);
        let oldest = budget.begin(10);
        let other = budget.begin(10);
        assert!(admitted(&oldest, &waker), "it is the oldest that arrives");
        assert!(!admitted(&other, &waker));
        assert_eq!(used(&budget), 170);
        drop(whole);
        assert_eq!(waker.0.load(Ordering::Relaxed), 1);
        assert_eq!(used(&budget), 20);
    }

    #[test]
    fn bytes_given_back_let_the_others_go_on() {
        let waker = Arc::default();
        let budget = RequestBudget::new(100);
        let _oldest = budget.begin(0);
        let mut full = budget.begin(0);
        full.add(100);
        full.finish();
        let waiting = budget.begin(0);
        assert!(!admitted(&waiting, &waker));
        drop(full);
        assert_eq!(waker.0.load(Ordering::Relaxed), 1);
        assert!(admitted(&waiting, &waker));
        assert_eq!(used(&budget), 0);
    }
}
