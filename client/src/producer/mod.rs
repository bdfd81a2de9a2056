//! The producer: batches records by partition and sends them, a request for each broker at a time.

#[expect(dead_code, reason = "what fills batches lands next")]
mod config;
#[expect(dead_code, reason = "what fills batches lands next")]
mod delivery;
mod error;
pub mod partitioner;
mod record;

use std::sync::Arc;

pub use self::config::{Acks, InvalidConfig, ProducerConfig};
pub use self::delivery::Delivery;
pub use self::error::ProduceError;
pub use self::record::{Header, Record, RecordMetadata};
use crate::client::Cluster;

/// Sends records. Cheap to clone; clones share batches and memory. When the last one goes, what was accepted is still
/// sent; [`Producer::close`] waits for that.
#[derive(Clone)]
pub struct Producer {
    _cluster: Arc<Cluster>,
}

impl Producer {
    pub(crate) fn new(cluster: Arc<Cluster>, config: ProducerConfig) -> Result<Producer, InvalidConfig> {
        config.check(&cluster.config)?;
        Ok(Producer { _cluster: cluster })
    }

    /// Takes a record into its batch, and gives a future of what becomes of it. It waits, for at most `max.block.ms`, where
    /// nothing is known of the topic yet and where `buffer.memory` is full. Dropped before it is done, it has
    /// accepted nothing; records that one task sends to a partition keep their order.
    pub async fn send(&self, _record: Record<'_>) -> Result<Delivery, ProduceError> {
        Err(ProduceError::Closed)
    }

    /// Sends what was accepted before, without lingering, and waits until each record is delivered or given up.
    /// [`Delivery`] tells which.
    pub async fn flush(&self) {}

    /// Accepts no more, from any clone, and waits until everything is delivered or given up. Dropped early, it goes
    /// on without anybody waiting.
    pub async fn close(&self) {}
}
