//! InitProducerId: ids for producers, from blocks that the metadata log gives away once. With a transactional id its
//! coordinator says who the producer is.

use ottla_protocol::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{ProducerEpoch, ProducerId};

use super::Handlers;
use crate::controller::{Metadata, ProducerIdBlock};
use crate::coordinator::core::ProducerSession;
use crate::coordinator::transaction::{InitializeProducer, TransactionAnswer, TransactionRequest};
use crate::metrics::table::{PRODUCER_ID_BLOCKS, PRODUCER_IDS};

/// The rest of the block that this broker gives ids from. Ids left over at a restart are not given again.
#[derive(Default)]
pub(crate) struct ProducerIds {
    /// Held while a new block is fetched, so that one request fetches it and the others wait.
    block: tokio::sync::Mutex<Option<ProducerIdBlock>>,
}

impl ProducerIds {
    /// An id that no producer has had.
    async fn next(&self, metadata: &Metadata) -> Result<ProducerId, ErrorCode> {
        let mut block = self.block.lock().await;
        let current = match *block {
            Some(rest) if 0 < rest.count => rest,
            _ => match metadata.allocate_producer_ids().await {
                Ok(Some(fresh)) => {
                    PRODUCER_ID_BLOCKS.count(&[], 1);
                    fresh
                }
                Ok(None) => return Err(ErrorCode::UnknownServerError),
                // The metadata log has failed; a client that tries again meets another broker, or this one mended.
                Err(_) => return Err(ErrorCode::CoordinatorLoadInProgress),
            },
        };
        *block = Some(ProducerIdBlock { first: ProducerId(current.first.0 + 1), count: current.count - 1 });
        PRODUCER_IDS.count(&[], 1);
        Ok(current.first)
    }
}

impl Handlers {
    pub(super) async fn init_producer_id(
        &self,
        version: i16,
        request: InitProducerIdRequest,
    ) -> InitProducerIdResponse {
        match self.session(request).await {
            Ok(producer) => InitProducerIdResponse {
                producer_id: producer.id.0,
                producer_epoch: producer.epoch.0,
                ..InitProducerIdResponse::default()
            },
            Err(error) => InitProducerIdResponse {
                error_code: fenced_as(error, 4 <= version).code(),
                producer_id: -1,
                producer_epoch: -1,
                ..InitProducerIdResponse::default()
            },
        }
    }

    async fn session(&self, request: InitProducerIdRequest) -> Result<ProducerSession, ErrorCode> {
        let expected = expected(&request)?;
        let Some(transactional_id) = request.transactional_id else {
            let id = self.producer_ids.next(&self.metadata).await?;
            return Ok(ProducerSession { id, epoch: ProducerEpoch(0) });
        };
        let with = |fresh| {
            TransactionRequest::InitializeProducer(InitializeProducer {
                transactional_id: transactional_id.clone(),
                timeout_ms: request.transaction_timeout_ms,
                expected,
                fresh,
            })
        };
        if transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        self.ask_for_producer(&transactional_id, with).await
    }

    /// Asks the owner of a transactional id something whose answer is a producer's session, with a fresh producer id if it
    /// needs one.
    pub(super) async fn ask_for_producer(
        &self,
        transactional_id: &str,
        with: impl Fn(Option<ProducerId>) -> TransactionRequest,
    ) -> Result<ProducerSession, ErrorCode> {
        let transactions = self.coordinators.transactions();
        let mut answer = transactions.ask(transactional_id, with(None)).await?;
        if answer == TransactionAnswer::NeedsProducerId {
            let fresh = self.producer_ids.next(&self.metadata).await?;
            answer = transactions.ask(transactional_id, with(Some(fresh))).await?;
        }
        match answer {
            TransactionAnswer::Producer(producer) => producer,
            _ => Err(ErrorCode::UnknownServerError),
        }
    }
}

/// The session that a producer says it has. INVALID_REQUEST if it gives half of one.
fn expected(request: &InitProducerIdRequest) -> Result<Option<ProducerSession>, ErrorCode> {
    match (request.producer_id, request.producer_epoch) {
        (-1, -1) => Ok(None),
        (-1, _) | (_, -1) => Err(ErrorCode::InvalidRequest),
        (id, epoch) => Ok(Some(ProducerSession { id: ProducerId(id), epoch: ProducerEpoch(epoch) })),
    }
}

/// An error as a version of a request knows it: PRODUCER_FENCED is younger than transactions (KIP-588).
pub(super) fn fenced_as(error: ErrorCode, knows_fenced: bool) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced if !knows_fenced => ErrorCode::InvalidProducerEpoch,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_an_id_and_an_epoch() {
        for (producer_id, producer_epoch, named) in
            [(-1, -1, Ok(false)), (7, 3, Ok(true)), (0, 0, Ok(true)), (7, -1, Err(42)), (-1, 3, Err(42))]
        {
            let request =
                InitProducerIdRequest { producer_id, producer_epoch, ..InitProducerIdRequest::default() };
            let result = expected(&request).map(|session| session.is_some()).map_err(ErrorCode::code);
            assert_eq!(result, named, "{producer_id} {producer_epoch}");
        }
    }
}
