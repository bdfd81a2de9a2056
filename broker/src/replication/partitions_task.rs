//! Follows the metadata and makes it so: partitions appear in their shards and in the registry, deleted topics
//! disappear with their files.
//!
//! One change after another, each complete before the next: a topic that is created under the name of one that was just
//! deleted finds the old one's directory out of the way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::stream::{self, StreamExt as _};
use ottla_protocol::types::{BrokerId, PartitionIndex, TopicId};
use ottla_runtime::Spawner;
use ottla_runtime::disk::DiskWait as _;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::data_directory::DataDirectory;
use super::loading::stray_directory;
use super::partition::{Partition, PartitionState, ShardPlace, Topic};
use super::producer_expiration::ProducerExpiration;
use super::registry::{Partitions, TopicEntry, Topics};
use super::shards::{ShardRequest, Shards};
use crate::config::{CompactionConfig, LogConfig, TopicConfig};
use crate::controller::{
    ConfigResource, ImageFollower, MetadataImage, TopicChange, TopicImage, broker_layers,
};
use crate::log::safe_ends::{PartitionEnds, PartitionKey};
use crate::log::segment_names::{deleted_directory, partition_directory};
use crate::log::sleeping::SleepingLog;

/// Renames that are under way together when a topic is deleted: its successor of the same name waits for them.
const RENAMES_AT_ONCE: usize = 32;

/// What start-up found of each partition that is not new.
pub(super) type FoundLogs = BTreeMap<PartitionKey, FoundLog>;

/// A log, or, where start-up could make no sense of it, what must not be cut off when it is looked at again.
pub(super) type FoundLog = Result<SleepingLog, Option<PartitionEnds>>;

/// Keeps partitions as the metadata says.
pub(super) struct PartitionsTask {
    pub(super) images: ImageFollower,
    pub(super) partitions: Arc<Partitions>,
    pub(super) shards: Shards,
    pub(super) directory: Arc<DataDirectory>,
    pub(super) defaults: Arc<TopicConfig>,
    pub(super) node: BrokerId,
    /// What this broker's file and flags say.
    pub(super) static_values: BTreeMap<String, String>,
    pub(super) producer_expiration: Arc<ProducerExpiration>,
    /// `log.cleaner.*`.
    pub(super) compaction: Arc<ArcSwap<CompactionConfig>>,
    pub(super) spawner: Spawner,
    /// What each shard's next partition is called in it.
    pub(super) next_slots: Vec<u32>,
    /// Directories that belong to nobody and have a partition's name.
    pub(super) strangers: BTreeSet<String>,
}

impl PartitionsTask {
    /// Brings up what the metadata has at start; `logs` has what was found of each partition.
    pub(super) async fn start(&mut self, logs: &mut FoundLogs) {
        let image = Arc::clone(self.images.seen());
        let mut topics = Topics::default();
        for topic in image.topics() {
            let entry = self.create(&image, topic, logs).await;
            topics.insert(entry);
        }
        self.partitions.publish(topics, image.offset());
    }

    /// Follows the metadata until it ends.
    pub(super) async fn run(mut self) {
        loop {
            let before = Arc::clone(self.images.seen());
            let Ok(after) = self.images.next().await.map(Arc::clone) else { return };
            self.apply(&before, &after).await;
        }
    }

    async fn apply(&mut self, before: &MetadataImage, after: &MetadataImage) {
        let changes = after.changes_since(before);
        let mut topics = self.partitions.snapshot();
        let brokers_own = ConfigResource::Broker(self.node);
        let reaches_all =
            |resource: &ConfigResource| *resource == ConfigResource::EveryBroker || *resource == brokers_own;
        if changes.configs.iter().any(reaches_all) {
            self.inherit(after);
        }
        // Deletions first: a topic of the same name may be among the new ones.
        for change in &changes.topics {
            if let TopicChange::Removed(topic) = change
                && let Some(entry) = topics.remove(topic.id())
            {
                self.delete(&entry).await;
            }
        }
        for change in &changes.topics {
            match change {
                TopicChange::Created(topic) => {
                    let entry = self.create(after, topic, &mut BTreeMap::new()).await;
                    topics.insert(entry);
                }
                TopicChange::Changed { after: topic, .. } => {
                    if let Some(entry) = topics.by_id(topic.id()).map(Arc::clone) {
                        topics.insert(self.grow(after, topic, &entry).await);
                    }
                }
                TopicChange::Removed(_) => {}
            }
        }
        if changes.configs.iter().any(reaches_all) {
            for entry in topics.entries() {
                self.configure(after, entry).await;
            }
        } else {
            for resource in &changes.configs {
                if let ConfigResource::Topic(name) = resource
                    && let Some(topic) = after.topic(name)
                    && let Some(entry) = topics.by_id(topic.id())
                {
                    self.configure(after, entry).await;
                }
            }
        }
        self.partitions.publish(topics, after.offset());
    }

    /// Takes up what is set for brokers now.
    fn inherit(&mut self, image: &MetadataImage) {
        let layers = broker_layers(image, self.node, &self.static_values);
        let log = LogConfig::default().with_dynamic(&layers);
        self.defaults = Arc::new(log.topic_defaults);
        self.producer_expiration.set_ms(log.producer_id_expiration_ms);
        let compaction = self.compaction.load().with_dynamic(&layers);
        self.compaction.store(Arc::new(compaction));
        info!("configs of brokers have changed and are in effect");
    }

    /// A topic that has got more partitions.
    async fn grow(&mut self, image: &MetadataImage, topic: &TopicImage, entry: &TopicEntry) -> TopicEntry {
        let mut partitions = entry.partitions().to_vec();
        let shared = Arc::clone(entry.topic());
        for index in partitions.len()..topic.partitions().len() {
            let index = PartitionIndex(i32::try_from(index).expect("a topic has fewer than 2^31 partitions"));
            partitions.push(self.create_partition(image, topic, &shared, index, &mut BTreeMap::new()).await);
        }
        TopicEntry::new(shared, partitions)
    }

    async fn create(
        &mut self,
        image: &MetadataImage,
        topic: &TopicImage,
        logs: &mut FoundLogs,
    ) -> TopicEntry {
        let config = self.config_of(image, topic.name());
        let shared = Arc::new(Topic {
            id: topic.id(),
            name: Arc::from(&**topic.name()),
            config: ArcSwap::new(config),
        });
        let mut partitions = Vec::with_capacity(topic.partitions().len());
        for (_, index) in topic.partitions().iter().zip(0..) {
            partitions.push(self.create_partition(image, topic, &shared, PartitionIndex(index), logs).await);
        }
        TopicEntry::new(shared, partitions)
    }

    async fn create_partition(
        &mut self,
        image: &MetadataImage,
        topic: &TopicImage,
        shared: &Arc<Topic>,
        index: PartitionIndex,
        logs: &mut FoundLogs,
    ) -> Arc<Partition> {
        let row = topic.partition(index).expect("the topic has it");
        let place = self.place(shared.id, index);
        let partition = Arc::new(Partition::new(Arc::clone(shared), index, place, image.leader_epoch(row)));
        let key = PartitionKey { topic_id: shared.id, partition: index };
        let log = match logs.remove(&key) {
            Some(log) => log,
            None => self.make_way(&partition).await,
        };
        // Before anybody can see it: a reader that finds the ends of an empty log takes its records for gone.
        match &log {
            Ok(log) => {
                partition.set_resting_ends(log);
                partition.note_resting(log);
            }
            Err(_) => partition.set_state(PartitionState::Offline),
        }
        let add = ShardRequest::Add { partition: Arc::clone(&partition), log };
        self.shards.send(place.shard, add).await;
        partition
    }

    /// A new partition has no log. What a deletion that a crash cut short left under its name is moved aside: its bytes
    /// would lie behind those of the new log, and recovery might take them for its records.
    async fn make_way(&mut self, partition: &Partition) -> FoundLog {
        let place = self.directory.place_of(partition);
        if !self.strangers.contains(&*place.name) {
            return Ok(SleepingLog::ABSENT);
        }
        let aside = stray_directory(self.directory.path(), &place, place.topic_id);
        warn!("{} belongs to no topic; it is kept as {}", place.directory.display(), aside.display());
        let disk = &self.directory.context().disk;
        let moved = match disk.rename_wait(&place.directory, &aside).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        };
        match moved {
            Ok(()) => {
                self.strangers.remove(&*place.name);
                Ok(SleepingLog::ABSENT)
            }
            Err(error) => {
                error!(
                    "{} can't be moved aside: {error}; the partition is offline",
                    place.directory.display()
                );
                Err(None)
            }
        }
    }

    /// Spreads partitions over the shards: neighbours of one topic apart, topics with one partition too.
    fn place(&mut self, topic: TopicId, index: PartitionIndex) -> ShardPlace {
        let first = u64::from_be_bytes(topic.0[8..].try_into().expect("eight of sixteen bytes"));
        let shard =
            (first.wrapping_add(u64::try_from(index.0).unwrap_or(0)) % self.shards.count() as u64) as usize;
        let next = self.next_slots.get_mut(shard).expect("one for each shard");
        let slot = *next;
        *next += 1;
        ShardPlace { shard: u16::try_from(shard).expect("there are at most 1024 shards"), slot }
    }

    fn config_of(&self, image: &MetadataImage, name: &str) -> Arc<TopicConfig> {
        let Some(overrides) = image.topic_configs(name).filter(|overrides| !overrides.is_empty()) else {
            return Arc::clone(&self.defaults);
        };
        let overrides = overrides.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        match self.defaults.with_overrides(&overrides) {
            Ok(config) => Arc::new(config),
            Err(error) => {
                error!(topic = name, %error, "the topic's configs can't be read; it has the broker's defaults");
                Arc::clone(&self.defaults)
            }
        }
    }

    async fn configure(&self, image: &MetadataImage, entry: &TopicEntry) {
        let config = self.config_of(image, entry.name());
        let before = entry.topic().config.swap(Arc::clone(&config));
        if before == config {
            return;
        }
        for partition in entry.partitions() {
            let request =
                ShardRequest::Configure { partition: Arc::clone(partition), config: Arc::clone(&config) };
            self.shards.send(partition.place.shard, request).await;
        }
    }

    /// Takes a topic's partitions out of their shards and their directories out of the way; the files are removed
    /// behind everybody's back.
    async fn delete(&mut self, entry: &TopicEntry) {
        let mut removed = Vec::with_capacity(entry.partitions().len());
        for partition in entry.partitions() {
            let (done, gone) = oneshot::channel();
            let request = ShardRequest::Remove { partition: Arc::clone(partition), done };
            self.shards.send(partition.place.shard, request).await;
            removed.push(gone);
        }
        for gone in removed {
            // A shard that has ended holds no log open any more.
            let _ = gone.await;
        }
        let renames: Vec<_> = entry.partitions().iter().map(|partition| self.move_aside(partition)).collect();
        let doomed: Vec<Result<Option<PathBuf>, String>> =
            stream::iter(renames).buffered(RENAMES_AT_ONCE).collect().await;
        info!(topic = entry.name(), partitions = entry.partitions().len(), "topic deleted");
        let mut moved = Vec::with_capacity(doomed.len());
        for one in doomed {
            match one {
                Ok(path) => moved.extend(path),
                Err(name) => drop(self.strangers.insert(name)),
            }
        }
        self.remove_directories(moved);
    }

    /// Gives a directory that is to be removed a name that tells so; `None` if there is no such directory. An error is
    /// the name of one that stays where it is.
    fn move_aside(
        &self,
        partition: &Partition,
    ) -> impl Future<Output = Result<Option<PathBuf>, String>> + Send + use<> {
        let Topic { name, id, .. } = &*partition.topic;
        let from = self.directory.place_of(partition).directory;
        let live = partition_directory(name, partition.index);
        let to = self.directory.path().join(deleted_directory(name, partition.index, *id));
        let disk = Arc::clone(&self.directory.context().disk);
        async move {
            match disk.rename_wait(&from, &to).await {
                Ok(()) => Ok(Some(to)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => {
                    warn!("{} can't be renamed for removal: {error}", from.display());
                    Err(live)
                }
            }
        }
    }

    fn remove_directories(&self, doomed: Vec<PathBuf>) {
        if doomed.is_empty() {
            return;
        }
        let disk = Arc::clone(&self.directory.context().disk);
        let directory = self.directory.path().to_owned();
        self.spawner.spawn("remove directories", async move {
            // The new names first: a directory that came back under its old one would look like a log.
            if let Err(error) = disk.sync_directory_wait(&directory).await {
                warn!("{} can't be synced after a deletion: {error}", directory.display());
            }
            for path in doomed {
                if let Err(error) = disk.remove_directory_wait(&path).await {
                    warn!("{} can't be removed: {error}; it goes at the next start", path.display());
                }
            }
        });
    }
}
