//! DeleteTopics: by name or, from version 6, by id.

use ottla_protocol::api::delete_topics::{
    DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicsResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::controller::DeleteTopics;
use crate::controller::topics::{DeleteTopicError, DeletedTopic, TopicReference};

impl Handlers {
    pub(super) async fn delete_topics(
        &self,
        version: i16,
        request: DeleteTopicsRequest,
    ) -> DeleteTopicsResponse {
        let by_name = request
            .topic_names
            .iter()
            .map(|name| TopicReference { name: Some(name.to_string()), id: TopicId::ZERO });
        let either = request.topics.iter().map(|topic| TopicReference {
            name: topic.name.as_ref().map(|name| name.to_string()),
            id: topic.topic_id,
        });
        let topics: Vec<TopicReference> = if 6 <= version { either.collect() } else { by_name.collect() };
        let proposal = DeleteTopics {
            topics: topics.clone(),
            timeout_ms: request.timeout_ms,
            enabled: self.config.topics.delete_enabled,
        };
        let responses = match self.metadata.delete_topics(proposal).await {
            Ok(rows) => {
                self.partitions.wait_for(self.image().offset()).await;
                rows.into_iter().map(|row| answered(version, row)).collect()
            }
            Err(error) => {
                let message = error.to_string();
                topics
                    .into_iter()
                    .map(|topic| failed(topic.name, topic.id, ErrorCode::KafkaStorageError, &message))
                    .collect()
            }
        };
        DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
    }
}

fn answered(version: i16, row: DeletedTopic) -> DeleteTopicsResponseTopic {
    match row.result {
        Ok(()) => DeleteTopicsResponseTopic {
            name: row.name.map(Str::from),
            topic_id: row.id,
            ..DeleteTopicsResponseTopic::default()
        },
        Err(error) => failed(row.name, row.id, code_of(error, version), &error.to_string()),
    }
}

fn failed(
    name: Option<String>,
    topic_id: TopicId,
    error: ErrorCode,
    message: &str,
) -> DeleteTopicsResponseTopic {
    DeleteTopicsResponseTopic {
        name: name.map(Str::from),
        topic_id,
        error_code: error.code(),
        // As in Kafka, what this code says in full has no message.
        error_message: (error != ErrorCode::RequestTimedOut).then(|| Str::copy_of(message)),
    }
}

fn code_of(error: DeleteTopicError, version: i16) -> ErrorCode {
    match error {
        DeleteTopicError::TimedOut => ErrorCode::RequestTimedOut,
        // Clients before version 3 don't know the code.
        DeleteTopicError::Disabled if version < 3 => ErrorCode::InvalidRequest,
        DeleteTopicError::Disabled => ErrorCode::TopicDeletionDisabled,
        DeleteTopicError::NotOneOfNameAndId | DeleteTopicError::Duplicate => ErrorCode::InvalidRequest,
        DeleteTopicError::UnknownName => ErrorCode::UnknownTopicOrPartition,
        DeleteTopicError::UnknownId => ErrorCode::UnknownTopicId,
    }
}
