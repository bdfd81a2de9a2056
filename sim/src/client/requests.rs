//! The requests that the workload makes, and their answers in the history's terms.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::api::create_topics::{
    CreateTopicsRequest, CreateTopicsRequestConfig, CreateTopicsRequestTopic,
};
use ottla_protocol::api::delete_records::{
    DeleteRecordsRequest, DeleteRecordsRequestPartition, DeleteRecordsRequestTopic,
};
use ottla_protocol::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsRequestTopic};
use ottla_protocol::api::describe_configs::{DescribeConfigsRequest, DescribeConfigsRequestResource};
use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::api::list_offsets::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic,
};
use ottla_protocol::api::metadata::MetadataRequest;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::{Batch, Batches, NextBatch};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::{Records, Str};

use super::{CallError, Client};
use crate::history::{SeenBatch, SeenTopic, TopicPartition, TopicPlan};
use crate::payload::{self, BadPayload};

/// DescribeConfigs' number for a config that the topic has itself.
const TOPIC_SOURCE: i8 = 1;

/// The most that a batch may be after decompression.
const DECOMPRESSED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where to read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchFrom {
    /// The partition.
    pub of: TopicPartition,
    /// The first offset that is wanted.
    pub offset: i64,
    /// How much at most.
    pub bytes_max: i32,
}

/// What a fetch says of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The partition.
    pub of: TopicPartition,
    /// The error code.
    pub code: i16,
    /// The first offset there is, if told.
    pub log_start: Option<i64>,
    /// The first offset that cannot be read yet, if told.
    pub high_watermark: Option<i64>,
    /// What was read; a batch that was cut off at the end is left out.
    pub batches: Vec<SeenBatch>,
    /// How many bytes these batches have.
    pub bytes: u64,
    /// What is wrong with the bytes, if anything is.
    pub fault: Option<String>,
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedBounds {
    /// The error code.
    pub code: i16,
    /// The offset that was asked for.
    pub offset: i64,
}

/// A topic and its own configs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedTopic {
    /// The error code.
    pub code: i16,
    /// Configs that the topic has itself.
    pub overrides: BTreeMap<String, String>,
}

impl Client {
    /// Asks for a producer id: error code, id, epoch.
    pub async fn init_producer_id(&self) -> Result<(i16, i64, i16), CallError> {
        let request = InitProducerIdRequest { transaction_timeout_ms: 60_000, ..Default::default() };
        let answer = self.call(&request, 4).answer().await?;
        Ok((answer.error_code, answer.producer_id, answer.producer_epoch))
    }

    /// Creates a topic: error code, id.
    pub async fn create_topic(&self, plan: &TopicPlan) -> Result<(i16, TopicId), CallError> {
        let configs = plan.configs.iter().map(|(name, value)| CreateTopicsRequestConfig {
            name: Str::copy_of(name),
            value: Some(Str::copy_of(value)),
        });
        let topic = CreateTopicsRequestTopic {
            name: Str::copy_of(&plan.name),
            num_partitions: plan.partition_count,
            replication_factor: 1,
            assignments: Vec::new(),
            configs: configs.collect(),
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        let answer = self.call(&request, 7).answer().await?;
        let topic = answer.topics.first().ok_or_else(|| missing("topic"))?;
        Ok((topic.error_code, topic.topic_id))
    }

    /// Deletes a topic by its id: error code.
    pub async fn delete_topic(&self, id: TopicId) -> Result<i16, CallError> {
        let topic = DeleteTopicsRequestTopic { name: None, topic_id: id };
        let request =
            DeleteTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..DeleteTopicsRequest::default() };
        let answer = self.call(&request, 6).answer().await?;
        Ok(answer.responses.first().ok_or_else(|| missing("topic"))?.error_code)
    }

    /// Deletes what lies before `offset`: error code, where the log begins then.
    pub async fn delete_records(
        &self,
        name: &str,
        partition_index: i32,
        offset: i64,
    ) -> Result<ListedBounds, CallError> {
        let partitions = vec![DeleteRecordsRequestPartition { partition_index, offset }];
        let topic = DeleteRecordsRequestTopic { name: Str::copy_of(name), partitions };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 30_000 };
        let answer = self.call(&request, 2).answer().await?;
        let topic = answer.topics.first().ok_or_else(|| missing("topic"))?;
        let partition = topic.partitions.first().ok_or_else(|| missing("partition"))?;
        Ok(ListedBounds { code: partition.error_code, offset: partition.low_watermark })
    }

    /// Asks for all topics.
    pub async fn metadata(&self) -> Result<BTreeMap<String, SeenTopic>, CallError> {
        let request =
            MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        let answer = self.call(&request, 12).answer().await?;
        let topics = answer.topics.into_iter().filter_map(|topic| {
            let epochs = topic.partitions.iter().map(|of| (of.partition_index, of.leader_epoch));
            let seen = SeenTopic { id: topic.topic_id, leader_epochs: epochs.collect() };
            topic.name.map(|name| (name.to_string(), seen))
        });
        Ok(topics.collect())
    }

    /// Asks for a topic's own configs.
    pub async fn describe_topic(&self, name: &str) -> Result<DescribedTopic, CallError> {
        let resource = DescribeConfigsRequestResource {
            resource_type: 2,
            resource_name: Str::copy_of(name),
            configuration_keys: None,
        };
        let request =
            DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
        let answer = self.call(&request, 4).answer().await?;
        let result = answer.results.first().ok_or_else(|| missing("resource"))?;
        let own = result.configs.iter().filter(|config| config.config_source == TOPIC_SOURCE);
        let overrides = own.filter_map(|config| {
            config.value.as_ref().map(|value| (config.name.to_string(), value.to_string()))
        });
        Ok(DescribedTopic { code: result.error_code, overrides: overrides.collect() })
    }

    /// Asks for the offset of a special timestamp: −1 the end, −2 the start. By name, as this request goes.
    pub async fn list_offset(
        &self,
        name: &str,
        index: i32,
        timestamp: i64,
    ) -> Result<ListedBounds, CallError> {
        let partition =
            ListOffsetsRequestPartition { partition_index: index, timestamp, ..Default::default() };
        let topic = ListOffsetsRequestTopic { name: Str::copy_of(name), partitions: vec![partition] };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
        let answer = self.call(&request, 7).answer().await?;
        let topic = answer.topics.first().ok_or_else(|| missing("topic"))?;
        let partition = topic.partitions.first().ok_or_else(|| missing("partition"))?;
        Ok(ListedBounds { code: partition.error_code, offset: partition.offset })
    }

    /// Reads from several partitions, waiting up to `wait_ms` for something to read.
    pub async fn fetch(&self, from: &[FetchFrom], wait_ms: i32) -> Result<Vec<Fetched>, CallError> {
        let request = fetch_request(from, wait_ms);
        let answer = self.call(&request, 16).answer().await?;
        if answer.error_code != ErrorCode::None.code() {
            return Err(CallError::Unreadable(format!("fetch answered error {}", answer.error_code)));
        }
        let mut fetched = Vec::new();
        for topic in answer.responses {
            for partition in topic.partitions {
                let of = TopicPartition { topic: topic.topic_id, index: partition.partition_index };
                let (batches, bytes, fault) = read_batches(of, partition.records);
                let told = |offset: i64| (offset >= 0).then_some(offset);
                fetched.push(Fetched {
                    of,
                    code: partition.error_code,
                    log_start: told(partition.log_start_offset),
                    high_watermark: told(partition.high_watermark),
                    batches,
                    bytes,
                    fault,
                });
            }
        }
        Ok(fetched)
    }
}

fn missing(what: &str) -> CallError {
    CallError::Unreadable(format!("the answer has no {what}"))
}

fn fetch_request(from: &[FetchFrom], wait_ms: i32) -> FetchRequest {
    let mut topics: BTreeMap<TopicId, Vec<FetchRequestPartition>> = BTreeMap::new();
    for FetchFrom { of, offset, bytes_max } in from {
        topics.entry(of.topic).or_default().push(FetchRequestPartition {
            partition: of.index,
            fetch_offset: *offset,
            partition_max_bytes: *bytes_max,
            ..FetchRequestPartition::default()
        });
    }
    let topics = topics.into_iter().map(|(topic_id, partitions)| FetchRequestTopic {
        topic: Str::EMPTY,
        topic_id,
        partitions,
    });
    FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 1024 * 1024,
        topics: topics.collect(),
        ..FetchRequest::default()
    }
}

/// The batches of an answer, how many bytes they have, and what is wrong with them.
fn read_batches(of: TopicPartition, records: Records) -> (Vec<SeenBatch>, u64, Option<String>) {
    let Records::Bytes(bytes) = records else { return (Vec::new(), 0, None) };
    let mut batches = Vec::new();
    let mut walk = Batches::new(&bytes, 0);
    loop {
        let found = match walk.next_batch() {
            NextBatch::Batch(found) => found,
            NextBatch::Complete | NextBatch::Partial { .. } => return (batches, walk.position(), None),
            NextBatch::Corrupt(error) => return (batches, walk.position(), Some(error.to_string())),
        };
        if let Err(error) = found.verify_crc() {
            return (batches, found.position, Some(error.to_string()));
        }
        let records = Bytes::copy_from_slice(found.records_bytes());
        match read_records(of, &Batch { header: found.header, records }) {
            Ok(batch) => batches.push(batch),
            Err(fault) => return (batches, found.position, Some(fault)),
        }
    }
}

fn read_records(of: TopicPartition, batch: &Batch) -> Result<SeenBatch, String> {
    let mut records = Vec::new();
    for (index, record) in
        batch.records(DECOMPRESSED_BYTES_MAX).map_err(|error| error.to_string())?.enumerate()
    {
        let record = record.map_err(|error| error.to_string())?;
        if usize::try_from(record.offset_delta) != Ok(index) {
            return Err(format!("record {index} has offset delta {}", record.offset_delta));
        }
        let value = record.value.ok_or(BadPayload::Corrupt);
        records.push(value.and_then(|value| payload::decode(&value, of)));
    }
    if usize::try_from(batch.header.last_offset_delta + 1) != Ok(records.len()) {
        return Err(format!("{} records up to delta {}", records.len(), batch.header.last_offset_delta));
    }
    let leader_epoch = batch.header.partition_leader_epoch.0;
    Ok(SeenBatch { base_offset: batch.header.base_offset.0, leader_epoch, records })
}
