//! The broker's configuration: one typed tree, read and checked once at start.
//!
//! Keys are Kafka's with Kafka's units; keys of our own begin with `ottla.`. Each part of the broker gets its own
//! section and never the whole tree. Each field states its key, unit, default and edge values.
//!
//! Nothing here reads a file or looks at a clock: text comes in, typed values or errors that name their place go out.

mod limits;
mod listener;
mod log;
mod node;
mod topic;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use limits::LimitsConfig;
pub use listener::{Endpoint, ListenerConfig};
pub use log::LogConfig;
pub use node::NodeConfig;
pub use topic::{
    CleanupPolicy, CompressionConfig, FlushPolicy, TimestampType, TopicCompression, TopicConfig,
};
pub use topics::TopicsConfig;

/// Everything that a broker is told at start. The default is what `ottla serve` without arguments uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokerConfig {
    /// Who this node is.
    pub node: NodeConfig,
    /// Where it listens.
    pub listener: ListenerConfig,
    /// The data directory, and what topics inherit.
    pub log: LogConfig,
    /// How topics come and go.
    pub topics: TopicsConfig,
    /// What keeps clients from harming each other.
    pub limits: LimitsConfig,
    /// The keys that were set, in the text that DescribeConfigs shows as STATIC_BROKER_CONFIG.
    pub static_values: Arc<BTreeMap<String, String>>,
}
