//! Records become true: the only function that changes an image.

use std::sync::Arc;

use ottla_protocol::types::{BrokerId, PartitionIndex, ProducerId, TopicId};
use smallvec::SmallVec;

use super::super::ids::MetadataOffset;
use super::super::record::{BrokerRegistered, MetadataRecord, PartitionChangeRecord, PartitionRecord};
use super::super::topic_name::{Named, TopicName};
use super::{BrokerImage, ConfigResource, MetadataImage, PartitionImage, ReplicaSets, TopicImage};

/// Why a record can't follow this image. The log is damaged, or was written by a program with a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The cluster is created once.
    #[error("the cluster is created a second time")]
    SecondCluster,
    /// A topic id or name that exists is created.
    #[error("topic {name} ({id}) is created although its id or name exists")]
    TopicExists {
        /// The topic's id.
        id: TopicId,
        /// Its name.
        name: String,
    },
    /// A record is about a topic that does not exist.
    #[error("topic {0} is unknown")]
    UnknownTopic(TopicId),
    /// A record is about a partition that does not exist.
    #[error("partition {index} of topic {topic} is unknown")]
    UnknownPartition {
        /// The topic.
        topic: TopicId,
        /// The partition.
        index: PartitionIndex,
    },
    /// Partitions come one after another.
    #[error("partition {index} of topic {topic} comes when {expected} is due")]
    PartitionOutOfOrder {
        /// The topic.
        topic: TopicId,
        /// The partition that comes.
        index: PartitionIndex,
        /// How many the topic has.
        expected: usize,
    },
    /// An epoch goes back.
    #[error("an epoch of partition {index} of topic {topic} goes back from {known} to {found}")]
    EpochGoesBack {
        /// The topic.
        topic: TopicId,
        /// The partition.
        index: PartitionIndex,
        /// What it was.
        known: i32,
        /// What the record says.
        found: i32,
    },
    /// A broker starts for a time that it has already started.
    #[error("broker {broker} starts for the {found}th time after the {known}th")]
    StartCountGoesBack {
        /// The broker.
        broker: BrokerId,
        /// How often it had started.
        known: i32,
        /// What the record says.
        found: i32,
    },
    /// A producer id would be given away twice.
    #[error("the next producer id goes back from {known} to {found}")]
    ProducerIdGoesBack {
        /// What it was.
        known: ProducerId,
        /// What the record says.
        found: ProducerId,
    },
}

/// Memory is reserved for this many partitions at most because a topic's record announces them.
const ANNOUNCED_PARTITIONS_MAX: u32 = 10_000;

impl MetadataImage {
    /// Makes a record true. After an error the image is not to be used.
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), ApplyError> {
        match record {
            MetadataRecord::ClusterCreated { cluster_id, created_at } => {
                if self.cluster.is_some() {
                    return Err(ApplyError::SecondCluster);
                }
                self.cluster = Some((*cluster_id, *created_at));
                Ok(())
            }
            MetadataRecord::BrokerRegistered(record) => self.register_broker(record),
            MetadataRecord::Topic { id, name, partition_count } => {
                self.create_topic(*id, name, *partition_count)
            }
            MetadataRecord::Partition(record) => self.create_partition(record),
            MetadataRecord::PartitionChange(record) => self.change_partition(record),
            MetadataRecord::RemoveTopic { id } => self.remove_topic(*id),
            MetadataRecord::ConfigSet { resource, key, value } => {
                self.set_config(resource, key, value);
                Ok(())
            }
            MetadataRecord::ConfigRemoved { resource, key } => {
                self.remove_config(resource, key);
                Ok(())
            }
            MetadataRecord::ProducerIdBlock { broker, next } => self.give_producer_ids(*broker, *next),
            MetadataRecord::FeatureLevel { name, level } => {
                match level {
                    0 => self.features.remove(&**name),
                    _ => self.features.insert(name.as_str().into(), *level),
                };
                Ok(())
            }
            MetadataRecord::NoOp => Ok(()),
        }
    }

    /// Notes that everything up to `offset` has been applied.
    pub fn advance_to(&mut self, offset: MetadataOffset) {
        assert!(self.offset <= offset, "metadata offset {offset} after {}", self.offset);
        self.offset = offset;
    }

    fn register_broker(&mut self, record: &BrokerRegistered) -> Result<(), ApplyError> {
        let known = self.start_count(Some(record.broker));
        if record.start_count <= known {
            let found = record.start_count;
            return Err(ApplyError::StartCountGoesBack { broker: record.broker, known, found });
        }
        let broker = BrokerImage {
            id: record.broker,
            start_count: record.start_count,
            incarnation: record.incarnation,
            directories: record.directories.clone(),
            endpoints: record.endpoints.clone(),
            rack: record.rack.clone(),
            registered_at: record.registered_at,
        };
        self.brokers.insert(record.broker, Arc::new(broker));
        Ok(())
    }

    fn create_topic(&mut self, id: TopicId, name: &str, partition_count: u32) -> Result<(), ApplyError> {
        if self.topics.contains_key(&id) || self.topic_ids.contains_key(&Named(name)) {
            return Err(ApplyError::TopicExists { id, name: name.to_owned() });
        }
        let announced = partition_count.min(ANNOUNCED_PARTITIONS_MAX) as usize;
        let name = TopicName::unchecked(name);
        self.topic_ids.insert(name.clone(), id);
        let partitions = SmallVec::with_capacity(announced);
        self.topics.insert(id, Arc::new(TopicImage { id, name, partitions }));
        Ok(())
    }

    fn create_partition(&mut self, record: &PartitionRecord) -> Result<(), ApplyError> {
        let start_count = self.start_count(record.leader);
        let sets = self.interned.share(ReplicaSets {
            replicas: record.replicas.as_slice().into(),
            directories: record.directories.as_slice().into(),
            isr: record.isr.as_slice().into(),
            elr: record.elr.as_slice().into(),
        });
        let topic = self.topics.get_mut(&record.topic).ok_or(ApplyError::UnknownTopic(record.topic))?;
        let expected = topic.partitions.len();
        if usize::try_from(record.index.0) != Ok(expected) {
            let (topic, index) = (record.topic, record.index);
            return Err(ApplyError::PartitionOutOfOrder { topic, index, expected });
        }
        let mut partition = PartitionImage::new(sets, record.leader, record.leader_epoch, start_count);
        partition.set_partition_epoch(record.partition_epoch);
        Arc::make_mut(topic).partitions.push(partition);
        self.partition_count += 1;
        Ok(())
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), ApplyError> {
        let (topic, index) = (record.topic, record.index);
        let unknown = ApplyError::UnknownPartition { topic, index };
        let known = self.topic_by_id(topic).ok_or(ApplyError::UnknownTopic(topic))?;
        let mut partition = known.partition(index).ok_or(unknown.clone())?.clone();
        let goes_back = |known, found| ApplyError::EpochGoesBack { topic, index, known, found };

        if record.partition_epoch <= partition.partition_epoch() {
            return Err(goes_back(partition.partition_epoch(), record.partition_epoch));
        }
        partition.set_partition_epoch(record.partition_epoch);
        if let Some(new) = record.leader {
            let epoch = self.leader_epoch(&partition);
            if new.leader_epoch <= epoch {
                return Err(goes_back(epoch.0, new.leader_epoch.0));
            }
            partition.set_leader(new.leader, new.leader_epoch, self.start_count(new.leader));
        }
        let sets = partition.sets();
        let sets = self.interned.share(ReplicaSets {
            replicas: record.replicas.as_ref().map_or(&*sets.replicas, |(replicas, _)| replicas).into(),
            directories: record.replicas.as_ref().map_or(&*sets.directories, |(_, places)| places).into(),
            isr: record.isr.as_deref().unwrap_or(&sets.isr).into(),
            elr: record.elr.as_deref().unwrap_or(&sets.elr).into(),
        });
        partition.set_sets(sets);

        let topic = self.topics.get_mut(&topic).expect("the topic was found above");
        let place = usize::try_from(index.0).ok();
        let slot = place.and_then(|place| Arc::make_mut(topic).partitions.get_mut(place)).ok_or(unknown)?;
        *slot = partition;
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), ApplyError> {
        let topic = self.topics.remove(&id).ok_or(ApplyError::UnknownTopic(id))?;
        self.topic_ids.remove(&Named(&topic.name));
        self.partition_count -= topic.partitions.len();
        self.configs.remove(&ConfigResource::Topic(topic.name.to_string()));
        Ok(())
    }

    fn set_config(&mut self, resource: &ConfigResource, key: &str, value: &str) {
        let configs = self.configs.entry(resource.clone()).or_default();
        Arc::make_mut(configs).insert(key.into(), value.into());
    }

    fn remove_config(&mut self, resource: &ConfigResource, key: &str) {
        let Some(configs) = self.configs.get_mut(resource) else { return };
        Arc::make_mut(configs).remove(key);
        if configs.is_empty() {
            self.configs.remove(resource);
        }
    }

    fn give_producer_ids(&mut self, broker: BrokerId, next: ProducerId) -> Result<(), ApplyError> {
        let known = self.next_producer_id.0;
        if next <= known {
            return Err(ApplyError::ProducerIdGoesBack { known, found: next });
        }
        self.next_producer_id = (next, Some(broker));
        Ok(())
    }
}
