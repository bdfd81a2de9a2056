//! Whether the broker stops, for a task that asks at each of its turns.
//!
//! Waiting anew for a token at each turn costs more than the rest of a short turn, and so does asking the token, which is
//! behind a lock. Here the wait is begun once, and what it wakes is a flag that is looked at.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A token that one task waits for, beside other things.
pub(super) struct StopSignal {
    waiting: Pin<Box<WaitForCancellationFutureOwned>>,
    /// What the token wakes, once it has been asked.
    flag: Option<Arc<StopFlag>>,
}

/// Says that the token has something to tell, and wakes the task that waits for it.
struct StopFlag {
    is_up: AtomicBool,
    task: Waker,
}

impl Wake for StopFlag {
    fn wake(self: Arc<Self>) {
        self.is_up.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl StopSignal {
    pub(super) fn new(token: CancellationToken) -> StopSignal {
        StopSignal { waiting: Box::pin(token.cancelled_owned()), flag: None }
    }

    /// Ready once the broker stops, and from then on.
    pub(super) fn poll_stopped(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let is_awaited = self
            .flag
            .as_ref()
            .is_some_and(|flag| !flag.is_up.load(Ordering::Acquire) && flag.task.will_wake(context.waker()));
        if is_awaited {
            return Poll::Pending;
        }
        let flag = Arc::new(StopFlag { is_up: AtomicBool::new(false), task: context.waker().clone() });
        let waker = Waker::from(Arc::clone(&flag));
        self.flag = Some(flag);
        ready!(self.waiting.as_mut().poll(&mut Context::from_waker(&waker)));
        // Asked again, it is asked of the token again, which stays cancelled.
        self.flag = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_asked_last_is_woken_when_the_broker_stops() {
        let token = CancellationToken::new();
        let mut signal = StopSignal::new(token.clone());
        let (first, second) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        for woken in [&first, &first, &second, &second] {
            let waker = Waker::from(Arc::clone(woken));
            assert!(signal.poll_stopped(&mut Context::from_waker(&waker)).is_pending());
        }
        token.cancel();
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
        assert!(signal.poll_stopped(&mut Context::from_waker(Waker::noop())).is_ready());
    }

    #[test]
    fn one_that_begins_late_stops_at_once() {
        let token = CancellationToken::new();
        token.cancel();
        let mut signal = StopSignal::new(token);
        assert!(signal.poll_stopped(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
