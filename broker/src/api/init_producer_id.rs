//! InitProducerId: ids for idempotent producers, from blocks that the metadata log gives away once.
//!
//! With a transactional id it is refused for good (TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 53): clients retry what is
//! said to be temporary for ever, and there are no transactions here yet.

use ottla_protocol::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::ProducerId;

use super::Handlers;
use crate::controller::{Metadata, ProducerIdBlock};
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
    pub(super) async fn init_producer_id(&self, request: InitProducerIdRequest) -> InitProducerIdResponse {
        let id = match refusal(&request) {
            Some(error) => Err(error),
            None => self.producer_ids.next(&self.metadata).await,
        };
        match id {
            Ok(id) => InitProducerIdResponse {
                producer_id: id.0,
                producer_epoch: 0,
                ..InitProducerIdResponse::default()
            },
            Err(error) => InitProducerIdResponse {
                error_code: error.code(),
                producer_id: -1,
                producer_epoch: -1,
                ..InitProducerIdResponse::default()
            },
        }
    }
}

fn refusal(request: &InitProducerIdRequest) -> Option<ErrorCode> {
    let has_id = request.producer_id != -1;
    let has_epoch = request.producer_epoch != -1;
    match request.transactional_id.as_deref() {
        Some("") => Some(ErrorCode::InvalidRequest),
        _ if has_id != has_epoch => Some(ErrorCode::InvalidRequest),
        Some(_) => Some(ErrorCode::TransactionalIdAuthorizationFailed),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::wire::Str;

    #[test]
    fn only_idempotent_producers_are_served() {
        for (transactional_id, producer_id, producer_epoch, expected) in [
            (None, -1, -1, None),
            (None, 7, 3, None),
            (None, 7, -1, Some(ErrorCode::InvalidRequest)),
            (None, -1, 3, Some(ErrorCode::InvalidRequest)),
            (Some(""), -1, -1, Some(ErrorCode::InvalidRequest)),
            (Some("t"), -1, 0, Some(ErrorCode::InvalidRequest)),
            (Some("t"), -1, -1, Some(ErrorCode::TransactionalIdAuthorizationFailed)),
        ] {
            let request = InitProducerIdRequest {
                transactional_id: transactional_id.map(Str::from),
                producer_id,
                producer_epoch,
                ..InitProducerIdRequest::default()
            };
            assert_eq!(refusal(&request), expected, "{request:?}");
        }
    }
}
