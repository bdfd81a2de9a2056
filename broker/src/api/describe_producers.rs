//! DescribeProducers: what a partition's leader knows of the producers that wrote to it.

use std::sync::Arc;

use ottla_protocol::api::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, DescribeProducersResponsePartition,
    DescribeProducersResponseProducer, DescribeProducersResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::ProducerId;
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::controller::TopicName;
use crate::log::producer_state::Producer;
use crate::replication::Partition;

const UNKNOWN_TOPIC: &str = "there is no topic of this name";

impl Handlers {
    pub(super) async fn describe_producers(
        &self,
        request: DescribeProducersRequest,
    ) -> DescribeProducersResponse {
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let entry = self.partitions.topic(&topic.name);
            let refusal = match (&entry, TopicName::check(&topic.name)) {
                (_, Err(error)) => (ErrorCode::InvalidTopicException, Some(Str::from(error.to_string()))),
                (None, Ok(())) => (ErrorCode::UnknownTopicOrPartition, Some(Str::from(UNKNOWN_TOPIC))),
                (Some(_), Ok(())) => (ErrorCode::UnknownTopicOrPartition, None),
            };
            let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
            for index in topic.partition_indexes {
                let partition = entry.as_ref().and_then(|entry| entry.partition(index));
                partitions.push(match partition {
                    Some(partition) => self.producers_of(partition).await,
                    None => failed(index, refusal.0, refusal.1.clone()),
                });
            }
            topics.push(DescribeProducersResponseTopic { name: topic.name, partitions });
        }
        DescribeProducersResponse { topics, ..DescribeProducersResponse::default() }
    }

    async fn producers_of(&self, partition: &Arc<Partition>) -> DescribeProducersResponsePartition {
        let index = partition.index.0;
        match self.shards.producers_of(partition).await {
            Err(error) => failed(index, error, None),
            Ok(producers) => DescribeProducersResponsePartition {
                partition_index: index,
                active_producers: producers.iter().map(|(id, producer)| described(*id, producer)).collect(),
                ..DescribeProducersResponsePartition::default()
            },
        }
    }
}

fn described(id: ProducerId, producer: &Producer) -> DescribeProducersResponseProducer {
    DescribeProducersResponseProducer {
        producer_id: id.0,
        producer_epoch: i32::from(producer.epoch.0),
        last_sequence: producer.last_sequence().unwrap_or(-1),
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.current_txn_first_offset.map_or(-1, |offset| offset.0),
    }
}

fn failed(
    partition_index: i32,
    error: ErrorCode,
    error_message: Option<Str>,
) -> DescribeProducersResponsePartition {
    DescribeProducersResponsePartition {
        partition_index,
        error_code: error.code(),
        error_message,
        ..DescribeProducersResponsePartition::default()
    }
}
