//! Whether the broker stops, for a task that asks at each of its turns.
//!
//! Waiting anew for a token at each turn costs more than the rest of a short turn; here the wait is begun once.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A token that one task waits for, beside other things.
pub(super) struct StopSignal {
    token: CancellationToken,
    waiting: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whom it wakes.
    waker: Option<Waker>,
}

impl StopSignal {
    pub(super) fn new(token: CancellationToken) -> StopSignal {
        StopSignal { waiting: Box::pin(token.clone().cancelled_owned()), token, waker: None }
    }

    /// Ready once the broker stops.
    pub(super) fn poll_stopped(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.token.is_cancelled() {
            return Poll::Ready(());
        }
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        self.waker = Some(context.waker().clone());
        self.waiting.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

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
