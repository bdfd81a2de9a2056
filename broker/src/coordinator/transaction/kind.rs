//! Transactions as a kind of coordinator: `__transaction_state`.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::types::{BrokerId, PartitionIndex};
use tokio::sync::mpsc;

use super::core::{MarkerEffect, TransactionCore};
use super::markers_task::MarkerWanted;
use super::record::TransactionRecord;
use crate::config::{BrokerLayers, TransactionConfig};
use crate::controller::{ConfigResource, MetadataImage, broker_layers};
use crate::coordinator::kind::{InvalidRecord, Kind};

/// How long an answer waits for the log: as long as Kafka's requests between brokers may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Transactions.
#[derive(Debug)]
pub(crate) struct TransactionCoordinator {
    node: BrokerId,
    /// As the broker's file and flags have it.
    config: TransactionConfig,
    layers: Arc<BrokerLayers>,
    /// To the task that writes markers. Holds at most what the cores have ended and not completed: one entry, and the
    /// word that it is over, for each transactional id.
    markers: mpsc::UnboundedSender<MarkerWanted>,
}

impl TransactionCoordinator {
    /// The kind, and what its cores want done.
    pub(crate) fn new(
        node: BrokerId,
        config: TransactionConfig,
        layers: Arc<BrokerLayers>,
    ) -> (TransactionCoordinator, mpsc::UnboundedReceiver<MarkerWanted>) {
        let (markers, wanted) = mpsc::unbounded_channel();
        (TransactionCoordinator { node, config, layers, markers }, wanted)
    }
}

impl Kind for TransactionCoordinator {
    type Core = TransactionCore;

    const TOPIC: &'static str = "__transaction_state";
    const ANSWERS_EARLY: bool = crate::planted::END_ANSWERED_EARLY;

    fn new_core(&self) -> TransactionCore {
        TransactionCore::default()
    }

    fn world(&self, image: &Arc<MetadataImage>) -> TransactionConfig {
        let config = self.config.clone();
        let is_untouched = |resource: &ConfigResource| image.configs(resource).is_none();
        if is_untouched(&ConfigResource::EveryBroker) && is_untouched(&ConfigResource::Broker(self.node)) {
            return config;
        }
        config.with_dynamic(&broker_layers(image, self.node, &self.layers.static_values))
    }

    fn answer_within(&self, _: &TransactionConfig) -> Duration {
        ANSWER_WITHIN
    }

    fn decode(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<TransactionRecord>, InvalidRecord> {
        TransactionRecord::decode(key, value)
    }

    fn encode(&self, record: &TransactionRecord, key: &mut Vec<u8>, value: &mut Vec<u8>) -> bool {
        record.encode(key, value)
    }

    fn carry_out(&self, partition: PartitionIndex, effect: MarkerEffect) {
        // Nobody takes it at a stop; the next start finds what is missing in the log.
        let _ = self.markers.send(MarkerWanted { partition, effect });
    }
}
