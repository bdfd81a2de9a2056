//! What AlterConfigs and IncrementalAlterConfigs have in common: which resource is meant, and having it changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::BrokerId;
use ottla_protocol::wire::Str;

use super::Handlers;
use super::resource_type::ResourceType;
use crate::config::{BrokerLayers, ConfigAlteration};
use crate::controller::{AlterConfigs, ConfigResource, MetadataImage, TopicName, broker_layers};

/// Why a resource is not changed.
pub(super) type Refusal = (ErrorCode, String);

/// A resource as a request names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) resource_type: i8,
    pub(super) resource_name: Str,
}

/// A resource with what is to become of its configs; nothing if the request leaves that open and there is nothing to do.
pub(super) type Wanted = (Named, Result<Option<(ConfigResource, ConfigAlteration)>, Refusal>);

/// A resource with what became of it.
pub(super) type Outcome = (Named, Result<(), Refusal>);

impl Handlers {
    /// What is in effect for this broker.
    pub(super) fn layers_in(&self, image: &MetadataImage) -> BrokerLayers {
        broker_layers(image, self.config.node.id, &self.config.layers.static_values)
    }

    /// The resource of which a request speaks; one that has no name, or another broker, is a mistake of its own.
    pub(super) fn resource(&self, kind: ResourceType, name: &str) -> Result<ConfigResource, Refusal> {
        let unnamed = |what: &str| Err((ErrorCode::InvalidRequest, format!("a {what} must have a name")));
        match kind {
            ResourceType::Topic if name.is_empty() => unnamed("topic"),
            ResourceType::Topic => match TopicName::check(name) {
                Ok(()) => Ok(ConfigResource::Topic(name.to_owned())),
                Err(error) => Err((ErrorCode::InvalidTopicException, error.to_string())),
            },
            ResourceType::Broker if name.is_empty() => Ok(ConfigResource::EveryBroker),
            ResourceType::Broker | ResourceType::BrokerLogger => {
                self.this_broker(name).map(ConfigResource::Broker)
            }
            ResourceType::ClientMetrics if name.is_empty() => unnamed("client metrics subscription"),
            ResourceType::ClientMetrics => Ok(ConfigResource::ClientMetrics(name.to_owned())),
            ResourceType::Group if name.is_empty() => unnamed("group"),
            ResourceType::Group => Ok(ConfigResource::Group(name.to_owned())),
        }
    }

    fn this_broker(&self, name: &str) -> Result<BrokerId, Refusal> {
        let node = self.config.node.id;
        if name.parse() == Ok(node.0) {
            return Ok(node);
        }
        let text = format!(
            "this is broker {node}: it can change its own configs and, as \"\", those of all, not {name:?}"
        );
        Err((ErrorCode::InvalidRequest, text))
    }

    /// Makes the changes, each resource as a whole or not at all. When it answers they are in effect.
    pub(super) async fn change_configs(&self, wanted: Vec<Wanted>, validate_only: bool) -> Vec<Outcome> {
        let wanted = refuse_repeated(wanted);
        let alterations: Vec<(ConfigResource, ConfigAlteration)> =
            wanted.iter().filter_map(|(_, wanted)| wanted.as_ref().ok()?.clone()).collect();
        let count = alterations.len();
        let proposal = AlterConfigs {
            alterations,
            validate_only,
            node: self.config.node.id,
            static_values: Arc::new(self.config.layers.static_values.clone()),
        };
        let results = match self.metadata.alter_configs(proposal).await {
            Ok(results) => {
                self.partitions.wait_for(self.image().offset()).await;
                results
                    .into_iter()
                    .map(|result| result.map_err(|error| (error.error_code(), error.to_string())))
                    .collect()
            }
            Err(error) => vec![Err((error.error_code(), error.to_string())); count],
        };
        let mut results = results.into_iter();
        let mut outcome_of = |wanted: Result<Option<_>, Refusal>| match wanted {
            Ok(Some(_)) => results.next().expect("one for each that was proposed"),
            Ok(None) => Ok(()),
            Err(refusal) => Err(refusal),
        };
        wanted.into_iter().map(|(named, wanted)| (named, outcome_of(wanted))).collect()
    }
}

/// A resource that stands in a request more than once is not changed at all.
fn refuse_repeated(wanted: Vec<Wanted>) -> Vec<Wanted> {
    let mut times: BTreeMap<Named, u32> = BTreeMap::new();
    for (named, _) in &wanted {
        *times.entry(named.clone()).or_default() += 1;
    }
    let once = |named: &Named| times.get(named).is_none_or(|times| *times == 1);
    let repeated =
        || Err((ErrorCode::InvalidRequest, "the resource stands in the request more than once".to_owned()));
    wanted
        .into_iter()
        .map(|(named, wanted)| if once(&named) { (named, wanted) } else { (named, repeated()) })
        .collect()
}

/// Configs by key. One that is named twice makes all of them a mistake.
pub(super) fn by_key<T>(configs: impl Iterator<Item = (Str, T)>) -> Result<BTreeMap<String, T>, Refusal> {
    let mut named = BTreeMap::new();
    for (key, value) in configs {
        if named.insert(key.to_string(), value).is_some() {
            return Err((ErrorCode::InvalidRequest, format!("{key:?} stands in the request more than once")));
        }
    }
    Ok(named)
}

/// A value that has to be there.
pub(super) fn required(key: &str, value: Option<&Str>) -> Result<String, Refusal> {
    let value = value.ok_or_else(|| (ErrorCode::InvalidRequest, format!("{key:?} has no value")))?;
    Ok(value.to_string())
}
