//! How fast compaction goes: what may be read and written in a second, and that it never goes on for long at a time.

use std::time::Duration;

use ottla_runtime::MonotonicTime;

/// What was saved up by going slower than allowed: no more than this is caught up on.
const BURST: Duration = Duration::from_millis(100);

/// Says how long to wait after each piece.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second_max: Option<u64>,
    /// By when all that was done so far may have been done.
    due: MonotonicTime,
}

impl Pace {
    pub(super) fn new(now: MonotonicTime, bytes_per_second_max: Option<u64>) -> Pace {
        Pace { bytes_per_second_max, due: now }
    }

    /// So many bytes were read or written; says how long to wait before the next.
    pub(super) fn on_bytes(&mut self, now: MonotonicTime, bytes: u64) -> Duration {
        let Some(rate) = self.bytes_per_second_max else { return Duration::ZERO };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let earliest = MonotonicTime(now.0.saturating_sub(BURST.as_nanos() as u64));
        self.due = self.due.max(earliest).after(takes);
        self.due.since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonotonicTime {
        MonotonicTime(millis * 1_000_000)
    }

    #[test]
    fn no_more_is_done_than_the_rate_allows() {
        let mut pace = Pace::new(at(5_000), Some(1_000));
        assert_eq!(pace.on_bytes(at(5_000), 500), Duration::from_millis(500));
        assert_eq!(pace.on_bytes(at(5_500), 500), Duration::from_millis(500));
        // What was not done in time may be caught up on, a little of it.
        assert_eq!(pace.on_bytes(at(9_000), 500), Duration::from_millis(400));
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        assert_eq!(Pace::new(at(0), None).on_bytes(at(0), u64::MAX), Duration::ZERO);
    }
}
