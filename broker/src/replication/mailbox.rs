//! What comes back to a shard: completions from the disk's threads, from tasks, and from inside the shard's own calls.
//!
//! A small append is done inside the call that submits it, so its completion is there while the shard runs. A channel
//! would wake the shard for it, which then is polled once more for nothing. Here only a shard that sleeps is woken:
//! taking what has come clears the waker.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// The side that puts in. Cheap to clone.
pub(super) struct MailboxSender<T> {
    state: Arc<Mutex<State<T>>>,
}

/// The side that takes out; there is one.
pub(super) struct Mailbox<T> {
    state: Arc<Mutex<State<T>>>,
}

struct State<T> {
    items: Vec<T>,
    /// Of the receiver, while it sleeps.
    waker: Option<Waker>,
    /// Nobody will take anything any more.
    is_closed: bool,
}

/// An empty mailbox. It is unbounded: each item is the answer to one operation that its receiver has submitted.
pub(super) fn mailbox<T>() -> (MailboxSender<T>, Mailbox<T>) {
    let state = Arc::new(Mutex::new(State { items: Vec::new(), waker: None, is_closed: false }));
    (MailboxSender { state: Arc::clone(&state) }, Mailbox { state })
}

impl<T> Clone for MailboxSender<T> {
    fn clone(&self) -> MailboxSender<T> {
        MailboxSender { state: Arc::clone(&self.state) }
    }
}

impl<T> MailboxSender<T> {
    /// Puts in `item`; it is dropped if the receiver is gone, who then waits for nothing.
    pub(super) fn send(&self, item: T) {
        let mut state = self.state.lock();
        if state.is_closed {
            drop(state);
            return;
        }
        state.items.push(item);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Mailbox<T> {
    /// Takes all that has come in, in its order, into `items`, which is empty. Nobody wakes the receiver until it waits
    /// again. Says whether there was anything.
    pub(super) fn take(&mut self, items: &mut Vec<T>) -> bool {
        assert!(items.is_empty(), "what was taken before has been seen to");
        let mut state = self.state.lock();
        state.waker = None;
        std::mem::swap(&mut state.items, items);
        !items.is_empty()
    }

    /// Waits until there is something to take.
    pub(super) async fn filled(&mut self) {
        std::future::poll_fn(|context| self.poll_filled(context)).await;
    }

    fn poll_filled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if !state.items.is_empty() {
            return Poll::Ready(());
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        let items = {
            let mut state = self.state.lock();
            state.is_closed = true;
            std::mem::take(&mut state.items)
        };
        // Outside the lock: what an item drops may send.
        drop(items);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Wakes>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_filled(mailbox: &mut Mailbox<u32>, wakes: &Arc<Wakes>) -> bool {
        let waker = Waker::from(Arc::clone(wakes));
        mailbox.poll_filled(&mut Context::from_waker(&waker)).is_ready()
    }

    #[test]
    fn a_receiver_is_woken_once_and_only_while_it_sleeps() {
        let (sender, mut mailbox) = mailbox();
        let wakes = Arc::new(Wakes::default());
        let mut items = Vec::new();
        assert!(!is_filled(&mut mailbox, &wakes));
        sender.send(1);
        sender.send(2);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(is_filled(&mut mailbox, &wakes));
        assert!(mailbox.take(&mut items));
        assert_eq!(items, [1, 2]);
        items.clear();

        // It runs for another reason, and takes before it works.
        assert!(!is_filled(&mut mailbox, &wakes));
        assert!(!mailbox.take(&mut items));
        sender.send(3);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "it runs");
        assert!(is_filled(&mut mailbox, &wakes));
    }

    #[test]
    fn what_is_sent_to_nobody_is_dropped() {
        let (sender, mailbox) = mailbox();
        let item = Arc::new(());
        sender.send(Arc::clone(&item));
        drop(mailbox);
        sender.clone().send(Arc::clone(&item));
        assert_eq!(Arc::strong_count(&item), 1);
    }
}
