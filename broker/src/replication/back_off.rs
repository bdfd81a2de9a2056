//! When a log that could not be opened is tried again: soon at first, then ever more rarely. Pure.
//!
//! Whoever uses the log in between is told at once that it can't be used: looking at the same broken files for every
//! request would keep the disk from those who can be served.

use std::time::Duration;

use ottla_runtime::MonotonicTime;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// At most.
const LONGEST: Duration = Duration::from_secs(30);

/// The failures of one log since it was last open; it is forgotten when the log opens.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    until: MonotonicTime,
    failures: u32,
}

impl BackOff {
    /// Whether it may be tried now.
    pub(super) fn is_over(&self, now: MonotonicTime) -> bool {
        self.until <= now
    }

    /// It could not be opened.
    pub(super) fn on_failure(&mut self, now: MonotonicTime) {
        let delay = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.until = now.after(delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_half_a_minute() {
        let mut back_off = BackOff::default();
        let mut now = MonotonicTime(5);
        assert!(back_off.is_over(now));
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            back_off.on_failure(now);
            assert!(!back_off.is_over(now.after(Duration::from_millis(seconds * 1_000 - 1))), "{seconds}");
            now = now.after(Duration::from_secs(seconds));
            assert!(back_off.is_over(now), "{seconds}");
        }
    }
}
