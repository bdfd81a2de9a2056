//! What the cluster looks like at one moment: immutable, shared by `Arc`, and cheap to derive the next one from.
//!
//! Invariants: every topic has partitions 0 to n−1 and no gap; a partition's leader epoch and partition epoch never
//! go back; a producer id below `next_producer_id` is never given away again. [`MetadataImage::apply`] refuses a
//! record that would break one, which only a damaged log or our own bug can bring.

mod apply;
mod changes;
mod partition;
mod records;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;
use ottla_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};
use ottla_runtime::WallTime;
use smallvec::SmallVec;

pub use self::apply::ApplyError;
pub use self::changes::{ImageChanges, TopicChange};
pub use self::partition::{PartitionImage, ReplicaSets};
use super::ids::{ClusterId, DirectoryId, MetadataOffset};
use super::record::{BrokerEndpoint, ConfigResource};
use super::topic_name::{BeforeFolded, Named, TopicName, collide, could_collide};

/// The configs that are set on one resource, by key.
pub type Configs = BTreeMap<Box<str>, Box<str>>;

/// The cluster at one moment.
#[derive(Debug, Clone, Default)]
pub struct MetadataImage {
    /// The last transaction that this image has seen.
    offset: MetadataOffset,
    cluster: Option<(ClusterId, WallTime)>,
    brokers: OrdMap<BrokerId, Arc<BrokerImage>>,
    topics: OrdMap<TopicId, Arc<TopicImage>>,
    topic_ids: OrdMap<TopicName, TopicId>,
    partition_count: usize,
    configs: OrdMap<ConfigResource, Arc<Configs>>,
    next_producer_id: (ProducerId, Option<BrokerId>),
    features: OrdMap<Box<str>, i16>,
    interned: partition::Interned,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerImage {
    /// Which.
    pub id: BrokerId,
    /// How many times it has started.
    pub start_count: i32,
    /// Tells this run of it from others.
    pub incarnation: [u8; 16],
    /// Its data directories.
    pub directories: Vec<DirectoryId>,
    /// Where it can be reached; empty for a node alone that tells each client the address which that client used.
    pub endpoints: Vec<BrokerEndpoint>,
    /// Its rack.
    pub rack: Option<String>,
    /// When it last started.
    pub registered_at: WallTime,
}

/// A topic. Its partitions are 0 to n−1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    id: TopicId,
    name: TopicName,
    partitions: SmallVec<[PartitionImage; 1]>,
}

impl MetadataImage {
    /// The last transaction that this image has seen.
    pub fn offset(&self) -> MetadataOffset {
        self.offset
    }

    /// The cluster's id; all zero only before the very first record.
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster.map(|(id, _)| id).unwrap_or_default()
    }

    /// When the cluster came into being.
    pub fn created_at(&self) -> WallTime {
        self.cluster.map(|(_, at)| at).unwrap_or_default()
    }

    /// Every broker, in ascending order of ids.
    pub fn brokers(&self) -> impl Iterator<Item = &BrokerImage> {
        self.brokers.values().map(|broker| &**broker)
    }

    /// A broker.
    pub fn broker(&self, id: BrokerId) -> Option<&BrokerImage> {
        self.brokers.get(&id).map(|broker| &**broker)
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// How many partitions there are in all topics.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// Every topic, ordered as [`TopicName`] is: alphabetically, with `.` read as `_`.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topic_ids.values().map(|id| self.topics.get(id).expect("names and topics come and go together"))
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topic_ids.get(&Named(name)).and_then(|id| self.topics.get(id))
    }

    /// The topic of this id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(&id)
    }

    /// A topic whose name differs from this one, but only by `.` and `_`.
    pub fn colliding_topic(&self, name: &str) -> Option<&TopicName> {
        if !could_collide(name) {
            return None;
        }
        let from = (Bound::Included(BeforeFolded(name)), Bound::Unbounded);
        // Names that fold alike are neighbours, and one of them may be this very name.
        self.topic_ids
            .range::<_, BeforeFolded<'_>>(from)
            .take(2)
            .map(|(other, _)| other)
            .find(|other| collide(name, other))
    }

    /// A partition's leader epoch: it grows when the leader changes, and when the leader starts again. Never goes
    /// back for one topic id.
    pub fn leader_epoch(&self, partition: &PartitionImage) -> LeaderEpoch {
        partition.leader_epoch(self.start_count(partition.leader()))
    }

    fn start_count(&self, leader: Option<BrokerId>) -> i32 {
        leader.and_then(|leader| self.broker(leader)).map_or(0, |broker| broker.start_count)
    }

    /// The configs set on a resource; none if it inherits them all.
    pub fn configs(&self, resource: &ConfigResource) -> Option<&Configs> {
        self.configs.get(resource).map(|configs| &**configs)
    }

    /// The configs set on a topic.
    pub fn topic_configs(&self, name: &str) -> Option<&Configs> {
        self.configs(&ConfigResource::Topic(name.to_owned()))
    }

    /// Every resource that has configs set, with them.
    pub fn configured(&self) -> impl Iterator<Item = (&ConfigResource, &Configs)> {
        self.configs.iter().map(|(resource, configs)| (resource, &**configs))
    }

    /// The first producer id that has never been given away.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id.0
    }

    /// The finalized features, by name, with their levels.
    pub fn features(&self) -> impl Iterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (&**name, *level))
    }
}

/// Two images are equal if they say the same; how they came about and how they share memory does not count.
impl PartialEq for MetadataImage {
    fn eq(&self, other: &MetadataImage) -> bool {
        self.offset == other.offset
            && self.cluster == other.cluster
            && self.brokers == other.brokers
            && self.topics == other.topics
            && self.topic_ids == other.topic_ids
            && self.partition_count == other.partition_count
            && self.configs == other.configs
            && self.next_producer_id == other.next_producer_id
            && self.features == other.features
    }
}

impl TopicImage {
    /// Its id.
    pub fn id(&self) -> TopicId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    /// Its partitions; the place is the partition's index.
    pub fn partitions(&self) -> &[PartitionImage] {
        &self.partitions
    }

    /// One of its partitions.
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionImage> {
        usize::try_from(index.0).ok().and_then(|index| self.partitions.get(index))
    }

    /// How many replicas its first partition has, as CreateTopics reports it.
    pub fn replication_factor(&self) -> i16 {
        self.partitions
            .first()
            .map_or(0, |partition| i16::try_from(partition.replicas().len()).unwrap_or(i16::MAX))
    }
}
