//! ListTransactions: the transactional ids that this broker coordinates.

use ottla_protocol::api::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, ListTransactionsResponseState,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::ProducerId;
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::coordinator::transaction::{
    ListFilter, Listing, TransactionAnswer, TransactionRequest, TransactionState,
};

impl Handlers {
    pub(super) async fn list_transactions(
        &self,
        request: ListTransactionsRequest,
    ) -> ListTransactionsResponse {
        let is_known = |name: &Str| TransactionState::ALL.iter().any(|state| *name == state.name());
        let unknown_state_filters = request.state_filters.iter().filter(|name| !is_known(name)).cloned().collect();
        match self.listed(&request).await {
            Ok(listings) => ListTransactionsResponse {
                unknown_state_filters,
                transaction_states: listings.into_iter().map(row).collect(),
                ..ListTransactionsResponse::default()
            },
            Err(error) => {
                ListTransactionsResponse { error_code: error.code(), ..ListTransactionsResponse::default() }
            }
        }
    }

    async fn listed(&self, request: &ListTransactionsRequest) -> Result<Vec<Listing>, ErrorCode> {
        let filter = ListFilter {
            states: request.state_filters.clone(),
            producer_ids: request.producer_id_filters.iter().copied().map(ProducerId).collect(),
            duration_ms: request.duration_filter,
        };
        let answers =
            self.coordinators.transactions().ask_all(|| TransactionRequest::List(filter.clone())).await;
        let mut listings = Vec::new();
        for answer in answers {
            match answer? {
                TransactionAnswer::Listed(listed) => listings.extend(listed),
                _ => return Err(ErrorCode::UnknownServerError),
            }
        }
        Ok(listings)
    }
}

fn row(listing: Listing) -> ListTransactionsResponseState {
    ListTransactionsResponseState {
        transactional_id: listing.transactional_id,
        producer_id: listing.producer_id.0,
        transaction_state: Str::from_static(listing.state.name()),
    }
}
