//! DescribeTransactions: where transactional ids stand.

use ottla_protocol::api::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, DescribeTransactionsResponseState,
    DescribeTransactionsResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::coordinator::transaction::{Description, TopicPartition, TransactionAnswer, TransactionRequest};

impl Handlers {
    pub(super) async fn describe_transactions(
        &self,
        request: DescribeTransactionsRequest,
    ) -> DescribeTransactionsResponse {
        let mut transaction_states = Vec::with_capacity(request.transactional_ids.len());
        for transactional_id in request.transactional_ids {
            let row = match self.described(&transactional_id).await {
                Ok(description) => row(transactional_id, &description),
                Err(error) => DescribeTransactionsResponseState {
                    error_code: error.code(),
                    transactional_id,
                    ..DescribeTransactionsResponseState::default()
                },
            };
            transaction_states.push(row);
        }
        DescribeTransactionsResponse { transaction_states, ..DescribeTransactionsResponse::default() }
    }

    async fn described(&self, transactional_id: &Str) -> Result<Description, ErrorCode> {
        if transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let request = TransactionRequest::Describe { transactional_id: transactional_id.clone() };
        match self.coordinators.transactions().ask(transactional_id, request).await? {
            TransactionAnswer::Described(result) => result,
            _ => Err(ErrorCode::UnknownServerError),
        }
    }
}

fn row(transactional_id: Str, description: &Description) -> DescribeTransactionsResponseState {
    let mut topics: Vec<DescribeTransactionsResponseTopic> = Vec::new();
    for TopicPartition { topic, partition } in &description.partitions {
        match topics.last_mut() {
            Some(last) if last.topic == *topic => last.partitions.push(partition.0),
            _ => topics.push(DescribeTransactionsResponseTopic {
                topic: topic.clone(),
                partitions: vec![partition.0],
            }),
        }
    }
    DescribeTransactionsResponseState {
        error_code: 0,
        transactional_id,
        transaction_state: Str::from_static(description.state.name()),
        transaction_timeout_ms: description.timeout_ms,
        transaction_start_time_ms: description.started_at.map_or(-1, |at| at.0),
        producer_id: description.producer.id.0,
        producer_epoch: description.producer.epoch.0,
        topics,
    }
}
