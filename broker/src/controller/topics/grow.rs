//! CreatePartitions.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{BrokerId, PartitionIndex};

use super::super::image::{MetadataImage, TopicImage};
use super::super::placement::place;
use super::super::proposal::{CreatePartitions, DecisionContext};
use super::super::record::MetadataRecord;
use super::create::{PARTITIONS_PER_REQUEST_MAX, check_replicas, new_partition};

/// A topic that is to get more partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrowingTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it is to have.
    pub count: i32,
    /// The replicas of each new partition, if the client wants to say.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// Why a topic did not get more partitions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreatePartitionsError {
    /// The time-out leaves no time.
    #[error("the time-out was over before the partitions could be created")]
    TimedOut,
    /// The name stands twice in the request.
    #[error("the topic stands more than once in the request")]
    Duplicate,
    /// There is no such topic.
    #[error("there is no topic '{0}'")]
    UnknownTopic(String),
    /// It has as many already, or more: partitions can't be taken away.
    #[error("the topic has {has} partition(s), and {wanted} would not be more")]
    NotMore {
        /// How many there are.
        has: usize,
        /// How many were asked for.
        wanted: i32,
    },
    /// The request creates too much at once.
    #[error("one request can create 10000 partitions at most, and with these it would be {0}")]
    TooMany(i64),
    /// An assignment makes no sense.
    #[error("{0}")]
    InvalidAssignment(String),
    /// The topic's replication factor is larger than the cluster.
    #[error("the topic has {wanted} replicas of each partition, but there are only {brokers} broker(s)")]
    TooFewBrokers {
        /// How many replicas are needed.
        wanted: usize,
        /// How many brokers there are.
        brokers: usize,
    },
}

impl CreatePartitionsError {
    /// What the wire says.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            CreatePartitionsError::TimedOut => ErrorCode::RequestTimedOut,
            CreatePartitionsError::Duplicate => ErrorCode::InvalidRequest,
            CreatePartitionsError::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
            CreatePartitionsError::NotMore { .. } => ErrorCode::InvalidPartitions,
            CreatePartitionsError::TooMany(_) => ErrorCode::PolicyViolation,
            CreatePartitionsError::InvalidAssignment(_) => ErrorCode::InvalidReplicaAssignment,
            CreatePartitionsError::TooFewBrokers { .. } => ErrorCode::InvalidReplicationFactor,
        }
    }
}

type Row = (String, Result<(), CreatePartitionsError>);

/// One row for each distinct name, in the order of their first appearance, and the records that make it so.
pub(in super::super) fn create_partitions(
    image: &MetadataImage,
    request: &CreatePartitions,
    context: &mut DecisionContext<'_>,
) -> (Vec<MetadataRecord>, Vec<Row>) {
    let mut times_named: BTreeMap<&str, u32> = BTreeMap::new();
    for topic in &request.topics {
        *times_named.entry(topic.name.as_str()).or_default() += 1;
    }
    let mut records = Vec::new();
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    for topic in request.topics.iter().filter(|topic| seen.insert(topic.name.as_str())) {
        let result = if request.timeout_ms <= 0 {
            Err(CreatePartitionsError::TimedOut)
        } else if times_named.get(topic.name.as_str()).is_some_and(|times| 1 < *times) {
            Err(CreatePartitionsError::Duplicate)
        } else {
            grow(image, topic, context, &mut records)
        };
        rows.push((topic.name.clone(), result));
    }
    if request.validate_only {
        records.clear();
    }
    (records, rows)
}

fn grow(
    image: &MetadataImage,
    topic: &GrowingTopic,
    context: &mut DecisionContext<'_>,
    records: &mut Vec<MetadataRecord>,
) -> Result<(), CreatePartitionsError> {
    let known = image.topic(&topic.name);
    let known = known.ok_or_else(|| CreatePartitionsError::UnknownTopic(topic.name.clone()))?;
    let has = known.partitions().len();
    let not_more = CreatePartitionsError::NotMore { has, wanted: topic.count };
    let added = usize::try_from(topic.count).ok().and_then(|count| count.checked_sub(has));
    let added = added.filter(|added| *added > 0).ok_or(not_more)?;
    let in_all = i64::try_from(records.len() + added).unwrap_or(i64::MAX);
    if PARTITIONS_PER_REQUEST_MAX < in_all {
        return Err(CreatePartitionsError::TooMany(in_all));
    }
    let placed = match &topic.assignments {
        Some(assignments) => checked(image, known, added, assignments)?,
        None => placed(image, known, added, context)?,
    };
    let first = i32::try_from(has).expect("a topic has fewer than 2^31 partitions");
    for (replicas, index) in placed.into_iter().zip(first..) {
        records.push(new_partition(image, known.id(), PartitionIndex(index), replicas));
    }
    Ok(())
}

fn checked(
    image: &MetadataImage,
    topic: &TopicImage,
    added: usize,
    assignments: &[Vec<BrokerId>],
) -> Result<Vec<Vec<BrokerId>>, CreatePartitionsError> {
    let invalid = |text| Err(CreatePartitionsError::InvalidAssignment(text));
    if assignments.len() != added {
        return invalid(format!("{added} partition(s) are added, but {} assigned", assignments.len()));
    }
    let factor = usize::try_from(topic.replication_factor()).unwrap_or(0);
    let first = topic.partitions().len();
    for (index, replicas) in assignments.iter().enumerate() {
        let index = first + index;
        check_replicas(image, index, replicas).map_err(CreatePartitionsError::InvalidAssignment)?;
        if replicas.len() != factor {
            return invalid(format!(
                "partition {index} is assigned another number of replicas than partition 0 has"
            ));
        }
    }
    Ok(assignments.to_vec())
}

fn placed(
    image: &MetadataImage,
    topic: &TopicImage,
    added: usize,
    context: &mut DecisionContext<'_>,
) -> Result<Vec<Vec<BrokerId>>, CreatePartitionsError> {
    let brokers: Vec<BrokerId> = image.brokers().map(|broker| broker.id).collect();
    let wanted = usize::try_from(topic.replication_factor()).unwrap_or(0);
    let placed = place(&brokers, added, wanted, context.rng.next_u64());
    placed.ok_or(CreatePartitionsError::TooFewBrokers { wanted, brokers: brokers.len() })
}
