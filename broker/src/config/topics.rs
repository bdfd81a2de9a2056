//! How topics come and go.

use super::values::Values;

/// How topics come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicsConfig {
    /// `num.partitions`: for a topic created without a count, from 1, default 1.
    pub partition_count: i32,
    /// `default.replication.factor`: for a topic created without one, from 1, default 1. Larger than the cluster is
    /// accepted at start, as Kafka does; creating a topic by it then fails with INVALID_REPLICATION_FACTOR.
    pub replication_factor: i16,
    /// `auto.create.topics.enable`: whether asking for a topic's metadata may create it. Default true.
    pub auto_create: bool,
    /// `delete.topic.enable`: whether DeleteTopics is obeyed. Default true.
    pub delete_enabled: bool,
}

impl Default for TopicsConfig {
    fn default() -> TopicsConfig {
        TopicsConfig { partition_count: 1, replication_factor: 1, auto_create: true, delete_enabled: true }
    }
}

impl TopicsConfig {
    pub(super) fn read(values: &Values<'_>) -> TopicsConfig {
        let factor = values.required("default.replication.factor").number();
        TopicsConfig {
            partition_count: i32::try_from(values.required("num.partitions").number()).expect("an int key"),
            replication_factor: i16::try_from(factor).expect("the key's row stops at 32767"),
            auto_create: values.required("auto.create.topics.enable").truth(),
            delete_enabled: values.required("delete.topic.enable").truth(),
        }
    }
}
