//! An image as the records that make it again: what a snapshot holds.

use std::sync::Arc;

use ottla_protocol::types::PartitionIndex;

use super::super::record::{BrokerRegistered, MetadataRecord, PartitionRecord};
use super::{BrokerImage, MetadataImage, PartitionImage, TopicImage};

impl MetadataImage {
    /// The records that make an image equal to this one (but for its offset) when applied to an empty one. Brokers
    /// come before partitions, whose leader epochs count from their leaders' starts.
    pub fn to_records(&self) -> impl Iterator<Item = MetadataRecord> + Send + '_ {
        let cluster = self
            .cluster
            .map(|(cluster_id, created_at)| MetadataRecord::ClusterCreated { cluster_id, created_at });
        let features = self
            .features
            .iter()
            .map(|(name, level)| MetadataRecord::FeatureLevel { name: name.to_string(), level: *level });
        let brokers = self.brokers.values().map(|broker| broker_record(broker));
        let producer_ids = self
            .next_producer_id
            .1
            .map(|broker| MetadataRecord::ProducerIdBlock { broker, next: self.next_producer_id.0 });
        let topics = self.topics.values().flat_map(|topic| self.topic_records(topic));
        let configs = self.configs.iter().flat_map(|(resource, configs)| {
            configs.iter().map(|(key, value)| MetadataRecord::ConfigSet {
                resource: resource.clone(),
                key: key.to_string(),
                value: value.to_string(),
            })
        });
        cluster.into_iter().chain(features).chain(brokers).chain(producer_ids).chain(topics).chain(configs)
    }

    fn topic_records<'a>(
        &'a self,
        topic: &'a Arc<TopicImage>,
    ) -> impl Iterator<Item = MetadataRecord> + Send + 'a {
        let head = MetadataRecord::Topic {
            id: topic.id,
            name: topic.name.to_string(),
            partition_count: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX),
        };
        let partitions = topic.partitions.iter().zip(0..).map(|(partition, index)| {
            MetadataRecord::Partition(self.partition_record(topic, PartitionIndex(index), partition))
        });
        std::iter::once(head).chain(partitions)
    }

    fn partition_record(
        &self,
        topic: &TopicImage,
        index: PartitionIndex,
        partition: &PartitionImage,
    ) -> PartitionRecord {
        PartitionRecord {
            topic: topic.id,
            index,
            replicas: partition.replicas().to_vec(),
            directories: partition.sets().directories.to_vec(),
            isr: partition.isr().to_vec(),
            elr: partition.elr().to_vec(),
            leader: partition.leader(),
            leader_epoch: self.leader_epoch(partition),
            partition_epoch: partition.partition_epoch(),
        }
    }
}

fn broker_record(broker: &BrokerImage) -> MetadataRecord {
    MetadataRecord::BrokerRegistered(BrokerRegistered {
        broker: broker.id,
        start_count: broker.start_count,
        incarnation: broker.incarnation,
        directories: broker.directories.clone(),
        endpoints: broker.endpoints.clone(),
        rack: broker.rack.clone(),
        registered_at: broker.registered_at,
    })
}
