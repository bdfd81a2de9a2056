//! What a client knows of a cluster, as plain values with memory of their own.

use std::collections::BTreeMap;

use ottla_protocol::api::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};

use crate::error::BrokerError;

/// A cluster at one moment. It holds the topics that somebody asked for, not all there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterView {
    /// What the cluster calls itself, if its brokers tell.
    pub cluster_id: Option<String>,
    /// Whom to send what only a controller does.
    pub controller: Option<BrokerId>,
    /// The brokers that are alive.
    pub brokers: BTreeMap<BrokerId, Broker>,
    /// Topics by name, or why the broker cannot tell of one.
    pub topics: BTreeMap<String, Result<TopicView, BrokerError>>,
}

/// A broker and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: BrokerId,
    /// The name or address to reach it at.
    pub host: String,
    /// The port there.
    pub port: i32,
    /// The rack that it says it is in.
    pub rack: Option<String>,
}

/// A topic and where its partitions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicView {
    /// Its id; [`TopicId::ZERO`] from a broker that has none.
    pub id: TopicId,
    /// Whether it belongs to the cluster itself.
    pub is_internal: bool,
    /// Its partitions.
    pub partitions: BTreeMap<PartitionIndex, PartitionView>,
}

/// A partition and where its replicas are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionView {
    /// Who leads it, if anybody does.
    pub leader: Option<BrokerId>,
    /// In which epoch; −1 from a broker that doesn't tell.
    pub leader_epoch: LeaderEpoch,
    /// Everybody who has a replica; the first is the preferred leader.
    pub replicas: Vec<BrokerId>,
    /// Those that are in sync.
    pub in_sync: Vec<BrokerId>,
    /// Those that are not there.
    pub offline: Vec<BrokerId>,
}

impl Broker {
    /// Reads what Metadata and DescribeCluster say in the same words.
    pub(crate) fn of(id: i32, host: &str, port: i32, rack: Option<&str>) -> Broker {
        Broker { id: BrokerId(id), host: host.to_owned(), port, rack: rack.map(str::to_owned) }
    }

    /// Its address as `host:port`; an IPv6 address stands in brackets.
    pub fn server(&self) -> String {
        let Broker { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl From<&MetadataResponseBroker> for Broker {
    fn from(told: &MetadataResponseBroker) -> Broker {
        Broker::of(told.node_id, &told.host, told.port, told.rack.as_deref())
    }
}

impl From<&MetadataResponseTopic> for TopicView {
    fn from(told: &MetadataResponseTopic) -> TopicView {
        let partition = |told: &MetadataResponsePartition| {
            (PartitionIndex(told.partition_index), PartitionView::from(told))
        };
        TopicView {
            id: told.topic_id,
            is_internal: told.is_internal,
            partitions: told.partitions.iter().map(partition).collect(),
        }
    }
}

impl From<&MetadataResponsePartition> for PartitionView {
    fn from(told: &MetadataResponsePartition) -> PartitionView {
        let brokers = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
        PartitionView {
            // A partition without a leader is told with an error beside it, which says nothing more.
            leader: (told.leader_id >= 0).then_some(BrokerId(told.leader_id)),
            leader_epoch: LeaderEpoch(told.leader_epoch),
            replicas: brokers(&told.replica_nodes),
            in_sync: brokers(&told.isr_nodes),
            offline: brokers(&told.offline_replicas),
        }
    }
}
