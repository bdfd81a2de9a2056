//! All replicas of a broker: brings the shards up on what the data directory holds, and puts them away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ottla_protocol::types::BrokerId;
use ottla_runtime::disk::{DiskWait as _, FileWait as _, OpenMode};
use ottla_runtime::{Runtime, TaskEnd, TaskHandle};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::compaction_task::CompactionTask;
use super::data_directory::{DataDirectory, key_of};
use super::loading::{self, LoadError};
use super::partition::Partition;
use super::partitions_task::PartitionsTask;
use super::producer_expiration::ProducerExpiration;
use super::progress::Progress;
use super::registry::Partitions;
use super::scrub_task::ScrubTask;
use super::shard_task::{ShardParts, ShardTask};
use super::shards::{INBOX_LENGTH, ShardRequest, Shards};
use super::signs::ReplicaSigns;
use crate::config::{BrokerLayers, LogConfig};
use crate::controller::{Metadata, broker_layers};
use crate::descriptors;
use crate::log::checkpoint_files::encode_offsets;
use crate::log::clean_shutdown;
use crate::log::safe_ends_task::{SafeEndNotes, SafeEndsTask};
use crate::log::segment_names::{CLEAN_SHUTDOWN, TEMPORARY_SUFFIX};
use crate::log::sleeping::SleepingLog;

/// How many logs are recovered side by side for each of `num.recovery.threads.per.data.dir`: they wait for the disk,
/// not for a thread.
const RECOVERIES_PER_THREAD: usize = 8;
/// Files that an open log may need, with some for its readers.
const FILES_PER_LOG: u64 = 3;

/// The replicas of a broker.
pub(crate) struct Replicas {
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) shards: Shards,
    directory: Arc<DataDirectory>,
    pub(crate) safe_ends: SafeEndNotes,
    safe_ends_task: TaskHandle,
    tasks: Vec<TaskHandle>,
    progress: Arc<[Arc<Progress>]>,
    follower: TaskHandle,
    scrubber: Option<TaskHandle>,
    compaction: Option<TaskHandle>,
}

/// What the replicas of a broker are started with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplicaOptions<'a> {
    /// As the broker's file and flags have it; what was set at run time comes on top.
    pub(crate) log: &'a LogConfig,
    /// What the broker's file and flags say.
    pub(crate) layers: &'a BrokerLayers,
    /// This broker.
    pub(crate) node: BrokerId,
    /// How many files and sockets the process may have open.
    pub(crate) descriptors: u64,
}

impl Replicas {
    /// Loads every log of the data directory and starts the shards.
    pub(crate) async fn start(
        runtime: &Runtime,
        metadata: &Metadata,
        options: ReplicaOptions<'_>,
    ) -> Result<Replicas, LoadError> {
        let ReplicaOptions { log: config, layers, node, descriptors } = options;
        let path = config.directory.clone();
        let mut images = metadata.follow();
        let image = Arc::clone(images.current());
        let config = &config.clone().with_dynamic(&broker_layers(&image, node, &layers.static_values));
        let side_by_side = RECOVERIES_PER_THREAD * config.recovery_threads as usize;
        let mut loaded = loading::load(runtime, &path, &image, node, side_by_side).await?;
        let (safe_ends, safe_ends_task) = SafeEndsTask::start(
            Arc::clone(&runtime.disk),
            runtime.clock.clone(),
            path.clone(),
            &loaded.safe_ends,
        )
        .await
        .map_err(|source| LoadError::Io {
            path: path.clone(),
            operation: "write the safe ends",
            source,
        })?;
        let directory = DataDirectory::start(runtime, path, config.disk_reserve_bytes, safe_ends.clone());
        let safe_ends_task = spawn_safe_ends(runtime, safe_ends_task, &directory);

        let producer_expiration = Arc::new(ProducerExpiration::new(config.producer_id_expiration_ms));
        let count = config.shard_count.map_or(runtime.spawner.parallelism(), |count| count as usize);
        let open_logs = descriptors::for_logs(descriptors) / FILES_PER_LOG / count as u64;
        let mut inboxes = Vec::with_capacity(count);
        let mut tasks = Vec::with_capacity(count);
        let progress: Arc<[Arc<Progress>]> = (0..count).map(|_| Arc::default()).collect();
        for progress in progress.iter() {
            progress.note(runtime.clock.now());
            let (inbox, requests) = mpsc::channel(INBOX_LENGTH);
            let parts = ShardParts {
                directory: Arc::clone(&directory),
                progress: Arc::clone(progress),
                clock: runtime.clock.clone(),
                spawner: runtime.spawner.clone(),
                open_logs_max: usize::try_from(open_logs).unwrap_or(usize::MAX).max(4),
                retention_interval: Duration::from_millis(config.retention_check_interval_ms),
                producer_expiration: Arc::clone(&producer_expiration),
                producer_expiration_interval: Duration::from_millis(
                    config.producer_id_expiration_check_interval_ms,
                ),
            };
            tasks.push(runtime.spawner.spawn("shard", ShardTask::new(parts, requests).run()));
            inboxes.push(inbox);
        }
        let shards = Shards::new(inboxes);
        let partitions = Arc::new(Partitions::new());
        let compaction_config = Arc::new(ArcSwap::from_pointee(config.compaction));
        let mut follower = PartitionsTask {
            images,
            partitions: Arc::clone(&partitions),
            shards: shards.clone(),
            directory: Arc::clone(&directory),
            defaults: Arc::new(config.topic_defaults.clone()),
            node,
            static_values: layers.static_values.clone(),
            producer_expiration,
            compaction: Arc::clone(&compaction_config),
            spawner: runtime.spawner.clone(),
            next_slots: vec![0; count],
            strangers: loaded.strangers,
        };
        follower.start(&mut loaded.logs).await;
        let follower = runtime.spawner.spawn("partitions", follower.run());
        let scrubber = (0 < config.scrub_bytes_per_second).then(|| {
            let task = ScrubTask {
                partitions: Arc::clone(&partitions),
                shards: shards.clone(),
                clock: runtime.clock.clone(),
                bytes_per_second: config.scrub_bytes_per_second,
            };
            runtime.spawner.spawn("scrub", task.run())
        });
        let compaction = config.compaction.enabled.then(|| {
            let task = CompactionTask {
                partitions: Arc::clone(&partitions),
                shards: shards.clone(),
                directory: Arc::clone(&directory),
                clock: runtime.clock.clone(),
                rng: runtime.rng.fork(),
                config: compaction_config,
            };
            runtime.spawner.spawn_apart("compaction", task.run())
        });
        Ok(Replicas {
            partitions,
            shards,
            directory,
            safe_ends,
            safe_ends_task,
            tasks,
            progress,
            follower,
            scrubber,
            compaction,
        })
    }

    /// Completes when the broker can't go on: the data directory has failed, or a task met a bug.
    pub(crate) async fn failed(&mut self) -> String {
        let shards = self.tasks.iter_mut().map(|task| async move {
            match task.await {
                TaskEnd::Panicked(message) => format!("a bug in a shard: {message}"),
                end => format!("a shard has ended: {end:?}"),
            }
        });
        let any_shard = futures_util::future::select_all(shards.map(Box::pin));
        tokio::select! {
            biased;
            reason = self.directory.failed() => reason,
            (reason, _, _) = any_shard => reason,
            end = &mut self.follower => format!("the task that follows the metadata has ended: {end:?}"),
        }
    }

    /// Writes and syncs everything and notes where every log ends, so that the next start need not look.
    pub(crate) async fn stop(self) {
        self.follower.abort();
        if let Some(scrubber) = &self.scrubber {
            scrubber.abort();
        }
        if let Some(compaction) = self.compaction {
            compaction.abort();
            // What it holds is held until it has ended.
            let _end = compaction.await;
        }
        let mut closing = Vec::with_capacity(self.shards.count());
        for shard in 0..self.shards.count() {
            let (done, closed) = oneshot::channel();
            let shard = u16::try_from(shard).expect("there are at most 1024 shards");
            self.shards.send(shard, ShardRequest::Close { done }).await;
            closing.push(closed);
        }
        let mut resting: Vec<(Arc<Partition>, SleepingLog)> = Vec::new();
        for closed in closing {
            match closed.await {
                Ok(logs) => resting.extend(logs),
                // It has failed; what it held is looked at by the next start.
                Err(_) => return,
            }
        }
        self.safe_ends.close();
        let _end = self.safe_ends_task.await;
        if !self.directory.is_writable() {
            warn!("the data directory takes no writes, so the next start looks at every log");
            return;
        }
        if let Err(error) = write_clean_shutdown(&self.directory, &resting).await {
            warn!("the clean stop can't be noted ({error}), so the next start looks at every log");
        }
    }

    /// What can be seen of them from outside.
    pub(crate) fn signs(&self) -> ReplicaSigns {
        ReplicaSigns {
            directory: Arc::clone(&self.directory),
            progress: Arc::clone(&self.progress),
            partitions: Arc::clone(&self.partitions),
            shards: self.shards.clone(),
        }
    }

    /// The data directory.
    pub(crate) fn data_directory(&self) -> &Path {
        self.directory.path()
    }
}

fn spawn_safe_ends(runtime: &Runtime, task: SafeEndsTask, directory: &Arc<DataDirectory>) -> TaskHandle {
    let directory = Arc::clone(directory);
    runtime.spawner.spawn("safe ends", async move {
        if let Err(error) = task.run().await {
            directory.on_checkpoint_failure(&error);
        }
    })
}

async fn write_clean_shutdown(
    directory: &DataDirectory,
    resting: &[(Arc<Partition>, SleepingLog)],
) -> std::io::Result<()> {
    write_kafka_checkpoints(directory, resting).await?;
    let partitions: BTreeMap<_, _> =
        resting.iter().filter_map(|(partition, log)| Some((key_of(partition), log.to_clean()?))).collect();
    let bytes = clean_shutdown::encode(&partitions);
    put_in_place(directory, CLEAN_SHUTDOWN, Bytes::from(bytes)).await?;
    info!(logs = partitions.len(), "every log is written and synced");
    Ok(())
}

/// Kafka's own text checkpoints, for its tools and for a way back.
async fn write_kafka_checkpoints(
    directory: &DataDirectory,
    resting: &[(Arc<Partition>, SleepingLog)],
) -> std::io::Result<()> {
    let rows = |offset_of: fn(&SleepingLog) -> Option<ottla_protocol::types::Offset>| {
        resting
            .iter()
            .filter(|(_, log)| log.segment_count != 0)
            .filter_map(|(partition, log)| Some((&*partition.topic.name, partition.index, offset_of(log)?)))
            .collect::<Vec<_>>()
    };
    let ends = rows(|log| Some(log.ends.safe_end));
    let starts = rows(|log| Some(log.ends.log_start).filter(|start| 0 < start.0));
    for (name, rows) in [
        ("recovery-point-offset-checkpoint", &ends),
        ("replication-offset-checkpoint", &ends),
        ("log-start-offset-checkpoint", &starts),
    ] {
        put_in_place(directory, name, Bytes::from(encode_offsets(rows.iter().copied()))).await?;
    }
    Ok(())
}

/// Writes a file whole or not at all, durably.
async fn put_in_place(directory: &DataDirectory, name: &str, bytes: Bytes) -> std::io::Result<()> {
    let disk = &directory.context().disk;
    let place: PathBuf = directory.path().join(name);
    let temporary = directory.path().join(format!("{name}{TEMPORARY_SUFFIX}"));
    let file = disk.open_wait(&temporary, OpenMode::Create).await?;
    file.truncate_wait(0).await?;
    file.write_at_wait(0, vec![bytes]).await?;
    disk.sync_file_wait(&file).await?;
    disk.rename_wait(&temporary, &place).await?;
    disk.sync_directory_wait(directory.path()).await
}
