//! Topics to ask about, and the requests that most scripts send.

use bytes::Bytes;
use ottla_protocol::api::create_topics::{
    CreateTopicsRequest, CreateTopicsRequestConfig, CreateTopicsRequestTopic,
};
use ottla_protocol::api::delete_records::{
    DeleteRecordsRequest, DeleteRecordsRequestPartition, DeleteRecordsRequestTopic,
};
use ottla_protocol::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsRequestTopic};
use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::api::list_offsets::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic,
};
use ottla_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::TestBatch;

use crate::player::Player;

/// An id that no topic has.
pub(crate) const NOBODYS_ID: TopicId = TopicId([9; 16]);

/// A topic's two names.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) name: Str,
    pub(crate) id: TopicId,
}

impl Topic {
    /// One that isn't there.
    pub(crate) fn absent(name: impl Into<Str>) -> Topic {
        Topic { name: name.into(), id: NOBODYS_ID }
    }
}

impl Player {
    /// Creates a topic and waits until it is led. Its records may have any timestamp: nothing expires.
    pub(crate) fn topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Topic {
        let mut all = vec![("retention.ms", "-1")];
        all.extend(configs);
        self.topic_with(name, partitions, &all)
    }

    /// The same with no configs but these.
    pub(crate) fn topic_with(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Topic {
        let name = self.name(name);
        let request = create_request(vec![new_topic(&name, partitions, configs)]);
        let response = self.quietly(7, &request);
        let row = &response.topics[0];
        assert_eq!(row.error_code, 0, "{name} is created: {:?}", row.error_message);
        let id = row.topic_id;
        self.wait_until_led(&name, partitions);
        Topic { name, id }
    }

    /// Waits until a topic is known and all its partitions are led: Kafka answers before.
    pub(crate) fn wait_until_led(&mut self, name: &Str, partitions: i32) {
        let known = metadata_request(&[name]);
        self.wait_until(12, "the topic is known", &known, |response| response.topics[0].error_code == 0);
        let indexes: Vec<i32> = (0..partitions).collect();
        self.wait_until(7, "its partitions are led", &list_offsets_request(name, &indexes, -1), |response| {
            response.topics[0].partitions.iter().all(|row| row.error_code == 0)
        });
    }

    /// A producer id that nobody else has, to be told as `<producer N>`.
    pub(crate) fn producer_id(&mut self) -> i64 {
        let id = self.quietly(4, &init_producer_id_request()).producer_id;
        self.mask.learn_producer_id(id);
        id
    }

    /// Appends to a partition, and keeps nothing.
    pub(crate) fn append(&mut self, topic: &Topic, partition: i32, batch: &TestBatch) {
        let request = produce_request(-1, topic, partition, batch.to_bytes());
        let response = self.quietly(12, &request);
        let row = &response.responses[0].partition_responses[0];
        assert_eq!(row.error_code, 0, "{row:?}");
    }
}

/// A topic to create, with one replica.
pub(crate) fn new_topic(name: &Str, partitions: i32, configs: &[(&str, &str)]) -> CreateTopicsRequestTopic {
    CreateTopicsRequestTopic {
        name: name.clone(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs
            .iter()
            .map(|(name, value)| CreateTopicsRequestConfig {
                name: Str::copy_of(name),
                value: Some(Str::copy_of(value)),
            })
            .collect(),
        ..CreateTopicsRequestTopic::default()
    }
}

pub(crate) fn create_request(topics: Vec<CreateTopicsRequestTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, ..CreateTopicsRequest::default() }
}

/// Asks for these topics, without creating any.
pub(crate) fn metadata_request(names: &[&Str]) -> MetadataRequest {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic { name: Some((*name).clone()), ..MetadataRequestTopic::default() });
    MetadataRequest {
        topics: Some(topics.collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}

pub(crate) fn init_producer_id_request() -> InitProducerIdRequest {
    InitProducerIdRequest { transaction_timeout_ms: 60_000, ..InitProducerIdRequest::default() }
}

/// One record set.
pub(crate) fn produce_request(
    acks: i16,
    topic: &Topic,
    partition: i32,
    records: impl Into<Option<Bytes>>,
) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 30_000,
        topic_data: vec![ProduceRequestTopic {
            name: topic.name.clone(),
            topic_id: topic.id,
            partition_data: vec![ProduceRequestPartition { index: partition, records: records.into() }],
        }],
    }
}

/// What a Fetch asks of one partition.
pub(crate) fn fetch_partition(partition: i32, fetch_offset: i64) -> FetchRequestPartition {
    FetchRequestPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchRequestPartition::default()
    }
}

/// A Fetch without a session that does not wait.
pub(crate) fn fetch_request(topic: &Topic, partitions: Vec<FetchRequestPartition>) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 50 << 20,
        topics: vec![FetchRequestTopic { topic: topic.name.clone(), topic_id: topic.id, partitions }],
        ..FetchRequest::default()
    }
}

/// The offsets of one timestamp.
pub(crate) fn list_offsets_request(name: &Str, partitions: &[i32], timestamp: i64) -> ListOffsetsRequest {
    let row = |partition: &i32| ListOffsetsRequestPartition {
        partition_index: *partition,
        timestamp,
        ..ListOffsetsRequestPartition::default()
    };
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsRequestTopic {
            name: name.clone(),
            partitions: partitions.iter().map(row).collect(),
        }],
        ..ListOffsetsRequest::default()
    }
}

/// Moves the beginning of partitions to these offsets.
pub(crate) fn delete_records_request(name: &Str, rows: &[(i32, i64)]) -> DeleteRecordsRequest {
    let row = |(partition_index, offset): &(i32, i64)| DeleteRecordsRequestPartition {
        partition_index: *partition_index,
        offset: *offset,
    };
    DeleteRecordsRequest {
        topics: vec![DeleteRecordsRequestTopic {
            name: name.clone(),
            partitions: rows.iter().map(row).collect(),
        }],
        timeout_ms: 30_000,
    }
}

/// Deletes a topic, and keeps nothing.
pub(crate) fn delete_topic(play: &mut Player, name: &Str) {
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicsRequestTopic { name: Some(name.clone()), topic_id: TopicId::ZERO }],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(play.quietly(6, &request).responses[0].error_code, 0);
}
