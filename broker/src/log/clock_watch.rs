//! Whether the calendar may be believed: compares the wall clock with the monotonic one.
//!
//! A wall clock that leaps ahead would make every record look old, and retention would remove what was written a
//! moment ago. So when it runs ahead by an hour, removing by age is suspended for an hour: time for NTP or an operator
//! to put it right. If it still stands there afterwards, that is what the time is. A clock that goes back only
//! makes records look younger, and one that drifts is followed.

use std::time::Duration;

use ottla_runtime::{MonotonicTime, WallTime};

/// How far ahead the wall clock has to be, and for how long removing by age is suspended then.
pub const LEAP: Duration = Duration::from_secs(3600);

/// The share of the passing time by which a wall clock may be fast before that counts as a leap: one in so many.
const DRIFT_SHARE: i64 = 10;

/// What an observation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockVerdict {
    /// The calendar is believed.
    Steady,
    /// It has just leapt: removing by age is suspended. Say so once.
    Leapt {
        /// By how much.
        ahead: Duration,
        /// Until when.
        until: MonotonicTime,
    },
    /// It leapt less than an hour ago.
    Suspended,
    /// The hour is over and the calendar is believed again. Say so once.
    Resumed,
}

impl ClockVerdict {
    /// Whether records may be removed by their age now.
    pub fn is_believed(self) -> bool {
        matches!(self, ClockVerdict::Steady | ClockVerdict::Resumed)
    }
}

/// Watches the two clocks. Observe at least before each use of the calendar; oftener is finer.
#[derive(Debug)]
pub struct ClockWatch {
    /// Where the wall clock is expected to be, less the monotonic one, in milliseconds.
    expected_ms: i64,
    observed_at: MonotonicTime,
    suspended_until: Option<MonotonicTime>,
}

impl ClockWatch {
    /// Begins with the clocks as they are.
    pub fn new(now: MonotonicTime, wall: WallTime) -> ClockWatch {
        ClockWatch { expected_ms: difference_ms(now, wall), observed_at: now, suspended_until: None }
    }

    /// Looks at both clocks, read together.
    pub fn observe(&mut self, now: MonotonicTime, wall: WallTime) -> ClockVerdict {
        let passed_ms = i64::try_from(now.since(self.observed_at).as_millis()).unwrap_or(i64::MAX);
        self.observed_at = now;
        let found_ms = difference_ms(now, wall);
        if let Some(until) = self.suspended_until {
            if now < until {
                return ClockVerdict::Suspended;
            }
            self.suspended_until = None;
            self.expected_ms = found_ms;
            return ClockVerdict::Resumed;
        }
        let ahead_ms = found_ms.saturating_sub(self.expected_ms);
        if i64::try_from(LEAP.as_millis()).is_ok_and(|leap_ms| leap_ms <= ahead_ms) {
            let until = now.after(LEAP);
            self.suspended_until = Some(until);
            return ClockVerdict::Leapt { ahead: Duration::from_millis(ahead_ms.unsigned_abs()), until };
        }
        self.expected_ms = found_ms.min(self.expected_ms.saturating_add(passed_ms / DRIFT_SHARE));
        ClockVerdict::Steady
    }
}

fn difference_ms(now: MonotonicTime, wall: WallTime) -> i64 {
    wall.0.saturating_sub(i64::try_from(now.0 / 1_000_000).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    /// Observes at (minutes on the monotonic clock, minutes on the wall clock), and expects belief or not.
    fn check(observations: &[(i64, i64, bool)]) {
        let at = |minutes: i64| MonotonicTime(minutes.unsigned_abs() * 60_000_000_000);
        let mut watch = ClockWatch::new(at(0), WallTime(0));
        for (now, wall, believed) in observations {
            let verdict = watch.observe(at(*now), WallTime(wall * MINUTE_MS));
            assert_eq!(verdict.is_believed(), *believed, "at {now}: {verdict:?}");
        }
    }

    #[test]
    fn clocks_that_go_together_are_believed() {
        check(&[(1, 1, true), (60, 60, true), (600, 601, true), (10_000, 10_002, true)]);
    }

    #[test]
    fn a_leap_of_an_hour_suspends_for_an_hour() {
        check(&[
            (5, 5, true),
            (10, 70, false),
            (40, 100, false),
            (69, 129, false),
            (70, 130, true),
            (80, 140, true),
        ]);
    }

    #[test]
    fn a_leap_of_ten_years_suspends_for_an_hour_too() {
        check(&[(5, 5_256_000, false), (64, 5_256_059, false), (65, 5_256_060, true)]);
    }

    #[test]
    fn a_leap_that_is_taken_back_within_the_hour_changes_nothing() {
        check(&[(5, 500, false), (10, 10, false), (70, 70, true), (75, 75, true)]);
    }

    #[test]
    fn a_clock_that_goes_back_is_believed_and_followed() {
        check(&[(5, -100, true), (10, -95, true), (15, -31, true), (16, 30, false)]);
    }

    #[test]
    fn a_clock_that_stands_still_is_believed_until_it_leaps() {
        check(&[(60, 0, true), (120, 0, true), (180, 0, true), (181, 181, false)]);
    }

    #[test]
    fn small_steps_are_followed_as_drift() {
        let drifting: Vec<_> = (1..200).map(|step| (step * 60, step * 63, true)).collect();
        check(&drifting);
    }
}
