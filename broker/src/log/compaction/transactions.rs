//! What compaction has to know of transactions while it goes through a log from its beginning.
//!
//! Records of an aborted transaction go at once: the transaction index says which they are. A marker has to stay as long as
//! any batch of its transaction is there, for a reader could not tell otherwise how it ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ottla_protocol::record::BatchHeader;
use ottla_protocol::record::control::ControlType;
use ottla_protocol::types::ProducerId;

use crate::log::transaction_index::AbortedTransaction;

/// The aborted transactions of a log, and those of which something was seen.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Of each producer, in the order of its transactions.
    aborted: BTreeMap<ProducerId, VecDeque<Aborted>>,
    /// Producers of which a batch was seen that is not aborted, and no marker since.
    seen: BTreeSet<ProducerId>,
}

#[derive(Debug)]
struct Aborted {
    entry: AbortedTransaction,
    was_seen: bool,
}

/// What a marker is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MarkerWorth {
    /// Whether nothing of its transaction is left.
    pub(super) is_unneeded: bool,
    /// What stays in the transaction index with it.
    pub(super) entry: Option<AbortedTransaction>,
}

impl Transactions {
    /// Before the first batch. `aborted` has those with records in what will be looked at, at least.
    pub(super) fn new(mut aborted: Vec<AbortedTransaction>) -> Transactions {
        aborted.sort_by_key(|entry| entry.last_offset);
        let mut transactions = Transactions::default();
        for entry in aborted {
            let of_producer = transactions.aborted.entry(entry.producer_id).or_default();
            of_producer.push_back(Aborted { entry, was_seen: false });
        }
        transactions
    }

    /// Whether a batch of records belongs to an aborted transaction. Changes nothing.
    pub(super) fn is_aborted(&self, header: &BatchHeader) -> bool {
        header.attributes.is_transactional()
            && self
                .aborted
                .get(&header.producer_id)
                .is_some_and(|of_producer| of_producer.iter().any(|aborted| aborted.holds(header)))
    }

    /// A batch of records, in the order of the log; says whether it belongs to an aborted transaction.
    pub(super) fn on_records(&mut self, header: &BatchHeader) -> bool {
        if !header.attributes.is_transactional() {
            return false;
        }
        let of_producer = self.aborted.get_mut(&header.producer_id);
        if let Some(aborted) =
            of_producer.and_then(|all| all.iter_mut().find(|aborted| aborted.holds(header)))
        {
            aborted.was_seen = true;
            return true;
        }
        self.seen.insert(header.producer_id);
        false
    }

    /// A control batch, in the order of the log. It has no type if an earlier compaction took its record.
    pub(super) fn on_marker(&mut self, header: &BatchHeader, kind: Option<ControlType>) -> MarkerWorth {
        match kind {
            None => MarkerWorth { is_unneeded: true, entry: None },
            Some(ControlType::Commit) => self.on_end(header.producer_id),
            Some(ControlType::Abort) => self.on_abort(header),
            Some(_) => MarkerWorth { is_unneeded: false, entry: None },
        }
    }

    fn on_abort(&mut self, header: &BatchHeader) -> MarkerWorth {
        let last = header.last_offset();
        let found = self.aborted.get_mut(&header.producer_id).and_then(|of_producer| {
            // Those whose markers lie before this one are over.
            while of_producer.front().is_some_and(|aborted| aborted.entry.last_offset < last) {
                of_producer.pop_front();
            }
            of_producer.pop_front_if(|aborted| aborted.entry.last_offset == last)
        });
        match found {
            Some(Aborted { entry, was_seen }) => {
                MarkerWorth { is_unneeded: !was_seen, entry: was_seen.then_some(entry) }
            }
            None => self.on_end(header.producer_id),
        }
    }

    fn on_end(&mut self, producer: ProducerId) -> MarkerWorth {
        MarkerWorth { is_unneeded: !self.seen.remove(&producer), entry: None }
    }
}

impl Aborted {
    fn holds(&self, header: &BatchHeader) -> bool {
        self.entry.first_offset <= header.base_offset && header.base_offset < self.entry.last_offset
    }
}
