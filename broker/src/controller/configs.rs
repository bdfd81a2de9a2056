//! Configs at run time: which changes are made, and what is in effect with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::BrokerId;

use super::image::MetadataImage;
use super::record::{ConfigResource, MetadataRecord};
use crate::config::{AlterConfigError, BrokerLayers, ConfigAlteration, ConfigScope, OwnConfigs, alter};

/// Configs are to be changed: those of each resource as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterConfigs {
    /// The resources, each once.
    pub alterations: Vec<(ConfigResource, ConfigAlteration)>,
    /// Whether to say only what would happen.
    pub validate_only: bool,
    /// The broker that was asked.
    pub node: BrokerId,
    /// What its file and flags say: lists grow from what is in effect.
    pub static_values: Arc<BTreeMap<String, String>>,
}

/// Why the configs of a resource were not changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AlterConfigsError {
    /// There is no such topic.
    #[error("there is no topic '{0}'")]
    UnknownTopic(String),
    /// It can't have them.
    #[error(transparent)]
    Invalid(#[from] AlterConfigError),
}

impl AlterConfigsError {
    /// What the wire says.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            AlterConfigsError::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
            AlterConfigsError::Invalid(error) => error.error_code(),
        }
    }
}

/// The configs that are set on a resource.
pub fn own_configs(image: &MetadataImage, resource: &ConfigResource) -> OwnConfigs {
    let set = image.configs(resource).into_iter().flatten();
    set.map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// What is in effect for a broker whose file and flags say `static_values`.
pub fn broker_layers(
    image: &MetadataImage,
    node: BrokerId,
    static_values: &BTreeMap<String, String>,
) -> BrokerLayers {
    BrokerLayers::with_dynamic(
        static_values.clone(),
        own_configs(image, &ConfigResource::Broker(node)),
        own_configs(image, &ConfigResource::EveryBroker),
    )
}

/// One result for each resource, and the records that make it so.
pub(super) fn alter_configs(
    image: &MetadataImage,
    request: &AlterConfigs,
) -> (Vec<MetadataRecord>, Vec<Result<(), AlterConfigsError>>) {
    let mut records = Vec::new();
    let mut results = Vec::with_capacity(request.alterations.len());
    for (resource, alteration) in &request.alterations {
        match altered(image, request, resource, alteration) {
            Ok((before, after)) => {
                record(resource, &before, &after, &mut records);
                results.push(Ok(()));
            }
            Err(error) => results.push(Err(error)),
        }
    }
    if request.validate_only {
        records.clear();
    }
    (records, results)
}

/// The configs that a resource has before and after.
fn altered(
    image: &MetadataImage,
    request: &AlterConfigs,
    resource: &ConfigResource,
    alteration: &ConfigAlteration,
) -> Result<(OwnConfigs, OwnConfigs), AlterConfigsError> {
    let (scope, node) = match resource {
        ConfigResource::Topic(name) if image.topic(name).is_none() => {
            return Err(AlterConfigsError::UnknownTopic(name.clone()));
        }
        ConfigResource::Topic(_) => (ConfigScope::Topic, request.node),
        ConfigResource::Broker(id) => (ConfigScope::Broker, *id),
        ConfigResource::EveryBroker => (ConfigScope::EveryBroker, request.node),
        ConfigResource::Group(_) => (ConfigScope::Group, request.node),
        ConfigResource::ClientMetrics(_) => (ConfigScope::ClientMetrics, request.node),
    };
    let mut layers = broker_layers(image, node, &request.static_values);
    let own = if scope == ConfigScope::EveryBroker {
        // What one of them has for itself is no affair of the others.
        layers.dynamic_broker.clear();
        // With the least in-sync replicas, which a cluster has from its beginning though nobody has recorded them.
        layers.dynamic_default.clone()
    } else {
        own_configs(image, resource)
    };
    let after = alter(scope, &layers, &own, alteration)?;
    Ok((own, after))
}

/// Only what differs is recorded.
fn record(
    resource: &ConfigResource,
    before: &OwnConfigs,
    after: &OwnConfigs,
    records: &mut Vec<MetadataRecord>,
) {
    for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(*value)) {
        let (resource, key, value) = (resource.clone(), key.clone(), value.clone());
        records.push(MetadataRecord::ConfigSet { resource, key, value });
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        records.push(MetadataRecord::ConfigRemoved { resource: resource.clone(), key: key.clone() });
    }
}
