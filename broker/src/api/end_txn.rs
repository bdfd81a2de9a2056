//! EndTxn: commits or aborts a transaction.

use ottla_protocol::api::end_txn::{EndTxnRequest, EndTxnResponse};
use ottla_protocol::types::{ProducerEpoch, ProducerId};

use super::Handlers;
use super::init_producer_id::fenced_as;
use crate::coordinator::core::ProducerSession;
use crate::coordinator::transaction::{EndTransaction, TransactionRequest, TransactionVersion};

impl Handlers {
    pub(super) async fn end_txn(&self, version: i16, request: EndTxnRequest) -> EndTxnResponse {
        let EndTxnRequest { transactional_id, producer_id, producer_epoch, committed } = request;
        let with = |fresh| {
            TransactionRequest::EndTransaction(EndTransaction {
                transactional_id: transactional_id.clone(),
                producer: ProducerSession {
                    id: ProducerId(producer_id),
                    epoch: ProducerEpoch(producer_epoch),
                },
                is_commit: committed,
                version: if version < 5 { TransactionVersion::V1 } else { TransactionVersion::V2 },
                fresh,
            })
        };
        match self.ask_for_producer(&transactional_id, with).await {
            Ok(next) => EndTxnResponse {
                producer_id: next.id.0,
                producer_epoch: next.epoch.0,
                ..EndTxnResponse::default()
            },
            Err(error) => EndTxnResponse {
                error_code: fenced_as(error, 2 <= version).code(),
                ..EndTxnResponse::default()
            },
        }
    }
}
