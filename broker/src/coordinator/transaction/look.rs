//! Looking at transactions without changing them: DescribeTransactions and ListTransactions.

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::core::{Transaction, TransactionCore};
use super::request::{Description, ListFilter, Listing};
use super::value::TransactionValue;
use crate::coordinator::core::Now;

impl TransactionCore {
    pub(super) fn described(&self, transactional_id: &Str) -> Result<Description, ErrorCode> {
        if transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let known = self.transactions.get(transactional_id);
        known.map(|transaction| transaction.value.clone()).ok_or(ErrorCode::TransactionalIdNotFound)
    }

    pub(super) fn listed(&self, now: Now, filter: &ListFilter) -> Vec<Listing> {
        let listing = |(id, transaction): (&Str, &Transaction)| Listing {
            transactional_id: id.clone(),
            producer_id: transaction.value.producer.id,
            state: transaction.value.state,
        };
        let passes = |(_, transaction): &(&Str, &Transaction)| filter.passes(now, &transaction.value);
        self.transactions.iter().filter(passes).map(listing).collect()
    }
}

impl ListFilter {
    fn passes(&self, now: Now, value: &TransactionValue) -> bool {
        let name = value.state.name();
        let has_state = self.states.is_empty() || self.states.iter().any(|state| **state == *name);
        let has_producer = self.producer_ids.is_empty() || self.producer_ids.contains(&value.producer.id);
        // A transaction that never began counts as one that began long ago, as in Kafka.
        let age_ms = value.started_at.map_or(i64::MAX, |at| now.wall.0.saturating_sub(at.0));
        let is_old_enough = self.duration_ms < 0 || self.duration_ms < age_ms;
        has_state && has_producer && is_old_enough
    }
}
