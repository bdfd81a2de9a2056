//! CreatePartitions: all topics of a request in one proposal, so that they cost one sync.

use ottla_protocol::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsRequestAssignment, CreatePartitionsRequestTopic,
    CreatePartitionsResponse, CreatePartitionsResponseResult,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::BrokerId;
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::controller::CreatePartitions;
use crate::controller::topics::{CreatePartitionsError, GrowingTopic};

impl Handlers {
    pub(super) async fn create_partitions(
        &self,
        request: CreatePartitionsRequest,
    ) -> CreatePartitionsResponse {
        let names: Vec<Str> = request.topics.iter().map(|topic| topic.name.clone()).collect();
        let proposal = CreatePartitions {
            topics: request.topics.into_iter().map(growing).collect(),
            validate_only: request.validate_only,
            timeout_ms: request.timeout_ms,
        };
        let results = match self.metadata.create_partitions(proposal).await {
            Ok(rows) => {
                self.partitions.wait_for(self.image().offset()).await;
                rows.into_iter().map(|(name, result)| row(Str::from(name), result)).collect()
            }
            Err(error) => {
                let failed = |name| answered(name, error.error_code(), Some(error.to_string()));
                names.into_iter().map(failed).collect()
            }
        };
        CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
    }
}

fn growing(topic: CreatePartitionsRequestTopic) -> GrowingTopic {
    let brokers = |row: CreatePartitionsRequestAssignment| row.broker_ids.into_iter().map(BrokerId).collect();
    GrowingTopic {
        name: topic.name.to_string(),
        count: topic.count,
        assignments: topic.assignments.map(|rows| rows.into_iter().map(brokers).collect()),
    }
}

/// As in Kafka, what the code says in full has no message.
fn row(name: Str, result: Result<(), CreatePartitionsError>) -> CreatePartitionsResponseResult {
    match result {
        Ok(()) => answered(name, ErrorCode::None, None),
        Err(error @ (CreatePartitionsError::UnknownTopic(_) | CreatePartitionsError::TimedOut)) => {
            answered(name, error.error_code(), None)
        }
        Err(error) => answered(name, error.error_code(), Some(error.to_string())),
    }
}

fn answered(name: Str, error: ErrorCode, message: Option<String>) -> CreatePartitionsResponseResult {
    CreatePartitionsResponseResult { name, error_code: error.code(), error_message: message.map(Str::from) }
}
