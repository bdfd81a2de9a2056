//! The broker's configuration: one typed tree, read and checked once at start.
//!
//! Keys are Kafka's with Kafka's units; keys of our own begin with `ottla.`. Each part of the broker gets its own
//! section and never the whole tree. Each field states its key, unit, default and edge values.
//!
//! Nothing here reads a file or looks at a clock: text comes in, typed values or errors that name their place go out.

mod alteration;
mod compaction;
pub mod describe;
mod error;
mod groups;
pub mod keys;
mod layers;
mod limits;
mod listener;
mod log;
mod node;
mod source;
mod topic;
mod topic_overrides;
mod topics;
mod transaction;
mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use alteration::{AlterConfigError, ConfigAlteration, ConfigEdit, ConfigScope, OwnConfigs, alter};
pub use compaction::CompactionConfig;
pub use error::{ConfigError, ConfigErrors, Place, SyntaxProblem, Unfit};
pub use groups::{GroupsConfig, MigrationPolicy};
pub use layers::{BrokerLayers, Source, Synonym};
pub use limits::LimitsConfig;
pub use listener::{Endpoint, InvalidEndpoint, ListenerConfig};
pub use log::LogConfig;
pub use node::NodeConfig;
pub use source::Settings;
pub use topic::{
    CleanupPolicy, CompressionConfig, FlushPolicy, TimestampType, TopicCompression, TopicConfig,
};
pub use topic_overrides::{InvalidTopicConfig, validate_topic_overrides};
pub use topics::TopicsConfig;
pub use transaction::TransactionConfig;
pub use values::KeysWithoutEffect;
use values::Values;

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
    /// Consumer groups and their offsets.
    pub groups: GroupsConfig,
    /// What keeps clients from harming each other.
    pub limits: LimitsConfig,
    /// How transactions are coordinated.
    pub transaction: TransactionConfig,
    /// The values of broker keys by where they were set, for DescribeConfigs and for what topics inherit.
    pub layers: Arc<BrokerLayers>,
}

impl BrokerConfig {
    /// Reads settings, checks each and all together. Besides the configuration: the keys that change nothing, to be
    /// listed at start.
    pub fn read(settings: &Settings) -> Result<(BrokerConfig, KeysWithoutEffect), ConfigErrors> {
        let mut values = Values::check(settings);
        let layers = BrokerLayers::new(values.texts());
        let config = BrokerConfig {
            node: NodeConfig::read(&mut values),
            listener: ListenerConfig::read(&mut values),
            log: LogConfig::read(&mut values, &layers),
            topics: TopicsConfig::read(&values),
            groups: GroupsConfig::read(&mut values),
            limits: LimitsConfig::read(&mut values),
            transaction: TransactionConfig::read(&values),
            layers: Arc::new(layers),
        };
        let without_effect = values.without_effect();
        let mut errors = values.errors;
        if errors.is_empty() {
            return Ok((config, without_effect));
        }
        errors.sort_by(|one, other| one.place().cmp(&other.place()));
        Err(ConfigErrors(errors))
    }
}
