//! Groups as a kind of coordinator: `__consumer_offsets`.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use ottla_protocol::record::{Codec, Compression};
use ottla_protocol::types::{BrokerId, PartitionIndex};

use super::core::GroupCore;
use super::record::GroupRecord;
use super::turn::{GroupEffect, GroupWorld};
use crate::config::{BrokerLayers, GroupsConfig, TopicConfig};
use crate::controller::{ConfigResource, MetadataImage, broker_layers};
use crate::coordinator::kind::{InvalidRecord, Kind};
use crate::metrics::GaugeShare;
use crate::metrics::table::{GROUP_COMMITS, GROUP_OFFSETS, GROUPS};

/// Groups.
#[derive(Debug)]
pub(crate) struct GroupCoordinator {
    pub(crate) node: BrokerId,
    /// As the broker's file and flags have it.
    pub(crate) config: Arc<GroupsConfig>,
    pub(crate) layers: Arc<BrokerLayers>,
}

impl Kind for GroupCoordinator {
    type Core = GroupCore;

    const TOPIC: &'static str = "__consumer_offsets";
    const ANSWERS_EARLY: bool = crate::planted::COMMIT_ANSWERED_EARLY;

    fn compression(&self) -> Compression {
        let codec = u8::try_from(self.config.offsets_topic_codec).ok().and_then(Codec::from_id);
        codec.map_or(Compression::NONE, Compression::of)
    }

    fn new_core(&self) -> GroupCore {
        GroupCore::default()
    }

    fn world(&self, image: &Arc<MetadataImage>) -> GroupWorld {
        let is_untouched = |resource: &ConfigResource| image.configs(resource).is_none();
        let (config, layers) = if is_untouched(&ConfigResource::EveryBroker)
            && is_untouched(&ConfigResource::Broker(self.node))
        {
            (Arc::clone(&self.config), Arc::clone(&self.layers))
        } else {
            let layers = broker_layers(image, self.node, &self.layers.static_values);
            (Arc::new(GroupsConfig::clone(&self.config).with_dynamic(&layers)), Arc::new(layers))
        };
        GroupWorld {
            image: Arc::clone(image),
            config,
            record_bytes_max: TopicConfig::max_message_bytes_of(&layers, image.topic_configs(Self::TOPIC)),
        }
    }

    fn answer_within(&self, world: &GroupWorld) -> Duration {
        Duration::from_millis(world.config.offsets_commit_timeout_ms)
    }

    fn decode(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<GroupRecord>, InvalidRecord> {
        GroupRecord::decode(key, value)
    }

    fn encode(&self, record: &GroupRecord, key: &mut Vec<u8>, value: &mut Vec<u8>) -> bool {
        record.encode(key, value)
    }

    fn gauges(&self) -> Vec<GaugeShare> {
        let groups = |kind, state| GaugeShare::new(GROUPS.gauge(&[kind, state]));
        vec![
            groups("classic", "empty"),
            groups("classic", "active"),
            groups("consumer", "empty"),
            groups("consumer", "active"),
            GaugeShare::new(GROUP_OFFSETS.gauge(&[])),
        ]
    }

    fn counters(&self) -> Vec<Counter> {
        vec![GROUP_COMMITS.counter(&[])]
    }

    fn quantities(&self, core: &GroupCore, quantities: &mut Vec<u64>) {
        let counts = core.counts();
        quantities.extend(counts.groups);
        quantities.extend([counts.offsets, counts.commits]);
    }

    fn carry_out(&self, _partition: PartitionIndex, effect: GroupEffect) {
        match effect {}
    }
}
