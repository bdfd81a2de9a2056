//! `producer.id.expiration.ms` as it is now: it may change while the shards run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a producer may be silent before it is forgotten. The task that follows the metadata sets it, shards read it.
#[derive(Debug)]
pub(super) struct ProducerExpiration(AtomicU64);

impl ProducerExpiration {
    pub(super) fn new(ms: u64) -> ProducerExpiration {
        ProducerExpiration(AtomicU64::new(ms))
    }

    pub(super) fn set_ms(&self, ms: u64) {
        self.0.store(ms, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}
