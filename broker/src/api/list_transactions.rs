//! ListTransactions: the transactional ids that this broker coordinates.

use ottla_protocol::api::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, ListTransactionsResponseState,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::ProducerId;
use ottla_protocol::wire::Str;
use regex::{Regex, RegexBuilder};

use super::Handlers;
use crate::coordinator::transaction::{
    ListFilter, Listing, TransactionAnswer, TransactionRequest, TransactionState,
};

/// How large a compiled expression may be: one that a client makes larger is refused.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

impl Handlers {
    pub(super) async fn list_transactions(
        &self,
        request: ListTransactionsRequest,
    ) -> ListTransactionsResponse {
        let is_known = |name: &Str| TransactionState::ALL.iter().any(|state| *name == state.name());
        let unknown_state_filters =
            request.state_filters.iter().filter(|name| !is_known(name)).cloned().collect();
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
        let pattern = pattern_of(request)?;
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
                TransactionAnswer::Listed(listed) => listings.extend(listed.into_iter().filter(|listing| {
                    pattern.as_ref().is_none_or(|pattern| pattern.is_match(&listing.transactional_id))
                })),
                _ => return Err(ErrorCode::UnknownServerError),
            }
        }
        Ok(listings)
    }
}

/// The expression that a whole id has to match, if there is one.
fn pattern_of(request: &ListTransactionsRequest) -> Result<Option<Regex>, ErrorCode> {
    match request.transactional_id_pattern.as_deref() {
        None | Some("") => Ok(None),
        Some(pattern) => {
            let compiled = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
            // By itself first: brackets that close what is put around it make no expression.
            compiled(pattern)
                .and_then(|_| compiled(&format!("^(?:{pattern})$")))
                .map(Some)
                .map_err(|_| ErrorCode::InvalidRegularExpression)
        }
    }
}

fn row(listing: Listing) -> ListTransactionsResponseState {
    ListTransactionsResponseState {
        transactional_id: listing.transactional_id,
        producer_id: listing.producer_id.0,
        transaction_state: Str::from_static(listing.state.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_means_whole_ids() {
        for (pattern, id, matches) in [
            ("abc", "abc", true),
            ("abc", "xabc", false),
            ("a.*", "abc", true),
            ("b", "abc", false),
            ("a|b", "b", true),
            ("a|b", "ab", false),
            ("[[:alpha:]]+", "abc", true),
            ("(?i)ABC", "abc", true),
            ("", "anything", true),
        ] {
            let request = ListTransactionsRequest {
                transactional_id_pattern: Some(Str::from(pattern)),
                ..ListTransactionsRequest::default()
            };
            let pattern_of_it = pattern_of(&request).expect("an expression");
            let found = pattern_of_it.is_none_or(|pattern| pattern.is_match(id));
            assert_eq!(found, matches, "{pattern} {id}");
        }
        let request = ListTransactionsRequest {
            transactional_id_pattern: Some(Str::from("(")),
            ..ListTransactionsRequest::default()
        };
        assert_eq!(pattern_of(&request).err(), Some(ErrorCode::InvalidRegularExpression));
    }
}
