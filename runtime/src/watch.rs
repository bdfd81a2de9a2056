//! A value that tasks wait on, woken in the order in which they began to wait.
//!
//! What tokio's channel of this name does, but for one thing: that one spreads its waiters by a generator of its own, so
//! with several of them the order in which they wake differs between two runs of one seed. Where only one task waits, or
//! the order can't show, tokio's will do.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

/// Everybody who could set the value is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody sets the value any more")]
pub struct Closed;

/// Sets the value.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Mutex<State<T>>>,
}

/// Sees the value, and knows which one it has seen.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
    seen: u64,
}

#[derive(Debug)]
struct State<T> {
    value: T,
    version: u64,
    is_closed: bool,
    waiting: BTreeMap<u64, Waker>,
    next_place: u64,
}

/// The value, as long as it is looked at. Nobody sets it meanwhile, so it is not held for long, and never across an
/// `.await`.
#[derive(Debug)]
pub struct Ref<'a, T>(MutexGuard<'a, State<T>>);

impl<T> std::ops::Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// A value with one sender, and a receiver that has seen it.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    /// A value that nobody watches yet.
    pub fn new(value: T) -> Sender<T> {
        let state = State { value, version: 0, is_closed: false, waiting: BTreeMap::new(), next_place: 0 };
        Sender { shared: Arc::new(Mutex::new(state)) }
    }

    /// A receiver that has seen the value as it is.
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.shared.lock().version;
        Receiver { shared: Arc::clone(&self.shared), seen }
    }

    /// The value.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.lock())
    }

    /// Sets the value, and gives back the one before.
    pub fn send_replace(&self, value: T) -> T {
        let mut value = value;
        self.send_modify(|current| std::mem::swap(current, &mut value));
        value
    }

    /// Changes the value.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        let waiting = {
            let mut state = self.shared.lock();
            change(&mut state.value);
            state.version += 1;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.shared.lock();
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Receiver<T> {
    /// The value.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.lock())
    }

    /// The value, which counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let state = self.shared.lock();
        self.seen = state.version;
        Ref(state)
    }

    /// Whether there is a value that was not seen.
    pub fn has_changed(&self) -> Result<bool, Closed> {
        let state = self.shared.lock();
        match self.seen != state.version {
            true => Ok(true),
            false if state.is_closed => Err(Closed),
            false => Ok(false),
        }
    }

    /// The value as it is counts as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.lock().version;
    }

    /// Waits for a value that was not seen, and takes it as seen.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        let mut place = Place { shared: &self.shared, number: None };
        let seen = &mut self.seen;
        poll_fn(|context| {
            place.poll(context, |state| {
                let changed = *seen != state.version;
                *seen = state.version;
                changed
            })
        })
        .await
    }

    /// Waits until the value has been as it is wanted, and gives it as it is then.
    pub async fn wait_for(&mut self, mut is_wanted: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, Closed> {
        {
            let mut place = Place { shared: &self.shared, number: None };
            let seen = &mut self.seen;
            poll_fn(|context| {
                place.poll(context, |state| {
                    *seen = state.version;
                    is_wanted(&state.value)
                })
            })
            .await?;
        }
        Ok(Ref(self.shared.lock()))
    }
}

/// A place among those who wait. Dropping it is giving up.
struct Place<'a, T> {
    shared: &'a Mutex<State<T>>,
    number: Option<u64>,
}

impl<T> Place<'_, T> {
    fn poll(
        &mut self,
        context: &Context<'_>,
        mut is_done: impl FnMut(&State<T>) -> bool,
    ) -> Poll<Result<(), Closed>> {
        let mut state = self.shared.lock();
        if is_done(&state) {
            return Poll::Ready(Ok(()));
        }
        if state.is_closed {
            return Poll::Ready(Err(Closed));
        }
        let number = *self.number.get_or_insert_with(|| {
            state.next_place += 1;
            state.next_place
        });
        state.waiting.insert(number, context.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.shared.lock().waiting.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Notes when it is woken, in one order with others.
    #[derive(Default)]
    struct Noted {
        order: Arc<AtomicUsize>,
        woken_as: AtomicUsize,
    }

    impl Wake for Noted {
        fn wake(self: Arc<Self>) {
            self.woken_as.store(self.order.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    #[test]
    fn waiters_wake_in_the_order_in_which_they_began_to_wait() {
        let (sender, receiver) = channel(0);
        let order = Arc::new(AtomicUsize::new(0));
        let wakers: Vec<_> =
            (0..20).map(|_| Arc::new(Noted { order: Arc::clone(&order), ..Noted::default() })).collect();
        let mut receivers = vec![receiver; wakers.len()];
        let mut waits: Vec<_> = receivers.iter_mut().map(|receiver| Box::pin(receiver.changed())).collect();
        for (wait, waker) in waits.iter_mut().zip(&wakers) {
            let waker = Waker::from(Arc::clone(waker));
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        sender.send_replace(1);
        let woken: Vec<_> = wakers.iter().map(|waker| waker.woken_as.load(Ordering::Relaxed)).collect();
        assert_eq!(woken, (1..=20).collect::<Vec<_>>());
    }

    fn poll<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_receiver_sees_each_change_once() {
        let (sender, mut receiver) = channel(1);
        assert_eq!(receiver.has_changed(), Ok(false));
        assert!(poll(receiver.changed()).is_pending());
        assert_eq!(sender.send_replace(2), 1);
        assert_eq!(receiver.has_changed(), Ok(true));
        assert_eq!(poll(receiver.changed()), Poll::Ready(Ok(())));
        assert_eq!(*receiver.borrow(), 2);
        assert!(poll(receiver.changed()).is_pending());
        sender.send_modify(|value| *value += 1);
        assert_eq!(*receiver.borrow_and_update(), 3);
        assert!(poll(receiver.changed()).is_pending());
        sender.send_replace(4);
        receiver.mark_unchanged();
        assert_eq!(receiver.has_changed(), Ok(false));
    }

    #[test]
    fn a_value_can_be_waited_for() {
        let (sender, mut receiver) = channel(1);
        assert!(poll(receiver.wait_for(|value| *value > 1)).is_pending());
        sender.send_replace(5);
        match poll(receiver.wait_for(|value| *value > 1)) {
            Poll::Ready(Ok(value)) => assert_eq!(*value, 5),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whoever_waits_is_told_that_nobody_sets_it_any_more() {
        let (sender, mut receiver) = channel(1);
        sender.send_replace(2);
        drop(sender);
        assert_eq!(poll(receiver.changed()), Poll::Ready(Ok(())), "the last value first");
        assert_eq!(poll(receiver.changed()), Poll::Ready(Err(Closed)));
        assert_eq!(receiver.has_changed(), Err(Closed));
        assert!(matches!(poll(receiver.wait_for(|value| *value > 2)), Poll::Ready(Err(Closed))));
    }
}
