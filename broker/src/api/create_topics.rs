//! CreateTopics: all topics of a request in one proposal, so that they cost one sync.

use ottla_protocol::api::create_topics::{
    CreateTopicsRequest, CreateTopicsRequestTopic, CreateTopicsResponse, CreateTopicsResponseConfig,
    CreateTopicsResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{BrokerId, PartitionIndex};
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::config::describe;
use crate::config::validate_topic_overrides;
use crate::controller::CreateTopics;
use crate::controller::topics::{CreateTopicError, CreatedTopic, NewTopic, TopicDefaults};

impl Handlers {
    pub(super) async fn create_topics(&self, request: CreateTopicsRequest) -> CreateTopicsResponse {
        let names: Vec<Str> = request.topics.iter().map(|topic| topic.name.clone()).collect();
        let proposal = CreateTopics {
            topics: request.topics.into_iter().map(new_topic).collect(),
            validate_only: request.validate_only,
            timeout_ms: request.timeout_ms,
            defaults: self.topic_defaults(),
        };
        let topics = match self.metadata.create_topics(proposal).await {
            Ok(rows) => {
                self.partitions.wait_for(self.image().offset()).await;
                rows.into_iter().map(|(name, result)| self.row(Str::from(name), result)).collect()
            }
            Err(error) => {
                let message = error.to_string();
                names
                    .into_iter()
                    .map(|name| failed(name, ErrorCode::KafkaStorageError, message.clone()))
                    .collect()
            }
        };
        CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }
    }

    pub(super) fn topic_defaults(&self) -> TopicDefaults {
        TopicDefaults {
            partition_count: self.config.topics.partition_count,
            replication_factor: self.config.topics.replication_factor,
        }
    }

    fn row(&self, name: Str, result: Result<CreatedTopic, CreateTopicError>) -> CreateTopicsResponseTopic {
        let topic = match result {
            Ok(topic) => topic,
            Err(error) => return failed(name, code_of(&error), error.to_string()),
        };
        let configs = describe::describe_topic(&self.layers_in(&self.image()), &topic.configs, None)
            .into_iter()
            .map(|row| CreateTopicsResponseConfig {
                name: Str::from(row.name.into_owned()),
                value: row.value.map(Str::from),
                read_only: row.read_only,
                config_source: row.source as i8,
                is_sensitive: row.is_sensitive,
            })
            .collect();
        CreateTopicsResponseTopic {
            name,
            topic_id: topic.id,
            num_partitions: topic.partition_count,
            replication_factor: topic.replication_factor,
            configs: Some(configs),
            ..CreateTopicsResponseTopic::default()
        }
    }
}

/// A −1 stands for the default in every version, as in Kafka, though it was meant so only from version 4 on.
fn new_topic(topic: CreateTopicsRequestTopic) -> NewTopic {
    let configs = topic.configs.iter().map(|config| (&*config.name, config.value.as_deref()));
    NewTopic {
        configs: validate_topic_overrides(configs).map_err(|error| error.to_string()),
        name: topic.name.to_string(),
        partition_count: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .into_iter()
            .map(|row| {
                (PartitionIndex(row.partition_index), row.broker_ids.into_iter().map(BrokerId).collect())
            })
            .collect(),
    }
}

fn failed(name: Str, error: ErrorCode, message: String) -> CreateTopicsResponseTopic {
    CreateTopicsResponseTopic {
        name,
        error_code: error.code(),
        // As in Kafka, what this code says in full has no message.
        error_message: (error != ErrorCode::RequestTimedOut).then(|| Str::from(message)),
        configs: Some(Vec::new()),
        ..CreateTopicsResponseTopic::default()
    }
}

fn code_of(error: &CreateTopicError) -> ErrorCode {
    match error {
        CreateTopicError::TimedOut => ErrorCode::RequestTimedOut,
        CreateTopicError::Duplicate
        | CreateTopicError::ClusterMetadata
        | CreateTopicError::CountsBesideAssignments => ErrorCode::InvalidRequest,
        CreateTopicError::TooManyPartitions(_) => ErrorCode::PolicyViolation,
        CreateTopicError::InvalidName(_) | CreateTopicError::Collision(_) => ErrorCode::InvalidTopicException,
        CreateTopicError::Exists(_) => ErrorCode::TopicAlreadyExists,
        CreateTopicError::InvalidConfig(_) => ErrorCode::InvalidConfig,
        CreateTopicError::InvalidAssignment(_) => ErrorCode::InvalidReplicaAssignment,
        CreateTopicError::InvalidPartitionCount(_) => ErrorCode::InvalidPartitions,
        CreateTopicError::InvalidReplicationFactor(_) | CreateTopicError::TooFewBrokers { .. } => {
            ErrorCode::InvalidReplicationFactor
        }
    }
}
