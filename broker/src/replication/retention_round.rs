//! When a shard looks for what retention may take, and whether the calendar may be believed then. Pure.

use std::time::Duration;

use ottla_runtime::{MonotonicTime, WallTime};

use crate::config::TopicConfig;
use crate::log::clock_watch::{ClockVerdict, ClockWatch};
use crate::log::retention::RetentionPolicy;
use crate::log::sleeping::SleepingLog;

/// How soon a round comes for which a log had to be opened or looked at first.
const SOON: Duration = Duration::from_secs(2);

/// The rounds of one shard.
#[derive(Debug)]
pub(super) struct RetentionRound {
    interval: Duration,
    next: MonotonicTime,
    clock: ClockWatch,
}

/// What is due now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// What the calendar says, if it may be believed.
    pub(super) wall: Option<WallTime>,
}

impl RetentionRound {
    pub(super) fn new(now: MonotonicTime, wall: WallTime, interval: Duration) -> RetentionRound {
        RetentionRound { interval, next: now.after(interval), clock: ClockWatch::new(now, wall) }
    }

    /// Looks at the clocks, which is to be done often, and says whether a round is due. The verdict comes back too:
    /// a leap is to be logged.
    pub(super) fn observe(&mut self, now: MonotonicTime, wall: WallTime) -> (ClockVerdict, Option<Due>) {
        let verdict = self.clock.observe(now, wall);
        if now < self.next {
            return (verdict, None);
        }
        self.next = now.after(self.interval);
        (verdict, Some(Due { wall: verdict.is_believed().then_some(wall) }))
    }

    /// Something has to be looked at again, as soon as what it waits for is there.
    pub(super) fn again_soon(&mut self, now: MonotonicTime) {
        self.next = self.next.min(now.after(SOON));
    }
}

/// What a topic wants kept.
pub(super) fn policy_of(config: &TopicConfig) -> RetentionPolicy {
    if !config.cleanup_policy.delete {
        return RetentionPolicy { max_age_ms: None, max_bytes: None };
    }
    RetentionPolicy {
        max_age_ms: config.retention_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        max_bytes: config.retention_bytes,
    }
}

/// Whether a log at rest is worth opening for retention: something in it may go.
pub(super) fn may_have_expired(policy: RetentionPolicy, log: &SleepingLog, due: Due) -> bool {
    if log.segment_count == 0 || log.ends.log_start == log.ends.safe_end {
        return false;
    }
    let too_large = policy.max_bytes.is_some_and(|max| log.total_bytes.is_none_or(|bytes| max < bytes));
    let too_old = match (policy.max_age_ms, due.wall, log.oldest_segment_timestamp) {
        (Some(max_age), Some(wall), Some(newest)) => newest.saturating_add(max_age) < wall.0,
        (Some(_), Some(_), None) => log.total_bytes.is_none(),
        _ => false,
    };
    too_large || too_old
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::types::Offset;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn rounds_come_at_their_interval_and_only_with_a_calendar_that_is_believed() {
        let start = MonotonicTime(0);
        let mut round = RetentionRound::new(start, WallTime(0), Duration::from_secs(60));
        let minute = start.after(Duration::from_secs(60));
        assert_eq!(round.observe(start.after(Duration::from_secs(59)), WallTime(59_000)).1, None);
        assert_eq!(round.observe(minute, WallTime(60_000)).1, Some(Due { wall: Some(WallTime(60_000)) }));
        assert_eq!(round.observe(minute, WallTime(60_000)).1, None);
        let leapt = WallTime(120_000 + i64::try_from(HOUR.as_millis()).expect("small"));
        let due = round.observe(start.after(Duration::from_secs(120)), leapt).1;
        assert_eq!(due, Some(Due { wall: None }), "a clock that leapt an hour ahead takes nothing by age");
    }

    #[test]
    fn only_logs_that_may_have_something_to_give_are_opened() {
        let log = |oldest: Option<i64>, bytes: Option<u64>, end: i64| {
            let mut log = SleepingLog { segment_count: 1, ..SleepingLog::ABSENT };
            log.ends.safe_end = Offset(end);
            log.oldest_segment_timestamp = oldest;
            log.total_bytes = bytes;
            log
        };
        let policy = RetentionPolicy { max_age_ms: Some(1000), max_bytes: Some(500) };
        let due = Due { wall: Some(WallTime(10_000)) };
        for (log, due, expected) in [
            (SleepingLog::ABSENT, due, false),
            (log(Some(9_500), Some(500), 5), due, false),
            (log(Some(8_999), Some(500), 5), due, true),
            (log(Some(8_999), Some(500), 5), Due { wall: None }, false),
            (log(Some(9_500), Some(501), 5), due, true),
            (log(Some(9_500), None, 5), due, true),
            (log(None, Some(500), 5), due, false),
            (log(Some(0), Some(501), 0), due, false),
        ] {
            assert_eq!(may_have_expired(policy, &log, due), expected, "{log:?} {due:?}");
        }
    }
}
