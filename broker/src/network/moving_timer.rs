//! A timer whose moment moves on each time something happens, as a connection's time-outs do.
//!
//! Setting a timer and taking it back costs more than reading what has arrived. So the timer stays where it was set
//! while its moment moves on, and only when it goes off is it set again: once in a time-out instead of for each request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ottla_runtime::{Clock, MonotonicTime, Sleep};

/// Not set at first.
#[derive(Default)]
pub(super) struct MovingTimer {
    /// Goes off at the moment that is waited for, or before.
    set: Option<Sleep>,
}

impl MovingTimer {
    /// Ready once it is `at`. The next call may name another moment.
    pub(super) fn poll_at(
        &mut self,
        context: &mut Context<'_>,
        clock: &Clock,
        at: MonotonicTime,
    ) -> Poll<()> {
        loop {
            let sleep = match &mut self.set {
                Some(sleep) if sleep.deadline() <= at => sleep,
                set => set.insert(clock.sleep_until(at)),
            };
            ready!(Pin::new(&mut *sleep).poll(context));
            let was_set_to = sleep.deadline();
            self.set = None;
            if was_set_to == at {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use ottla_runtime::WallTime;

    use super::*;

    fn second(second: u64) -> MonotonicTime {
        MonotonicTime(0).after(Duration::from_secs(second))
    }

    #[test]
    fn it_goes_off_at_the_last_moment_that_was_named() {
        let (clock, handle) = Clock::manual(WallTime(0));
        let mut timer = MovingTimer::default();
        // The time, the moment that is waited for, whether it is there, and when the clock looks at it next.
        for (now, at, is_there, set_to) in [
            (0, 10, false, Some(10)),
            (1, 11, false, Some(10)),
            (9, 19, false, Some(10)),
            (10, 20, false, Some(20)),
            (12, 15, false, Some(15)),
            (14, 30, false, Some(15)),
            (16, 30, false, Some(30)),
            (30, 30, true, None),
            (31, 32, false, Some(32)),
            (40, 40, true, None),
            (41, 41, true, None),
        ] {
            handle.advance_to(second(now));
            let polled = poll_fn(|context| timer.poll_at(context, &clock, second(at))).now_or_never();
            assert_eq!(polled.is_some(), is_there, "at {now} for {at}");
            assert_eq!(handle.next_deadline(), set_to.map(second), "at {now} for {at}");
        }
    }
}
