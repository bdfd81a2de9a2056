//! Topics that come into being because somebody asked for their metadata.

use std::collections::BTreeMap;

use super::super::image::MetadataImage;
use super::super::topic_name::{InvalidTopicName, TopicName};
use super::create::NewTopic;
use crate::config::{GroupsConfig, TransactionConfig};

/// The topics that coordinators keep their state in.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Whether Metadata calls a topic of this name internal, be there one or not.
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// How internal topics are made. The defaults are Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InternalTopicSettings {
    /// `offsets.topic.num.partitions`, `transaction.state.log.num.partitions` and
    /// `share.coordinator.state.topic.num.partitions`.
    pub partition_counts: [i32; 3],
    /// `offsets.topic.replication.factor` and its kin: a wish, which a smaller cluster cuts to its size.
    pub replication_factors: [i16; 3],
    /// `offsets.topic.segment.bytes` and its kin.
    pub segment_bytes: [i32; 3],
}

impl Default for InternalTopicSettings {
    fn default() -> InternalTopicSettings {
        InternalTopicSettings {
            partition_counts: [50; 3],
            replication_factors: [3; 3],
            segment_bytes: [104_857_600; 3],
        }
    }
}

impl InternalTopicSettings {
    /// As a broker's configuration has them.
    pub fn of(groups: &GroupsConfig, transactions: &TransactionConfig) -> InternalTopicSettings {
        let defaults = InternalTopicSettings::default();
        let [_, _, share_partitions] = defaults.partition_counts;
        let [_, _, share_factor] = defaults.replication_factors;
        let [_, _, share_bytes] = defaults.segment_bytes;
        let int = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let factor = i16::try_from(transactions.log_replication_factor).unwrap_or(i16::MAX);
        InternalTopicSettings {
            partition_counts: [
                groups.offsets_topic_partition_count,
                int(transactions.log_partition_count),
                share_partitions,
            ],
            replication_factors: [groups.offsets_topic_replication_factor, factor, share_factor],
            segment_bytes: [
                groups.offsets_topic_segment_bytes,
                int(transactions.log_segment_bytes),
                share_bytes,
            ],
        }
    }
}

/// What to do about a topic that a Metadata request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AutoCreation {
    /// There it is.
    Exists,
    /// The name is not allowed: INVALID_TOPIC_EXCEPTION.
    InvalidName(InvalidTopicName),
    /// It can't be created, or may not be: UNKNOWN_TOPIC_OR_PARTITION and nothing else.
    Unknown,
    /// Propose this, and answer UNKNOWN_TOPIC_OR_PARTITION meanwhile.
    Create(Box<NewTopic>),
}

/// Decides about the topic `name`. `allowed` says whether both the broker and the client want it created.
///
/// A name that collides with another is unknown here, while CreateTopics calls it invalid: Kafka's clients rely on
/// neither, and see the same from Kafka.
pub fn auto_creation(
    image: &MetadataImage,
    name: &str,
    allowed: bool,
    internal: &InternalTopicSettings,
) -> AutoCreation {
    if image.topic(name).is_some() {
        return AutoCreation::Exists;
    }
    if let Err(invalid) = TopicName::check(name) {
        return AutoCreation::InvalidName(invalid);
    }
    if !allowed || image.colliding_topic(name).is_some() || name == "__cluster_metadata" {
        return AutoCreation::Unknown;
    }
    let topic = match INTERNAL.iter().position(|known| *known == name) {
        None => NewTopic {
            name: name.to_owned(),
            partition_count: -1,
            replication_factor: -1,
            assignments: vec![],
            configs: Ok(BTreeMap::new()),
        },
        Some(which) => internal_topic(image, name, which, internal),
    };
    AutoCreation::Create(Box::new(topic))
}

fn internal_topic(
    image: &MetadataImage,
    name: &str,
    which: usize,
    settings: &InternalTopicSettings,
) -> NewTopic {
    let broker_count = i16::try_from(image.brokers().count()).unwrap_or(i16::MAX);
    let [offsets, transactions, share] = INTERNAL;
    let fixed: &[(&str, &str)] = match name {
        _ if name == offsets => &[("cleanup.policy", "compact"), ("compression.type", "producer")],
        _ if name == transactions => &[
            ("cleanup.policy", "compact"),
            ("compression.type", "uncompressed"),
            ("unclean.leader.election.enable", "false"),
            // Under `os` a power cut could take the memory that a session was given out. Whoever got it again would have
            // its records answered as duplicates of the first one's, and they would be lost.
            ("ottla.flush.policy", "group"),
        ],
        _ if name == share => {
            &[("cleanup.policy", "delete"), ("compression.type", "producer"), ("retention.ms", "-1")]
        }
        _ => &[],
    };
    let mut configs: BTreeMap<String, String> =
        fixed.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    configs.insert("segment.bytes".to_owned(), settings.segment_bytes[which].to_string());
    NewTopic {
        name: name.to_owned(),
        partition_count: settings.partition_counts[which],
        replication_factor: settings.replication_factors[which].min(broker_count),
        assignments: vec![],
        configs: Ok(configs),
    }
}
