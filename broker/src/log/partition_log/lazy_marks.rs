//! When what is written is handed to the flusher. Under `group` that is at once. Under `os` nobody waits for it, and a
//! sync for every write would only make the disk write everything a second earlier, at the cost of those who do wait:
//! there it is done for a new segment's name and a full segment's end, before the log rests, when `flush.messages` or
//! `flush.ms` say so, and else so late that the system has written nearly all of it by itself. Pure.

use std::time::Duration;

use ottla_protocol::types::Offset;
use ottla_runtime::MonotonicTime;

use crate::config::{FlushPolicy, TopicConfig};
use crate::log::ends::EndPlace;

/// Linux writes back what has been dirty for so long (`vm.dirty_expire_centisecs`). After a crash, so much of the log
/// has to be read at most.
const MARK_AFTER: Duration = Duration::from_secs(30);

/// What has been written and no mark has asked for.
#[derive(Debug, Default)]
pub(super) struct LazyMarks {
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// The first record that waits, and since when.
    from: Offset,
    since: MonotonicTime,
    end: EndPlace,
}

impl LazyMarks {
    /// Records from `from` to `end` have been written, all of them to the segment of `end`; so was what waits.
    pub(super) fn on_written(&mut self, now: MonotonicTime, from: Offset, end: EndPlace) {
        match &mut self.waiting {
            Some(waiting) => waiting.end = end,
            None => self.waiting = Some(Waiting { from, since: now, end }),
        }
    }

    /// The end of what waits.
    pub(super) fn end(&self) -> Option<EndPlace> {
        self.waiting.as_ref().map(|waiting| waiting.end)
    }

    /// Whether it is time to ask for it.
    pub(super) fn is_due(&self, now: MonotonicTime, config: &TopicConfig) -> bool {
        let Some(waiting) = &self.waiting else { return false };
        let count = waiting.end.offset.0.abs_diff(waiting.from.0);
        config.flush_policy == FlushPolicy::Group
            || config.flush_messages <= count
            || MARK_AFTER.min(Duration::from_millis(config.flush_ms)) <= now.since(waiting.since)
    }

    /// It is asked for now.
    pub(super) fn take(&mut self) -> Option<EndPlace> {
        self.waiting.take().map(|waiting| waiting.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Whether ten records written at second 1 are due at second `now`.
    fn is_due(flush_policy: FlushPolicy, flush_messages: u64, flush_ms: u64, now: u64) -> bool {
        let config = TopicConfig { flush_policy, flush_messages, flush_ms, ..TopicConfig::default() };
        let mut marks = LazyMarks::default();
        assert!(!marks.is_due(MonotonicTime(now * SECOND), &config), "nothing waits");
        let end = EndPlace { offset: Offset(15), base: Offset(0), position: 1000 };
        marks.on_written(MonotonicTime(SECOND), Offset(5), EndPlace { offset: Offset(9), ..end });
        marks.on_written(MonotonicTime(SECOND), Offset(9), end);
        assert_eq!(marks.end(), Some(end));
        marks.is_due(MonotonicTime(now * SECOND), &config)
    }

    #[test]
    fn under_group_each_write_is_marked_at_once() {
        assert!(is_due(FlushPolicy::Group, u64::MAX, u64::MAX, 1));
    }

    #[test]
    fn under_os_a_mark_waits_for_time_or_count() {
        use FlushPolicy::Os;
        for (messages, ms, now, expected) in [
            (u64::MAX, u64::MAX, 1, false),
            (u64::MAX, u64::MAX, 30, false),
            (u64::MAX, u64::MAX, 31, true),
            (11, u64::MAX, 1, false),
            (10, u64::MAX, 1, true),
            (u64::MAX, 2000, 2, false),
            (u64::MAX, 2000, 3, true),
            (u64::MAX, 0, 1, true),
        ] {
            assert_eq!(is_due(Os, messages, ms, now), expected, "{messages} {ms} {now}");
        }
    }
}
