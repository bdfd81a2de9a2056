//! Which batches belong to transactions that were aborted (KIP-98). Pure.
//!
//! A fetch tells the producers that aborted something within what it returns, each with the first offset of its
//! transaction. From there on the producer's transactional batches are aborted, up to the control batch that says so.

use std::collections::{BTreeSet, VecDeque};

use ottla_protocol::api::fetch::FetchResponseAbortedTransaction;
use ottla_protocol::record::BatchHeader;
use ottla_protocol::types::{Offset, ProducerId};

/// The aborted transactions of one answer, while its batches are gone through in order.
#[derive(Debug, Default)]
pub(super) struct AbortedTransactions {
    /// By first offset, ascending.
    ahead: VecDeque<(Offset, ProducerId)>,
    under_way: BTreeSet<ProducerId>,
}

impl AbortedTransactions {
    /// What a broker tells, in whatever order.
    pub(super) fn of(told: &[FetchResponseAbortedTransaction]) -> AbortedTransactions {
        let mut ahead: Vec<_> =
            told.iter().map(|it| (Offset(it.first_offset), ProducerId(it.producer_id))).collect();
        ahead.sort_unstable();
        AbortedTransactions { ahead: ahead.into(), under_way: BTreeSet::new() }
    }

    /// Whether the next batch is part of an aborted transaction. To be asked of each batch that is no control batch.
    pub(super) fn has(&mut self, header: &BatchHeader) -> bool {
        while let Some((first, producer)) = self.ahead.front().copied()
            && first <= header.last_offset()
        {
            self.ahead.pop_front();
            self.under_way.insert(producer);
        }
        header.attributes.is_transactional() && self.under_way.contains(&header.producer_id)
    }

    /// The next batch is a control batch. Whether it commits or aborts, its producer's transaction ends here: a committed
    /// one is not among those that are under way.
    pub(super) fn on_control(&mut self, header: &BatchHeader) {
        self.has(header);
        self.under_way.remove(&header.producer_id);
    }
}
