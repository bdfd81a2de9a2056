//! The decision core alone: effects are answered by the test, in any order that files allow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::types::{LeaderEpoch, Offset};
use ottla_runtime::MonotonicTime;
use proptest::prelude::*;

use super::{AppendError, AppendOutcome, Opened, PartitionLog};
use crate::config::{FlushPolicy, TopicConfig};
use crate::log::effect::{LogEffect, LogEvent, NewNames, StorageFailure};
use crate::log::leader_epochs::LeaderEpochs;
use crate::log::preallocation::PreallocationBudget;
use crate::log::producer_state::ProducerState;
use crate::log::retention::RetentionPolicy;
use crate::log::sleeping::SleepingLog;
use crate::log::testing::produced;
use crate::log::unstable::Unstable;
use crate::log::verification::Verification;

const NOW: MonotonicTime = MonotonicTime(0);

fn fresh(config: TopicConfig) -> PartitionLog {
    fresh_with(config, 0)
}

/// With so many bytes to be reserved ahead.
fn fresh_with(config: TopicConfig, budget: u64) -> PartitionLog {
    let opened = Opened {
        config: Arc::new(config),
        log: SleepingLog::ABSENT,
        segments: Vec::new(),
        producers: ProducerState::default(),
        unstable: Unstable::default(),
        unsaved_aborted: BTreeSet::new(),
        epochs: LeaderEpochs::default(),
        epochs_are_dirty: false,
        snapshot: None,
        first_timestamp: None,
        budget: Arc::new(PreallocationBudget::new(budget)),
        jitter_seed: 0,
    };
    PartitionLog::new(NOW, opened)
}

fn effects(log: &mut PartitionLog) -> Vec<LogEffect> {
    let mut effects = Vec::new();
    log.take_effects(&mut effects);
    effects
}

fn writes(effects: &[LogEffect]) -> Vec<(i64, u64, usize)> {
    let write = |effect: &LogEffect| match effect {
        LogEffect::Write { base, position, parts } => Some((base.0, *position, parts.len() / 2)),
        _ => None,
    };
    effects.iter().filter_map(write).collect()
}

fn append(log: &mut PartitionLog) -> AppendOutcome {
    log.append(NOW, &produced(&[1], 100, None), LeaderEpoch(0), Verification::Exempt)
        .expect("it can be appended")
}

#[test]
fn what_waits_while_a_write_is_under_way_leaves_in_one() {
    let mut log = fresh(TopicConfig::default());
    append(&mut log);
    // Nothing is written before the file is there.
    assert_eq!(writes(&effects(&mut log)), []);
    log.on_event(NOW, LogEvent::SegmentCreated { base: Offset(0) });
    assert_eq!(writes(&effects(&mut log)), [(0, 0, 1)]);
    (0..3).for_each(|_| {
        append(&mut log);
    });
    assert_eq!(writes(&effects(&mut log)), []);
    log.on_event(NOW, LogEvent::Written { base: Offset(0) });
    let size = produced(&[1], 100, None).total_size() as u64;
    assert_eq!(writes(&effects(&mut log)), [(0, size, 3)]);
}

#[test]
fn written_is_safe_under_os_and_synced_under_group() {
    for (policy, safe) in [(FlushPolicy::Os, 1), (FlushPolicy::Group, 0)] {
        let mut log = fresh(TopicConfig { flush_policy: policy, ..TopicConfig::default() });
        append(&mut log);
        log.on_event(NOW, LogEvent::SegmentCreated { base: Offset(0) });
        effects(&mut log);
        log.on_event(NOW, LogEvent::Written { base: Offset(0) });
        let ends = log.ends();
        assert_eq!((ends.log_end, ends.safe_end, ends.durable_end), (Offset(1), Offset(safe), Offset(0)));
        let marked = effects(&mut log).into_iter().find_map(|effect| match effect {
            LogEffect::MakeDurable { end, names, .. } => Some((end, names)),
            _ => None,
        });
        assert_eq!(marked, Some((Offset(1), NewNames::DirectoryAndFile)));
        log.on_event(NOW, LogEvent::Synced { base: Offset(0), end: Offset(1) });
        assert_eq!(log.ends().durable_end, Offset(1));
        assert_eq!(log.durable_ends().safe_end, Offset(1));
    }
}

#[test]
fn a_duplicate_is_known_before_its_original_is_written() {
    let mut log = fresh(TopicConfig::default());
    let batch = produced(&[7, 8], 10, Some((1, 0, 0)));
    log.append(NOW, &batch, LeaderEpoch(0), Verification::Exempt).expect("it can be appended");
    let again = log.append(NOW, &batch, LeaderEpoch(0), Verification::Exempt);
    let expected = AppendOutcome::Duplicate { base_offset: Offset(0), last_offset: Offset(1), timestamp: 8 };
    assert_eq!(again, Ok(expected));
    assert_eq!(log.ends().high_watermark, Offset(0));
}

#[test]
fn after_a_failure_nothing_more_is_asked_for() {
    let mut log = fresh(TopicConfig::default());
    append(&mut log);
    effects(&mut log);
    let error = std::io::Error::from(std::io::ErrorKind::StorageFull);
    log.on_event(NOW, LogEvent::Failed(StorageFailure::new("create", &error)));
    log.on_event(NOW, LogEvent::SegmentCreated { base: Offset(0) });
    assert_eq!(writes(&effects(&mut log)), []);
    let refused = log.append(NOW, &produced(&[1], 1, None), LeaderEpoch(0), Verification::Exempt);
    assert!(matches!(refused, Err(AppendError::Storage(_))));
    assert!(log.try_hibernate(NOW).is_none());
}

/// Appends a batch, and answers for all of it up to its sync.
fn append_durably(log: &mut PartitionLog, now: MonotonicTime, bytes: usize) {
    let batch = produced(&[1], bytes, None);
    let next = match log.append(now, &batch, LeaderEpoch(0), Verification::Exempt) {
        Ok(AppendOutcome::Appended { last_offset, .. }) => last_offset.plus(1),
        other => panic!("{other:?}"),
    };
    effects(log);
    let base = Offset(0);
    for event in
        [LogEvent::SegmentCreated { base }, LogEvent::Written { base }, LogEvent::Synced { base, end: next }]
    {
        log.on_event(now, event);
        log.advance_high_watermark(log.sole_replica_high_watermark());
        effects(log);
    }
}

/// The snapshot that a roll writes comes late when the disk is slow; a crash before it would lose the sequences.
#[test]
fn a_segment_stays_until_a_snapshot_speaks_of_its_producers() {
    let mut log = fresh(TopicConfig::default());
    log.append(NOW, &produced(&[1], 100, Some((1, 0, 0))), LeaderEpoch(0), Verification::Exempt)
        .expect("it can be appended");
    let base = Offset(0);
    for event in [
        LogEvent::SegmentCreated { base },
        LogEvent::Written { base },
        LogEvent::Synced { base, end: Offset(1) },
    ] {
        effects(&mut log);
        log.on_event(NOW, event);
        log.advance_high_watermark(log.sole_replica_high_watermark());
    }
    log.roll(NOW);
    effects(&mut log);
    log.on_event(NOW, LogEvent::SegmentCreated { base: Offset(1) });
    log.on_event(NOW, LogEvent::Synced { base: Offset(1), end: Offset(1) });
    let nothing = RetentionPolicy { max_age_ms: None, max_bytes: Some(0) };
    log.expire(NOW, nothing, None).expect("all segments are known");
    let retires = |effects: Vec<LogEffect>| {
        effects.iter().any(|effect| matches!(effect, LogEffect::RetireSegment { base: Offset(0) }))
    };
    assert!(!retires(effects(&mut log)));
    log.on_event(NOW, LogEvent::SnapshotWritten { offset: Offset(1) });
    assert!(retires(effects(&mut log)));
}

#[test]
fn nothing_is_written_to_a_segment_while_it_is_cut_to_its_length() {
    let second = |seconds: u64| MonotonicTime(seconds * 1_000_000_000);
    let mut log = fresh_with(TopicConfig::default(), 1 << 30);
    append_durably(&mut log, second(1), 1 << 20);
    append_durably(&mut log, second(2), 1 << 20);
    let base = Offset(0);
    // Space is being reserved: a cut that overtook it would leave the space taken.
    assert_eq!(log.try_hibernate(second(3)), None);
    assert!(!effects(&mut log).iter().any(|effect| matches!(effect, LogEffect::Trim { .. })));
    log.on_event(second(3), LogEvent::Preallocated { base, result: Ok(()) });

    assert_eq!(log.try_hibernate(second(3)), None);
    let asked = effects(&mut log);
    assert!(asked.iter().any(|effect| matches!(effect, LogEffect::Trim { .. })), "{asked:?}");
    log.on_event(second(3), LogEvent::IndexesFlushed);
    log.on_event(second(3), LogEvent::EpochsWritten);
    assert_eq!(log.try_hibernate(second(3)), None, "the cut is under way");
    append(&mut log);
    assert_eq!(writes(&effects(&mut log)), []);
    log.on_event(second(3), LogEvent::Trimmed { base });
    assert_eq!(writes(&effects(&mut log)).len(), 1);
}

/// What files do with the effects: each answer may come at any time, but for a sync, which covers what was written
/// before it was asked for.
#[derive(Default)]
struct Files {
    answers: Vec<LogEvent>,
    /// How much is written to each segment.
    written: BTreeMap<Offset, u64>,
    named: BTreeMap<Offset, bool>,
    writes_under_way: usize,
}

impl Files {
    fn take(&mut self, effects: Vec<LogEffect>) {
        for effect in effects {
            match effect {
                LogEffect::CreateSegment { base, .. } => {
                    self.written.insert(base, 0);
                    self.answers.push(LogEvent::SegmentCreated { base });
                }
                LogEffect::Write { base, position, parts } => {
                    assert_eq!(self.writes_under_way, 0, "one write at a time");
                    assert_eq!(self.written[&base], position, "without a gap");
                    *self.written.get_mut(&base).expect("it was made") +=
                        parts.iter().map(|part| part.len() as u64).sum::<u64>();
                    self.writes_under_way = 1;
                    self.answers.push(LogEvent::Written { base });
                }
                LogEffect::MakeDurable { base, end, names } => {
                    let is_named = self.named.get(&base).copied().unwrap_or(false);
                    assert!(is_named || names != NewNames::None, "the name is told of until it is durable");
                    self.answers.push(LogEvent::Synced { base, end });
                }
                LogEffect::WriteSnapshot { offset, .. } => {
                    self.answers.push(LogEvent::SnapshotWritten { offset });
                }
                LogEffect::WriteEpochs { .. } => self.answers.push(LogEvent::EpochsWritten),
                LogEffect::FlushIndexes => self.answers.push(LogEvent::IndexesFlushed),
                LogEffect::Preallocate { base, .. } => {
                    self.answers.push(LogEvent::Preallocated { base, result: Ok(()) });
                }
                LogEffect::Trim { base, .. } => self.answers.push(LogEvent::Trimmed { base }),
                LogEffect::RetireSegment { base } => {
                    assert_eq!(self.written.first_key_value().map(|(first, _)| *first), Some(base));
                    self.written.remove(&base);
                    self.answers.push(LogEvent::SegmentRetired { base });
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, index: usize) -> Option<LogEvent> {
        if self.answers.is_empty() {
            return None;
        }
        let event = self.answers.remove(index % self.answers.len());
        match &event {
            LogEvent::Written { .. } => self.writes_under_way = 0,
            LogEvent::Synced { base, .. } => {
                self.named.insert(*base, true);
            }
            _ => {}
        }
        Some(event)
    }
}

proptest! {
    #[test]
    fn the_ends_keep_their_order_whatever_the_order_of_events(steps in prop::collection::vec(0_usize..100, 1..400)) {
        let config = TopicConfig { segment_bytes: 700, ..TopicConfig::default() };
        let mut log = fresh(config);
        let mut files = Files::default();
        let mut appended = 0;
        for step in steps {
            if step < 30 {
                append(&mut log);
                appended += 1;
            } else if let Some(event) = files.answer(step) {
                log.on_event(NOW, event);
                log.advance_high_watermark(log.sole_replica_high_watermark());
            }
            if step == 31 {
                log.advance_log_start(log.ends().high_watermark);
            }
            if step % 3 > 0 {
                files.take(effects(&mut log));
            }
        }
        // Whatever is asked for is answered in the end, and then everything is durable and readable.
        loop {
            files.take(effects(&mut log));
            let Some(event) = files.answer(0) else { break };
            log.on_event(NOW, event);
            log.advance_high_watermark(log.sole_replica_high_watermark());
        }
        let ends = log.ends();
        prop_assert_eq!(ends.log_end, Offset(appended));
        prop_assert_eq!(ends.high_watermark, Offset(appended));
        prop_assert_eq!(log.queued_bytes(), 0);
    }
}
