//! CreateTopics.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};

use super::super::ids::{DirectoryId, random_id};
use super::super::image::MetadataImage;
use super::super::placement::place;
use super::super::proposal::{CreateTopics, DecisionContext};
use super::super::record::{ConfigResource, MetadataRecord, PartitionRecord};
use super::super::topic_name::{InvalidTopicName, TopicName, could_collide, folded_name};

/// How many partitions one request may create.
pub(super) const PARTITIONS_PER_REQUEST_MAX: i64 = 10_000;

/// The name under which Kafka keeps its own metadata log. No topic can have it.
const CLUSTER_METADATA: &str = "__cluster_metadata";

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name, not yet checked.
    pub name: String,
    /// How many partitions; −1 for the default, and with `assignments`.
    pub partition_count: i32,
    /// How many replicas of each; −1 for the default, and with `assignments`.
    pub replication_factor: i16,
    /// The replicas of each partition, if the client wants to say. Empty otherwise.
    pub assignments: Vec<(PartitionIndex, Vec<BrokerId>)>,
    /// The configs to set on it, or what is wrong with those that the client asked for.
    pub configs: Result<BTreeMap<String, String>, String>,
}

/// What a new topic gets where its creator does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicDefaults {
    /// `num.partitions`.
    pub partition_count: i32,
    /// `default.replication.factor`.
    pub replication_factor: i16,
}

/// A topic that was created, or would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id. With `validate_only` a fresh one that names nothing.
    pub id: TopicId,
    /// How many partitions it has.
    pub partition_count: i32,
    /// How many replicas each has; with assignments of different lengths, the first.
    pub replication_factor: i16,
    /// The configs set on it.
    pub configs: BTreeMap<String, String>,
}

/// Why a topic was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateTopicError {
    /// The time-out leaves no time.
    #[error("the time-out was over before the topic could be created")]
    TimedOut,
    /// The name stands twice in the request.
    #[error("the topic stands more than once in the request")]
    Duplicate,
    /// The name is the metadata log's.
    #[error("'__cluster_metadata' is no topic and can't be created")]
    ClusterMetadata,
    /// The request creates too much at once.
    #[error("one request can create 10000 partitions at most, and this one asks for {0}")]
    TooManyPartitions(i64),
    /// The name is not allowed.
    #[error(transparent)]
    InvalidName(#[from] InvalidTopicName),
    /// The name differs from another's only by `.` and `_`.
    #[error(
        "the name differs from that of topic '{0}' by '.' and '_' only, so their metrics could not be told apart"
    )]
    Collision(String),
    /// There is such a topic.
    #[error("topic '{0}' already exists")]
    Exists(String),
    /// A config is unknown, or its value is not allowed.
    #[error("{0}")]
    InvalidConfig(String),
    /// Assignments fix both numbers.
    #[error("with replica assignments, the number of partitions and the replication factor must be -1")]
    CountsBesideAssignments,
    /// An assignment makes no sense.
    #[error("{0}")]
    InvalidAssignment(String),
    /// 0, or less than −1.
    #[error("the number of partitions must be above 0, or -1 for the default, but is {0}")]
    InvalidPartitionCount(i32),
    /// 0, or less than −1.
    #[error("the replication factor must be above 0, or -1 for the default, but is {0}")]
    InvalidReplicationFactor(i16),
    /// More replicas than brokers.
    #[error("the replication factor is {wanted}, but there are only {brokers} broker(s)")]
    TooFewBrokers {
        /// How many replicas were asked for.
        wanted: i16,
        /// How many brokers there are.
        brokers: usize,
    },
}

impl CreateTopicError {
    /// What the wire says.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            CreateTopicError::TimedOut => ErrorCode::RequestTimedOut,
            CreateTopicError::Duplicate
            | CreateTopicError::ClusterMetadata
            | CreateTopicError::CountsBesideAssignments => ErrorCode::InvalidRequest,
            CreateTopicError::TooManyPartitions(_) => ErrorCode::PolicyViolation,
            CreateTopicError::InvalidName(_) | CreateTopicError::Collision(_) => {
                ErrorCode::InvalidTopicException
            }
            CreateTopicError::Exists(_) => ErrorCode::TopicAlreadyExists,
            CreateTopicError::InvalidConfig(_) => ErrorCode::InvalidConfig,
            CreateTopicError::InvalidAssignment(_) => ErrorCode::InvalidReplicaAssignment,
            CreateTopicError::InvalidPartitionCount(_) => ErrorCode::InvalidPartitions,
            CreateTopicError::InvalidReplicationFactor(_) | CreateTopicError::TooFewBrokers { .. } => {
                ErrorCode::InvalidReplicationFactor
            }
        }
    }
}

type Row = (String, Result<CreatedTopic, CreateTopicError>);

/// One row for each distinct name, in the order of their first appearance, and the records that make it so.
pub(in super::super) fn create_topics(
    image: &MetadataImage,
    request: CreateTopics,
    context: &mut DecisionContext<'_>,
) -> (Vec<MetadataRecord>, Vec<Row>) {
    let mut times_named: BTreeMap<String, u32> = BTreeMap::new();
    for topic in &request.topics {
        *times_named.entry(topic.name.clone()).or_default() += 1;
    }
    let duplicate = |name: &str| times_named.get(name).is_some_and(|times| *times > 1);
    let wanted: i64 = request
        .topics
        .iter()
        .filter(|topic| !duplicate(&topic.name))
        .map(|topic| announced_partitions(topic, request.defaults))
        .sum();

    let mut creator = Creator {
        image,
        defaults: request.defaults,
        context,
        folded_names: BTreeSet::new(),
        records: vec![],
    };
    let mut seen = BTreeSet::new();
    let mut rows = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        if !seen.insert(topic.name.clone()) {
            continue;
        }
        let result = if request.timeout_ms <= 0 {
            Err(CreateTopicError::TimedOut)
        } else if PARTITIONS_PER_REQUEST_MAX < wanted {
            Err(CreateTopicError::TooManyPartitions(wanted))
        } else if duplicate(&topic.name) {
            Err(CreateTopicError::Duplicate)
        } else {
            creator.create(&topic)
        };
        rows.push((topic.name, result));
    }
    let records = if request.validate_only { vec![] } else { creator.records };
    (records, rows)
}

/// How many partitions a row asks for, as far as that makes sense.
fn announced_partitions(topic: &NewTopic, defaults: TopicDefaults) -> i64 {
    match (topic.assignments.len(), topic.partition_count) {
        (0, -1) => i64::from(defaults.partition_count),
        (0, count) => i64::from(count.max(0)),
        (assigned, _) => i64::try_from(assigned).unwrap_or(i64::MAX / 2),
    }
}

/// Creates the topics of one request, one after another.
struct Creator<'a, 'c> {
    image: &'a MetadataImage,
    defaults: TopicDefaults,
    context: &'a mut DecisionContext<'c>,
    /// The names that earlier rows took, with `.` read as `_`: those are not in the image yet.
    folded_names: BTreeSet<String>,
    records: Vec<MetadataRecord>,
}

impl Creator<'_, '_> {
    fn create(&mut self, topic: &NewTopic) -> Result<CreatedTopic, CreateTopicError> {
        self.check_name(&topic.name)?;
        let configs = topic.configs.clone().map_err(CreateTopicError::InvalidConfig)?;
        let placed =
            if topic.assignments.is_empty() { self.place(topic)? } else { self.check_assignments(topic)? };

        let id = self.fresh_topic_id();
        let created = CreatedTopic {
            id,
            partition_count: i32::try_from(placed.len()).expect("a request creates 10000 partitions at most"),
            replication_factor: placed
                .first()
                .map_or(0, |replicas| i16::try_from(replicas.len()).unwrap_or(i16::MAX)),
            configs,
        };
        self.folded_names.insert(folded_name(&topic.name));
        self.record(topic, &created, placed);
        Ok(created)
    }

    fn check_name(&self, name: &str) -> Result<(), CreateTopicError> {
        if name == CLUSTER_METADATA {
            return Err(CreateTopicError::ClusterMetadata);
        }
        TopicName::check(name)?;
        if self.image.topic(name).is_some() {
            return Err(CreateTopicError::Exists(name.to_owned()));
        }
        if let Some(other) = self.image.colliding_topic(name) {
            return Err(CreateTopicError::Collision(other.to_string()));
        }
        if could_collide(name) && self.folded_names.contains(&folded_name(name)) {
            return Err(CreateTopicError::Collision(name.to_owned()));
        }
        Ok(())
    }

    fn place(&mut self, topic: &NewTopic) -> Result<Vec<Vec<BrokerId>>, CreateTopicError> {
        let partition_count = match topic.partition_count {
            -1 => self.defaults.partition_count,
            count => count,
        };
        // In this order, as Kafka does; whether there are as many brokers comes last.
        let wanted = match topic.replication_factor {
            -1 => self.defaults.replication_factor,
            factor => factor,
        };
        let factor = usize::try_from(wanted)
            .ok()
            .filter(|factor| *factor > 0)
            .ok_or(CreateTopicError::InvalidReplicationFactor(topic.replication_factor))?;
        let partitions = usize::try_from(partition_count)
            .ok()
            .filter(|count| *count > 0)
            .ok_or(CreateTopicError::InvalidPartitionCount(topic.partition_count))?;
        let brokers: Vec<BrokerId> = self.image.brokers().map(|broker| broker.id).collect();
        place(&brokers, partitions, factor, self.context.rng.next_u64())
            .ok_or(CreateTopicError::TooFewBrokers { wanted, brokers: brokers.len() })
    }

    fn check_assignments(&self, topic: &NewTopic) -> Result<Vec<Vec<BrokerId>>, CreateTopicError> {
        if topic.partition_count != -1 || topic.replication_factor != -1 {
            return Err(CreateTopicError::CountsBesideAssignments);
        }
        let invalid = |text: String| Err(CreateTopicError::InvalidAssignment(text));
        let mut placed: BTreeMap<i32, Vec<BrokerId>> = BTreeMap::new();
        let factor = topic.assignments.first().map_or(0, |(_, replicas)| replicas.len());
        for (index, replicas) in &topic.assignments {
            check_replicas(self.image, index, replicas).map_err(CreateTopicError::InvalidAssignment)?;
            if replicas.len() != factor {
                return invalid(format!("partition {index} has another number of replicas than the first"));
            }
            if placed.insert(index.0, replicas.clone()).is_some() {
                return invalid(format!("partition {index} is assigned more than once"));
            }
        }
        if !placed.keys().copied().eq((0..).take(placed.len())) {
            return invalid("the assigned partitions are not numbered from 0 without a gap".to_owned());
        }
        Ok(placed.into_values().collect())
    }

    fn fresh_topic_id(&mut self) -> TopicId {
        loop {
            let id = TopicId(random_id(self.context.rng));
            if self.image.topic_by_id(id).is_none() {
                return id;
            }
        }
    }

    fn record(&mut self, topic: &NewTopic, created: &CreatedTopic, placed: Vec<Vec<BrokerId>>) {
        let partition_count = u32::try_from(placed.len()).unwrap_or(u32::MAX);
        self.records.push(MetadataRecord::Topic {
            id: created.id,
            name: topic.name.clone(),
            partition_count,
        });
        for (replicas, index) in placed.into_iter().zip(0..) {
            self.records.push(new_partition(self.image, created.id, PartitionIndex(index), replicas));
        }
        for (key, value) in &created.configs {
            self.records.push(MetadataRecord::ConfigSet {
                resource: ConfigResource::Topic(topic.name.clone()),
                key: key.clone(),
                value: value.clone(),
            });
        }
    }
}

/// A partition that comes into being with these replicas, all of them in sync.
pub(super) fn new_partition(
    image: &MetadataImage,
    topic: TopicId,
    index: PartitionIndex,
    replicas: Vec<BrokerId>,
) -> MetadataRecord {
    MetadataRecord::Partition(PartitionRecord {
        topic,
        index,
        directories: replicas.iter().map(|broker| directory_on(image, *broker)).collect(),
        isr: replicas.clone(),
        elr: vec![],
        leader: replicas.first().copied(),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        replicas,
    })
}

/// A broker with one directory has no choice; one with several will choose when it makes the replica.
fn directory_on(image: &MetadataImage, broker: BrokerId) -> DirectoryId {
    match image.broker(broker).map(|broker| broker.directories.as_slice()) {
        Some([only]) => *only,
        _ => DirectoryId::UNASSIGNED,
    }
}

/// Whether a partition can have these replicas; or what is wrong with them.
pub(super) fn check_replicas(
    image: &MetadataImage,
    index: impl std::fmt::Display,
    replicas: &[BrokerId],
) -> Result<(), String> {
    if replicas.is_empty() {
        return Err(format!("partition {index} is assigned no replica"));
    }
    if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
        return Err(format!("partition {index} is assigned to one broker more than once"));
    }
    match replicas.iter().find(|broker| image.broker(**broker).is_none()) {
        Some(unknown) => Err(format!("partition {index} is assigned to broker {unknown}, which is unknown")),
        None => Ok(()),
    }
}
