//! What time does to transactions: those that take too long are aborted, ids that nobody uses are forgotten.
//!
//! Both are looked for now and then, as Kafka does, and not at all while there is nothing to find.

use ottla_protocol::wire::Str;
use ottla_runtime::{MonotonicTime, WallTime};

use super::core::{Transaction, TransactionCore, TransactionEffects};
use super::record::TransactionRecord;
use crate::config::TransactionConfig;
use crate::coordinator::core::{Append, Core, Now};

/// When an ongoing transaction has taken too long. The calendar says how long it has taken when it is looked at first,
/// which may be after a restart; from then on the clock counts that doesn't jump.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    /// Which transaction of the id it is.
    began_at: WallTime,
    at: MonotonicTime,
}

impl TransactionCore {
    pub(super) fn begin_scans(&mut self, now: Now, config: &TransactionConfig) {
        self.next_abort_scan = now.monotonic.after(config.abort_scan_interval);
        self.next_expiry_scan = now.monotonic.after(config.expiry_scan_interval);
    }

    /// When time is wanted next. A scan that fell due while there was nothing to find is wanted as soon as there is.
    pub(super) fn next_scan(&self) -> Option<MonotonicTime> {
        let abort = (!self.ongoing.is_empty()).then_some(self.next_abort_scan);
        let expiry = (!self.transactions.is_empty()).then_some(self.next_expiry_scan);
        [abort, expiry].into_iter().flatten().min()
    }

    /// Fences the producers of transactions that have taken longer than they may.
    pub(super) fn abort_overdue(
        &mut self,
        now: Now,
        config: &TransactionConfig,
        effects: &mut TransactionEffects,
    ) {
        if now.monotonic < self.next_abort_scan {
            return;
        }
        self.next_abort_scan = now.monotonic.after(config.abort_scan_interval);
        self.due.retain(|id, _| self.ongoing.contains(id));
        let mut overdue = Vec::new();
        for id in &self.ongoing {
            let Some(Transaction { value, .. }) = self.transactions.get(id) else { continue };
            let looked_at_now =
                Due { began_at: value.began_at(), at: now.monotonic.after(value.time_left(now.wall)) };
            let due = self.due.entry(id.clone()).or_insert(looked_at_now);
            if due.began_at != looked_at_now.began_at {
                *due = looked_at_now;
            }
            if due.at <= now.monotonic {
                overdue.push(id.clone());
            }
        }
        for transactional_id in overdue {
            tracing::info!(%transactional_id, "the transaction took too long and is aborted");
            self.fence(now, &transactional_id, effects);
        }
    }

    /// Forgets ids that have had no transaction for long.
    pub(super) fn expire_unused(
        &mut self,
        now: Now,
        config: &TransactionConfig,
        effects: &mut TransactionEffects,
    ) {
        if now.monotonic < self.next_expiry_scan {
            return;
        }
        self.next_expiry_scan = now.monotonic.after(config.expiry_scan_interval);
        let last_kept = now.wall.0.saturating_sub(config.id_expiration_ms);
        let is_unused = |(_, transaction): &(&Str, &Transaction)| {
            let value = &transaction.value;
            value.state.is_without_transaction() && value.updated_at.0 <= last_kept
        };
        let unused: Vec<Str> = self.transactions.iter().filter(is_unused).map(|(id, _)| id.clone()).collect();
        for transactional_id in unused {
            let append = Append::Record(TransactionRecord { transactional_id, value: None });
            self.replay(&append);
            effects.append(append);
        }
    }
}
