//! The metadata records: everything that can become true about the cluster.
//!
//! A record says what is, with absolute values (an epoch, never "one more"), so that what it means does not depend
//! on who decided it. Their bytes are `record_codec`'s business.

use std::fmt;

use ottla_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};
use ottla_runtime::WallTime;

use super::ids::{ClusterId, DirectoryId};

/// One metadata record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataRecord {
    /// The cluster came into being. The first record of every log.
    ClusterCreated {
        /// Its id, for ever.
        cluster_id: ClusterId,
        /// When.
        created_at: WallTime,
    },
    /// A broker started. Every partition that it leads is in a new leader epoch from here on.
    BrokerRegistered(BrokerRegistered),
    /// A topic came into being. Its partitions follow, from 0.
    Topic {
        /// Its id, never used before.
        id: TopicId,
        /// Its name.
        name: String,
        /// How many Partition records to expect: a hint for the size of memory, no promise.
        partition_count: u32,
    },
    /// A partition came into being.
    Partition(PartitionRecord),
    /// A partition's replicas, leader or in-sync replicas changed.
    PartitionChange(PartitionChangeRecord),
    /// A topic is gone, with its partitions and its configs.
    RemoveTopic {
        /// Which.
        id: TopicId,
    },
    /// A config was set.
    ConfigSet {
        /// On what.
        resource: ConfigResource,
        /// The config's key.
        key: String,
        /// Its value.
        value: String,
    },
    /// A config went back to what the resource inherits.
    ConfigRemoved {
        /// Of what.
        resource: ConfigResource,
        /// The config's key.
        key: String,
    },
    /// Producer ids below `next` have been given away.
    ProducerIdBlock {
        /// To whom the last ones went.
        broker: BrokerId,
        /// The first id that nobody has.
        next: ProducerId,
    },
    /// A feature is finalized at a level; 0 takes it back.
    FeatureLevel {
        /// The feature's name.
        name: String,
        /// Its level.
        level: i16,
    },
    /// Nothing.
    NoOp,
}

/// A broker started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistered {
    /// Which.
    pub broker: BrokerId,
    /// How many times it has started by now, from 1.
    pub start_count: i32,
    /// Tells this run of it from others.
    pub incarnation: [u8; 16],
    /// Its data directories.
    pub directories: Vec<DirectoryId>,
    /// Where other brokers and clients reach it. Empty for a node alone that tells each client the address which that client used.
    pub endpoints: Vec<BrokerEndpoint>,
    /// Its rack.
    pub rack: Option<String>,
    /// When.
    pub registered_at: WallTime,
}

/// Where a broker can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerEndpoint {
    /// The listener's name.
    pub listener: String,
    /// A host name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A partition came into being.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRecord {
    /// The topic it belongs to.
    pub topic: TopicId,
    /// Its number: the number of partitions that the topic had before.
    pub index: PartitionIndex,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// One for each replica.
    pub directories: Vec<DirectoryId>,
    /// The in-sync replicas.
    pub isr: Vec<BrokerId>,
    /// The eligible leader replicas (KIP-966).
    pub elr: Vec<BrokerId>,
    /// Its leader, if it has one.
    pub leader: Option<BrokerId>,
    /// Its leader epoch at this moment.
    pub leader_epoch: LeaderEpoch,
    /// How many times it has changed.
    pub partition_epoch: i32,
}

/// What changed in a partition. A field that is absent stays as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionChangeRecord {
    /// The topic it belongs to.
    pub topic: TopicId,
    /// Its number.
    pub index: PartitionIndex,
    /// How many times it has changed by now: more than before.
    pub partition_epoch: i32,
    /// The new leader, or none.
    pub leader: Option<NewLeader>,
    /// The new in-sync replicas.
    pub isr: Option<Vec<BrokerId>>,
    /// The new eligible leader replicas.
    pub elr: Option<Vec<BrokerId>>,
    /// The new replicas and their directories.
    pub replicas: Option<(Vec<BrokerId>, Vec<DirectoryId>)>,
}

/// A change of leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLeader {
    /// Who leads, if anybody.
    pub leader: Option<BrokerId>,
    /// The leader epoch from this moment: more than before.
    pub leader_epoch: LeaderEpoch,
}

/// What a config belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    /// A broker.
    Broker(BrokerId),
    /// Every broker: `DYNAMIC_DEFAULT_BROKER`.
    EveryBroker,
    /// A group, by id.
    Group(String),
    /// A subscription to client metrics, by name.
    ClientMetrics(String),
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigResource::Topic(name) => write!(f, "topic {name}"),
            ConfigResource::Broker(id) => write!(f, "broker {id}"),
            ConfigResource::EveryBroker => f.write_str("every broker"),
            ConfigResource::Group(id) => write!(f, "group {id}"),
            ConfigResource::ClientMetrics(name) => write!(f, "client metrics {name}"),
        }
    }
}
