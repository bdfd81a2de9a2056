//! One shard on a simulated machine, asked as handlers ask it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{LeaderEpoch, PartitionIndex, TopicId};
use ottla_runtime::disk::DiskWait as _;
use ottla_runtime::simulated::{DiskLatency, Machine, Rate, Simulation};
use ottla_runtime::{Clock, TaskEnd, TaskHandle};
use tokio::sync::{mpsc, oneshot};

use super::ack_queue::Acks;
use super::data_directory::DataDirectory;
use super::partition::{Partition, ShardPlace, Topic};
use super::partitions_task::FoundLog;
use super::pending_produce::{PendingProduce, ProduceOutcome};
use super::producer_expiration::ProducerExpiration;
use super::shard_task::{ShardParts, ShardTask};
use super::shards::{Append, INBOX_LENGTH, RestingLogs, ShardRequest, Shards};
use crate::config::{FlushPolicy, TopicConfig};
use crate::log::batch_validation::ValidatedBatch;
use crate::log::safe_ends_task::SafeEndsTask;
use crate::log::sleeping::SleepingLog;
pub(super) use crate::log::testing::produced;
use crate::log::verification::Verification;

/// The data directory.
const DATA: &str = "data";

/// A shard, and the machine that it runs on.
pub(super) struct Rig {
    pub(super) machine: Machine,
    pub(super) clock: Clock,
    pub(super) directory: Arc<DataDirectory>,
    pub(super) shards: Shards,
    task: TaskHandle,
    next_slot: u32,
}

/// Runs a test on a shard of its own.
pub(super) fn on_shard<T>(test: impl AsyncFnOnce(Rig) -> T) -> T {
    let simulation = Simulation::new(1);
    on_shard_of(&simulation, test)
}

/// The same in a given world.
pub(super) fn on_shard_of<T>(simulation: &Simulation, test: impl AsyncFnOnce(Rig) -> T) -> T {
    let machine = simulation.machine("broker");
    simulation.block_on(async {
        let rig = Rig::start(machine, 0, 100).await;
        test(rig).await
    })
}

impl Rig {
    /// A shard in an empty data directory, with so large a reserve and so many logs open at a time.
    pub(super) async fn start(machine: Machine, reserve_bytes: u64, open_logs_max: usize) -> Rig {
        let (parts, directory) = Rig::parts(&machine, reserve_bytes, open_logs_max).await;
        let (inbox, requests) = mpsc::channel(INBOX_LENGTH);
        let (clock, spawner) = (parts.clock.clone(), parts.spawner.clone());
        let task = spawner.spawn("shard", ShardTask::new(parts, requests).run());
        Rig { machine, clock, directory, shards: Shards::new(vec![inbox]), task, next_slot: 0 }
    }

    async fn parts(
        machine: &Machine,
        reserve_bytes: u64,
        open_logs_max: usize,
    ) -> (ShardParts, Arc<DataDirectory>) {
        let runtime = machine.runtime();
        let path = Path::new(DATA).to_owned();
        runtime.disk.create_directory_wait(&path).await.expect("it can be made");
        let (disk, clock) = (Arc::clone(&runtime.disk), runtime.clock.clone());
        let started = SafeEndsTask::start(disk, clock.clone(), path.clone(), &BTreeMap::new()).await;
        let (notes, safe_ends) = started.expect("it can be written");
        let directory = DataDirectory::start(&runtime, path, reserve_bytes, notes);
        let _running = runtime.spawner.spawn("safe ends", async move {
            // The disk may be made to fail.
            let _end = safe_ends.run().await;
        });
        let parts = ShardParts {
            directory: Arc::clone(&directory),
            progress: Arc::default(),
            clock,
            spawner: runtime.spawner.clone(),
            open_logs_max,
            retention_interval: Duration::from_secs(300),
            producer_expiration: Arc::new(ProducerExpiration::new(86_400_000)),
            producer_expiration_interval: Duration::from_secs(600),
        };
        (parts, directory)
    }

    /// How a shard ends if a task of it panics.
    pub(super) async fn start_with_a_bug(machine: Machine, message: &'static str) -> TaskEnd {
        let (parts, _directory) = Rig::parts(&machine, 0, 100).await;
        let spawner = parts.spawner.clone();
        let (_inbox, requests) = mpsc::channel(INBOX_LENGTH);
        let shard = ShardTask::new(parts, requests);
        shard.spawn("open log", async move { panic!("{message}") });
        spawner.spawn("shard", shard.run()).await
    }

    /// A partition of a new topic, under the default configs.
    pub(super) async fn partition(&mut self, name: &str) -> Arc<Partition> {
        self.partition_with(name, TopicConfig::default(), Ok(SleepingLog::ABSENT)).await
    }

    /// The same; what is written is safe.
    pub(super) async fn partition_under_os(&mut self, name: &str) -> Arc<Partition> {
        let config = TopicConfig { flush_policy: FlushPolicy::Os, ..TopicConfig::default() };
        self.partition_with(name, config, Ok(SleepingLog::ABSENT)).await
    }

    /// A partition as it was found.
    pub(super) async fn partition_with(
        &mut self,
        name: &str,
        config: TopicConfig,
        log: FoundLog,
    ) -> Arc<Partition> {
        let slot = self.next_slot;
        self.next_slot += 1;
        let topic = Arc::new(Topic {
            id: TopicId(u128::from(slot + 1).to_be_bytes()),
            name: Arc::from(name),
            config: ArcSwap::from_pointee(config),
        });
        let place = ShardPlace { shard: 0, slot };
        let partition = Arc::new(Partition::new(topic, PartitionIndex(0), place, LeaderEpoch(0)));
        let add = ShardRequest::Add { partition: Arc::clone(&partition), log };
        self.shards.send(0, add).await;
        partition
    }

    /// Hands a batch over, without waiting for the outcome.
    pub(super) async fn append(
        &self,
        partition: &Arc<Partition>,
        acks: Acks,
        batch: ValidatedBatch,
    ) -> Arc<PendingProduce> {
        let (pending, mut slots) = PendingProduce::new(1, ());
        let slot = slots.next().expect("one was asked for");
        let partition = Arc::clone(partition);
        let verification = Verification::Exempt;
        let append = Append { partition, batch: Box::new(batch), acks, verification, slot };
        self.shards.append(append).await;
        pending
    }

    /// Appends so large a record that a full disk has no place for it.
    pub(super) async fn produce_large(
        &self,
        partition: &Arc<Partition>,
        acks: Acks,
    ) -> Result<i64, ErrorCode> {
        self.produce_batch(partition, acks, produced(&[1], 20_000, None)).await
    }

    /// Appends a batch, and waits for what becomes of it.
    pub(super) async fn produce_batch(
        &self,
        partition: &Arc<Partition>,
        acks: Acks,
        batch: ValidatedBatch,
    ) -> Result<i64, ErrorCode> {
        let pending = self.append(partition, acks, batch).await;
        outcome(&pending).await
    }

    /// Appends one record, and waits for what becomes of it: its offset, or an error.
    pub(super) async fn produce(&self, partition: &Arc<Partition>, acks: Acks) -> Result<i64, ErrorCode> {
        self.produce_batch(partition, acks, produced(&[1], 10, None)).await
    }

    /// Asks for the removal of a partition; completes once its files may go.
    pub(super) async fn remove(&self, partition: &Arc<Partition>) -> oneshot::Receiver<()> {
        let (done, removed) = oneshot::channel();
        let request = ShardRequest::Remove { partition: Arc::clone(partition), done };
        self.shards.send(0, request).await;
        removed
    }

    /// Where a partition's files lie.
    pub(super) fn directory_of(&self, partition: &Partition) -> String {
        self.directory.place_of(partition).directory.display().to_string()
    }

    /// A partition's first segment, on the disk.
    pub(super) fn first_segment(&self, partition: &Partition) -> Vec<u8> {
        let path = format!("{}/00000000000000000000.log", self.directory_of(partition));
        self.machine.disk().read(path).expect("there is one")
    }

    /// Lets every write take so long, and every sync.
    pub(super) fn set_latency(&self, write_ms: u64, sync_ms: u64) {
        let range = |ms| Duration::from_millis(ms)..Duration::from_millis(ms + 1);
        let latency = DiskLatency {
            write: range(write_ms),
            write_at_once: Rate::NEVER,
            sync: range(sync_ms),
            ..DiskLatency::default()
        };
        self.machine.disk().set_latency(latency);
    }

    pub(super) async fn sleep(&self, millis: u64) {
        self.clock.sleep(Duration::from_millis(millis)).await;
    }

    /// Waits until something is so, for a minute at most.
    pub(super) async fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..6_000 {
            if is_so() {
                return;
            }
            self.sleep(10).await;
        }
        panic!("it never came to be that {what}");
    }

    /// Closes the shard; what rested in it.
    pub(super) async fn close(self) -> RestingLogs {
        let (done, closed) = oneshot::channel();
        self.shards.send(0, ShardRequest::Close { done }).await;
        let resting = closed.await.expect("it answers");
        assert_eq!(self.task.await, TaskEnd::Finished);
        resting
    }
}

/// What becomes of a batch: its offset, or an error.
pub(super) async fn outcome(pending: &PendingProduce) -> Result<i64, ErrorCode> {
    poll_fn(|context| pending.poll_answered(context)).await;
    match pending.take().pop().flatten().expect("it was answered") {
        ProduceOutcome::Appended { base_offset, .. } => Ok(base_offset.0),
        ProduceOutcome::Failed(failure) => Err(failure.code),
    }
}
