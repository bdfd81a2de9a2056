//! Which partitions are worth a look for compaction, and what came of the last one. Pure.
//!
//! To look at a log that rests it has to be opened. So what was found is remembered, and it is looked at again only when
//! something may have changed: it has grown, its configs are others, or a time has come that the look itself named.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::types::{Offset, PartitionIndex};
use ottla_runtime::MonotonicTime;

use crate::config::TopicConfig;
use crate::log::checkpoint_files::PartitionOffset;
use crate::log::safe_ends::PartitionKey;

/// After a failure, the first time.
const FIRST_BACK_OFF: Duration = Duration::from_secs(15);
/// At most.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(15 * 60);
/// How soon a log is looked at again in which something waits for a sync or for the end of a transaction.
const SOON: Duration = Duration::from_secs(10);

/// What is remembered of every partition that is compacted.
#[derive(Debug, Default)]
pub(super) struct CompactionRounds {
    memos: BTreeMap<PartitionKey, Memo>,
    /// What Kafka's checkpoint said at start of partitions that nobody has asked for since.
    checkpoint: BTreeMap<(String, PartitionIndex), Offset>,
}

#[derive(Debug, Default)]
struct Memo {
    compacted_to: Option<Offset>,
    seen: Option<Seen>,
    not_before: MonotonicTime,
    failures: u32,
}

/// How a partition was when there was nothing to do.
#[derive(Debug)]
struct Seen {
    high_watermark: Offset,
    config: Arc<TopicConfig>,
    again_at_ms: Option<i64>,
    again_after: Option<MonotonicTime>,
}

/// A partition at this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'a> {
    pub(super) now: MonotonicTime,
    pub(super) wall_ms: i64,
    pub(super) high_watermark: Offset,
    pub(super) config: &'a Arc<TopicConfig>,
}

impl CompactionRounds {
    /// With what `ottla-cleaned` says.
    pub(super) fn new(cleaned: Vec<(PartitionKey, Offset)>) -> CompactionRounds {
        let memo = |to| Memo { compacted_to: Some(to), ..Memo::default() };
        let memos = cleaned.into_iter().map(|(key, to)| (key, memo(to)));
        CompactionRounds { memos: memos.collect(), checkpoint: BTreeMap::new() }
    }

    /// With what Kafka's `cleaner-offset-checkpoint` says.
    pub(super) fn taken_over(checkpoint: Vec<PartitionOffset>) -> CompactionRounds {
        let rows = checkpoint.into_iter().map(|row| ((row.topic, row.partition), row.offset));
        CompactionRounds { memos: BTreeMap::new(), checkpoint: rows.collect() }
    }

    /// Whether it is worth looking at a partition.
    pub(super) fn wants_look(&self, key: PartitionKey, at: Now<'_>) -> bool {
        let Some(memo) = self.memos.get(&key) else { return true };
        let is_as_seen = memo.seen.as_ref().is_some_and(|seen| {
            seen.high_watermark == at.high_watermark
                && Arc::ptr_eq(&seen.config, at.config)
                && seen.again_at_ms.is_none_or(|again| at.wall_ms < again)
                && seen.again_after.is_none_or(|again| at.now < again)
        });
        memo.not_before <= at.now && !is_as_seen
    }

    /// How far a partition has been compacted, as far as is known.
    pub(super) fn compacted_to(
        &mut self,
        key: PartitionKey,
        topic: &str,
        partition: PartitionIndex,
    ) -> Option<Offset> {
        // Only the first log of that name that is asked for is the one that the checkpoint speaks of.
        let noted = self.checkpoint.remove(&(topic.to_owned(), partition));
        let memo = self.memos.entry(key).or_default();
        memo.compacted_to = memo.compacted_to.or(noted);
        memo.compacted_to
    }

    /// There is nothing to do for now.
    pub(super) fn on_idle(
        &mut self,
        key: PartitionKey,
        at: Now<'_>,
        again_at_ms: Option<i64>,
        is_soon: bool,
    ) {
        let memo = self.memos.entry(key).or_default();
        memo.seen = Some(Seen {
            high_watermark: at.high_watermark,
            config: Arc::clone(at.config),
            again_at_ms,
            again_after: is_soon.then(|| at.now.after(SOON)),
        });
        memo.failures = 0;
    }

    /// It has been compacted up to there.
    pub(super) fn on_compacted(&mut self, key: PartitionKey, to: Offset) {
        let memo = self.memos.entry(key).or_default();
        *memo = Memo { compacted_to: Some(to), ..Memo::default() };
    }

    /// It could not be compacted; says for how long it is left alone.
    pub(super) fn on_failure(&mut self, key: PartitionKey, now: MonotonicTime) -> Duration {
        let memo = self.memos.entry(key).or_default();
        let delay = FIRST_BACK_OFF.saturating_mul(1 << memo.failures.min(16)).min(LONGEST_BACK_OFF);
        memo.failures = memo.failures.saturating_add(1);
        memo.not_before = now.after(delay);
        memo.seen = None;
        delay
    }

    /// It can't be compacted just now, and nothing is wrong with it.
    pub(super) fn on_busy(&mut self, key: PartitionKey, now: MonotonicTime) {
        self.memos.entry(key).or_default().not_before = now.after(SOON);
    }

    /// How many have failed the last time.
    pub(super) fn failed_count(&self) -> u64 {
        self.memos.values().filter(|memo| 0 < memo.failures).count() as u64
    }

    /// Forgets the partitions that are gone, and what Kafka's checkpoint says of topics that are; says whether anything is to
    /// be written anew.
    pub(super) fn retain(
        &mut self,
        is_there: impl Fn(&PartitionKey) -> bool,
        has_name: impl Fn(&str) -> bool,
    ) -> bool {
        let before = self.compacted().count() + self.checkpoint.len();
        self.memos.retain(|key, _| is_there(key));
        self.checkpoint.retain(|(topic, _), _| has_name(topic));
        self.compacted().count() + self.checkpoint.len() != before
    }

    /// How far each of them has been compacted.
    pub(super) fn compacted(&self) -> impl Iterator<Item = (PartitionKey, Offset)> {
        self.memos.iter().filter_map(|(key, memo)| Some((*key, memo.compacted_to?)))
    }

    /// What Kafka's checkpoint said of partitions that nobody has asked for.
    pub(super) fn untouched(&self) -> impl Iterator<Item = (&str, PartitionIndex, Offset)> {
        self.checkpoint.iter().map(|((topic, partition), offset)| (topic.as_str(), *partition, *offset))
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::types::TopicId;

    use super::*;

    const KEY: PartitionKey = PartitionKey { topic_id: TopicId([1; 16]), partition: PartitionIndex(0) };

    fn at(seconds: u64, high_watermark: i64, config: &Arc<TopicConfig>) -> Now<'_> {
        let now = MonotonicTime::default().after(Duration::from_secs(seconds));
        let wall_ms = i64::try_from(seconds * 1_000).expect("small");
        Now { now, wall_ms, high_watermark: Offset(high_watermark), config }
    }

    #[test]
    fn a_log_with_nothing_to_do_is_left_alone_until_something_changes() {
        let (config, other) = (Arc::default(), Arc::default());
        let mut rounds = CompactionRounds::default();
        assert!(rounds.wants_look(KEY, at(1, 5, &config)));
        rounds.on_idle(KEY, at(1, 5, &config), None, false);
        assert!(!rounds.wants_look(KEY, at(100_000, 5, &config)));
        assert!(rounds.wants_look(KEY, at(2, 6, &config)));
        assert!(rounds.wants_look(KEY, at(2, 5, &other)));
        rounds.on_idle(KEY, at(1, 5, &config), Some(30_000), true);
        assert!(!rounds.wants_look(KEY, at(10, 5, &config)));
        assert!(rounds.wants_look(KEY, at(11, 5, &config)));
        rounds.on_idle(KEY, at(11, 5, &config), Some(30_000), false);
        assert!(!rounds.wants_look(KEY, at(29, 5, &config)));
        assert!(rounds.wants_look(KEY, at(30, 5, &config)));
    }

    #[test]
    fn one_that_fails_is_tried_ever_more_rarely() {
        let config = Arc::default();
        let mut rounds = CompactionRounds::default();
        let mut now = at(0, 0, &config);
        let mut delays = Vec::new();
        for _ in 0..9 {
            let delay = rounds.on_failure(KEY, now.now);
            assert!(!rounds.wants_look(KEY, now));
            now.now = now.now.after(delay);
            assert!(rounds.wants_look(KEY, now));
            delays.push(delay.as_secs());
        }
        assert_eq!(delays, [15, 30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(rounds.failed_count(), 1);
        rounds.on_compacted(KEY, Offset(4));
        assert_eq!(rounds.failed_count(), 0);
        assert!(rounds.wants_look(KEY, now));
    }

    #[test]
    fn what_was_compacted_is_known_of_that_topic_and_of_none_that_has_its_name() {
        let mut rounds = CompactionRounds::new(vec![(KEY, Offset(7))]);
        let another = PartitionKey { topic_id: TopicId([2; 16]), ..KEY };
        assert_eq!(rounds.compacted_to(another, "t", PartitionIndex(0)), None);
        assert_eq!(rounds.compacted_to(KEY, "t", PartitionIndex(0)), Some(Offset(7)));
        assert!(rounds.retain(|key| *key == another, |_| true));
        assert_eq!(rounds.compacted().count(), 0);
    }

    #[test]
    fn kafkas_checkpoint_speaks_of_the_first_log_of_its_name() {
        let row = PartitionOffset { topic: "t".to_owned(), partition: PartitionIndex(0), offset: Offset(7) };
        let mut rounds = CompactionRounds::taken_over(vec![row]);
        assert_eq!(rounds.untouched().count(), 1);
        assert_eq!(rounds.compacted_to(KEY, "t", PartitionIndex(0)), Some(Offset(7)));
        assert_eq!(rounds.compacted_to(KEY, "t", PartitionIndex(0)), Some(Offset(7)));
        let another = PartitionKey { topic_id: TopicId([2; 16]), ..KEY };
        assert_eq!(rounds.compacted_to(another, "t", PartitionIndex(0)), None);
        assert!(rounds.retain(|key| *key == another, |_| true));
        assert!(!rounds.retain(|key| *key == another, |_| true));
        assert_eq!(rounds.compacted().count() + rounds.untouched().count(), 0);
    }
}
