//! Compacts the logs of topics with `cleanup.policy=compact`, one after another: the one of which most is new first.
//!
//! The work itself is `log::compaction`'s. A log at rest is opened for it and goes back to rest afterwards. What fails is
//! reported, left alone for a while, and tried again.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::Offset;
use ottla_runtime::disk::DiskWait as _;
use ottla_runtime::random::Rng;
use ottla_runtime::{Clock, DiskRef};
use tracing::{debug, info, warn};

use super::compaction_rounds::{CompactionRounds, Now};
use super::data_directory::{DataDirectory, key_of};
use super::partition::Partition;
use super::registry::Partitions;
use super::shards::Shards;
use crate::config::{CompactionConfig, TopicConfig};
use crate::log::checkpoint_files::{PartitionOffset, encode_offsets, parse_offsets};
use crate::log::clock_watch::ClockWatch;
use crate::log::compaction::{Compaction, CompactionError, CompactionStart, Look, Settings, look};
use crate::log::disk_steps::{put_in_place, sync_directory};
use crate::log::effect::StorageFailure;
use crate::log::safe_ends::PartitionKey;
use crate::log::segment_names::{CLEANED, CLEANER_CHECKPOINT};
use crate::metrics::GaugeShare;
use crate::metrics::table::{COMPACTION_RUNS, COMPACTION_UNFIT};

/// However short the back-off, others have a turn.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// Room that has to be left beside what a new segment may take.
const ROOM_LEFT: u64 = 64 * 1024 * 1024;

/// Goes through all partitions, again and again.
pub(super) struct CompactionTask {
    pub(super) partitions: Arc<Partitions>,
    pub(super) shards: Shards,
    pub(super) directory: Arc<DataDirectory>,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    /// As it is now; what `partitions_task` changes at run time.
    pub(super) config: Arc<ArcSwap<CompactionConfig>>,
}

/// What came of one partition.
enum Outcome {
    Done {
        is_partial: bool,
    },
    /// There was nothing to do, or it has to wait.
    Nothing,
}

/// Why a partition was not compacted.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("its log can't be had: {0}")]
    NoLog(ErrorCode),
    #[error(transparent)]
    Look(#[from] crate::log::compaction::LookError),
    #[error(transparent)]
    Compaction(#[from] CompactionError),
    #[error("the disk has {free} bytes left, and {needed} are needed to compact it")]
    NoRoom { free: u64, needed: u64 },
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the checkpoint of safe ends is not written any more")]
    NoCheckpoint,
    #[error("a new segment could not be put in place")]
    NotReplaced,
}

impl CompactionTask {
    /// Runs until it is aborted.
    pub(super) async fn run(mut self) {
        let mut rounds = read_checkpoint(&self.directory.context().disk, self.directory.path()).await;
        let mut watch = ClockWatch::new(self.clock.now(), self.clock.wall());
        let mut unfit = GaugeShare::new(COMPACTION_UNFIT.gauge(&[]));
        loop {
            let candidates = self.candidates(&mut rounds).await;
            let mut has_done = false;
            for partition in candidates {
                let is_believed = watch.observe(self.clock.now(), self.clock.wall()).is_believed();
                has_done |= self.compact(&partition, &mut rounds, is_believed).await;
                unfit.set_count(rounds.failed_count());
            }
            if !has_done {
                let pause = Duration::from_millis(self.config.load().backoff_ms);
                self.clock.sleep(pause.max(PAUSE_MIN)).await;
            }
        }
    }

    /// The partitions that are worth compacting, the one of which most is new first.
    async fn candidates(&mut self, rounds: &mut CompactionRounds) -> Vec<Arc<Partition>> {
        let mut found = Vec::new();
        let topics = self.partitions.snapshot();
        let mut known: BTreeSet<PartitionKey> = BTreeSet::new();
        for entry in topics.entries() {
            let config = entry.topic().config.load_full();
            for partition in entry.partitions() {
                known.insert(key_of(partition));
                if !config.cleanup_policy.compact || !self.directory.is_writable() {
                    continue;
                }
                match self.look_at(partition, &config, rounds).await {
                    Ok(Some(look)) if look.is_worth_it => found.push((look.dirty_millionths(), partition)),
                    Ok(_) => {}
                    Err(failure) => self.on_failure(partition, rounds, &failure).await,
                }
            }
        }
        let has_name = |name: &str| topics.by_name(name).is_some();
        if rounds.retain(|key| known.contains(key), has_name) {
            self.write_checkpoint(rounds).await;
        }
        // The sort is stable, so that one that comes first stays first.
        found.sort_by_key(|(dirty, _)| std::cmp::Reverse(*dirty));
        found.into_iter().map(|(_, partition)| Arc::clone(partition)).collect()
    }

    async fn look_at(
        &mut self,
        partition: &Arc<Partition>,
        config: &Arc<TopicConfig>,
        rounds: &mut CompactionRounds,
    ) -> Result<Option<Look>, Failure> {
        let key = key_of(partition);
        if !rounds.wants_look(key, self.at(partition, config)) {
            return Ok(None);
        }
        if !partition.is_open() && !partition.has_sealed_segments() {
            rounds.on_idle(key, self.at(partition, config), None, false);
            return Ok(None);
        }
        let at = self.at(partition, config);
        let Some((_, look)) = self.begin(partition, config, rounds).await? else { return Ok(None) };
        if !look.is_worth_it {
            rounds.on_idle(key, at, look.again_at_ms, look.waits_for_stability);
        }
        Ok(Some(look))
    }

    /// Has the log opened and held, and looks at it. Nothing if it can't be had just now.
    async fn begin(
        &self,
        partition: &Arc<Partition>,
        config: &Arc<TopicConfig>,
        rounds: &mut CompactionRounds,
    ) -> Result<Option<(CompactionStart, Look)>, Failure> {
        let key = key_of(partition);
        let start = match self.shards.begin_compaction(partition).await {
            Ok(Some(start)) => start,
            Ok(None) => {
                rounds.on_busy(key, self.clock.now());
                return Ok(None);
            }
            Err(ErrorCode::UnknownTopicOrPartition) => return Ok(None),
            Err(code) => return Err(Failure::NoLog(code)),
        };
        let checkpoint = rounds.compacted_to(key, &partition.topic.name, partition.index);
        let look = look(&start, checkpoint, config, self.clock.wall().0).await?;
        Ok(Some((start, look)))
    }

    /// Compacts one partition; says whether anything was done.
    async fn compact(
        &mut self,
        partition: &Arc<Partition>,
        rounds: &mut CompactionRounds,
        is_believed: bool,
    ) -> bool {
        match self.try_compact(partition, rounds, is_believed).await {
            Ok(Outcome::Done { is_partial }) => {
                COMPACTION_RUNS.count(&[if is_partial { "partial" } else { "done" }], 1);
                self.write_checkpoint(rounds).await;
                true
            }
            Ok(Outcome::Nothing) => false,
            Err(failure) => {
                self.on_failure(partition, rounds, &failure).await;
                false
            }
        }
    }

    async fn try_compact(
        &mut self,
        partition: &Arc<Partition>,
        rounds: &mut CompactionRounds,
        is_believed: bool,
    ) -> Result<Outcome, Failure> {
        let config = partition.topic.config.load_full();
        let Some((start, look)) = self.begin(partition, &config, rounds).await? else {
            return Ok(Outcome::Nothing);
        };
        if !look.is_worth_it || !config.cleanup_policy.compact {
            return Ok(Outcome::Nothing);
        }
        self.check_room(&look, &config).await?;
        // Recovery begins at the safe end that the checkpoint knows: not in a segment that is about to go.
        self.directory.safe_ends_durable().await.map_err(|_| Failure::NoCheckpoint)?;
        let began = self.clock.now();
        let settings = Settings {
            compaction: **self.config.load(),
            clock: self.clock.clone(),
            seed: [self.rng.next_u64(), self.rng.next_u64()],
            now_ms: is_believed.then_some(self.clock.wall().0),
        };
        let bytes_before = look.bytes();
        let mut compaction = Compaction::begin(start, &look, Arc::clone(&config), settings).await?;
        let (mut segments, mut saved) = (0, 0_i64);
        while let Some(replacement) = compaction.next().await? {
            let size = i64::try_from(replacement.summary.size.unwrap_or(0)).unwrap_or(i64::MAX);
            saved += i64::try_from(replacement.replaced_bytes).unwrap_or(i64::MAX) - size;
            if self.shards.replace_segments(partition, replacement.clone()).await.is_err() {
                compaction.discard(&replacement).await;
                return Err(Failure::NotReplaced);
            }
            segments += 1;
        }
        let (kept, removed) = compaction.tally();
        info!(
            ?partition,
            up_to = %compaction.end(),
            keys = compaction.key_count(),
            kept,
            removed,
            new_segments = segments,
            bytes = bytes_before,
            bytes_saved = saved,
            millis = u64::try_from(self.clock.now().since(began).as_millis()).unwrap_or(u64::MAX),
            "compacted"
        );
        rounds.on_compacted(key_of(partition), compaction.end());
        Ok(Outcome::Done { is_partial: compaction.is_partial() })
    }

    async fn check_room(&self, look: &Look, config: &TopicConfig) -> Result<(), Failure> {
        let needed = look.bytes().min(config.segment_bytes.into()).saturating_add(ROOM_LEFT);
        let space = self.directory.context().disk.space_wait(self.directory.path()).await?;
        if space.free < needed { Err(Failure::NoRoom { free: space.free, needed }) } else { Ok(()) }
    }

    async fn on_failure(&self, partition: &Arc<Partition>, rounds: &mut CompactionRounds, failure: &Failure) {
        let (key, now) = (key_of(partition), self.clock.now());
        match failure {
            Failure::Compaction(CompactionError::Ended) | Failure::NotReplaced => {
                debug!(?partition, %failure, "not compacted now");
                COMPACTION_RUNS.count(&["given_up"], 1);
                rounds.on_busy(key, now);
                return;
            }
            Failure::Compaction(CompactionError::Damaged { place, is_new: true, .. }) => {
                self.shards.report_damage(partition, *place).await;
            }
            Failure::Compaction(CompactionError::Storage(failure)) if failure.was_sync => {
                self.directory.on_failure(failure);
            }
            _ => {}
        }
        COMPACTION_RUNS.count(&["failed"], 1);
        let delay = rounds.on_failure(key, now);
        let seconds = delay.as_secs();
        warn!(?partition, "not compacted: {failure}; it is tried again in {seconds} s");
    }

    /// How far each log has been compacted, by ids for the next start and by names for Kafka.
    async fn write_checkpoint(&self, rounds: &CompactionRounds) {
        let topics = self.partitions.snapshot();
        let mut named: Vec<(&str, _, Offset)> = rounds.untouched().collect();
        let compacted: Vec<_> =
            rounds.compacted().map(|(key, to)| (key.topic_id.to_string(), key, to)).collect();
        for (_, key, offset) in &compacted {
            if let Some(entry) = topics.by_id(key.topic_id) {
                named.push((entry.name(), key.partition, *offset));
            }
        }
        let identified = compacted.iter().map(|(id, key, offset)| (id.as_str(), key.partition, *offset));
        let (disk, path) = (&self.directory.context().disk, self.directory.path());
        let contents =
            [(CLEANED, encode_offsets(identified)), (CLEANER_CHECKPOINT, encode_offsets(named.into_iter()))];
        let written: Result<(), StorageFailure> = async {
            for (name, text) in contents {
                put_in_place(disk, &path.join(name), Bytes::from(text)).await?;
            }
            sync_directory(disk, path).await
        }
        .await;
        if let Err(failure) = written {
            warn!(%failure, "how far logs are compacted is not written down; after a start they are compacted again");
            if failure.was_sync {
                self.directory.on_failure(&failure);
            }
        }
    }

    fn at<'a>(&self, partition: &Partition, config: &'a Arc<TopicConfig>) -> Now<'a> {
        Now {
            now: self.clock.now(),
            wall_ms: self.clock.wall().0,
            high_watermark: partition.high_watermark(),
            config,
        }
    }
}

/// What is known at start of how far logs are compacted.
async fn read_checkpoint(disk: &DiskRef, directory: &Path) -> CompactionRounds {
    if let Some(rows) = read_offsets(disk, &directory.join(CLEANED)).await {
        return CompactionRounds::new(rows.into_iter().filter_map(identified).collect());
    }
    let rows = read_offsets(disk, &directory.join(CLEANER_CHECKPOINT)).await;
    CompactionRounds::taken_over(rows.unwrap_or_default())
}

/// A row whose topic is an id.
fn identified(row: PartitionOffset) -> Option<(PartitionKey, Offset)> {
    let topic_id = row.topic.parse().ok()?;
    Some((PartitionKey { topic_id, partition: row.partition }, row.offset))
}

/// The rows of a file; nothing if it is absent.
async fn read_offsets(disk: &DiskRef, file: &Path) -> Option<Vec<PartitionOffset>> {
    let told = |error: &dyn std::fmt::Display| {
        warn!("{}: {error}; compaction begins at the beginning of each log", file.display());
        Some(Vec::new())
    };
    match disk.read_file_wait(file).await {
        Ok(bytes) => parse_offsets(&bytes).map_or_else(|error| told(&error), Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => told(&error),
    }
}
