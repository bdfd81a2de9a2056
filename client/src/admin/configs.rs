//! Configs of topics and brokers.

use std::collections::BTreeMap;

use ottla_protocol::api::describe_configs::{
    self, DescribeConfigsRequest, DescribeConfigsRequestResource, DescribeConfigsResponseConfig,
};
use ottla_protocol::types::BrokerId;
use ottla_protocol::wire::Str;

use super::Admin;
use super::topics::unless_unknown;
use super::tries::{Outcomes, Tries, outcome_of};
use crate::network::pool::Target;

/// What has configs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic.
    Topic(String),
    /// A broker, which tells of its own alone.
    Broker(BrokerId),
    /// What was set for all brokers while they ran.
    EveryBroker,
    /// A group, which need not exist.
    Group(String),
    /// A subscription to clients' metrics.
    ClientMetrics(String),
}

/// A config's value and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The value; `None` where it is unset, or not for everybody to see.
    pub value: Option<String>,
    /// Whether it can't be changed while the broker runs.
    pub is_read_only: bool,
    /// Whether its value is kept back.
    pub is_sensitive: bool,
    /// With DescribeConfigs' numbers: 1 topic, 2 this broker (dynamic), 3 all brokers (dynamic), 4 configuration file,
    /// 5 default, 8 group; −1 from a broker that doesn't tell.
    pub source: i8,
}

impl ConfigResource {
    /// Its type and name on the wire.
    pub(super) fn on_wire(&self) -> (i8, String) {
        match self {
            ConfigResource::Topic(name) => (2, name.clone()),
            ConfigResource::Broker(id) => (4, id.to_string()),
            ConfigResource::EveryBroker => (4, String::new()),
            ConfigResource::Group(name) => (32, name.clone()),
            ConfigResource::ClientMetrics(name) => (16, name.clone()),
        }
    }
}

impl Admin {
    /// Every config of these, by name.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
    ) -> Outcomes<ConfigResource, BTreeMap<String, ConfigEntry>> {
        let mut tries = Tries::new(&self.cluster, resources.iter().cloned());
        while let Some(left) = tries.next().await {
            for (target, resources) in self.by_target(&left) {
                let request = request_for(&resources);
                match self.cluster.call_until(&tries.deadline, target, &request).await {
                    Ok(answer) => {
                        for result in &answer.results {
                            let is_it = |it: &&ConfigResource| {
                                it.on_wire() == (result.resource_type, result.resource_name.to_string())
                            };
                            let Some(resource) = resources.iter().find(is_it) else { continue };
                            let entries = || result.configs.iter().map(entry_of).collect();
                            let message = result.error_message.as_deref();
                            let outcome = outcome_of(result.error_code, message, entries);
                            tries.on_outcome(resource, unless_unknown(outcome));
                        }
                        tries.on_answer_read(&resources, describe_configs::API.name);
                    }
                    Err(error) => tries.on_failure(&resources, &error),
                }
            }
        }
        tries
            .into_outcomes()
            .into_iter()
            .map(|(key, outcome)| (key, outcome.and_then(|found| found)))
            .collect()
    }

    /// A broker is asked about its configs itself, about the others anybody is.
    pub(super) fn by_target(&self, resources: &[ConfigResource]) -> BTreeMap<Target, Vec<ConfigResource>> {
        let anybody = self.cluster.pool.any();
        let mut by_target: BTreeMap<Target, Vec<ConfigResource>> = BTreeMap::new();
        for resource in resources {
            let target = match resource {
                ConfigResource::Broker(id) => Target::Broker(*id),
                ConfigResource::Topic(_)
                | ConfigResource::EveryBroker
                | ConfigResource::Group(_)
                | ConfigResource::ClientMetrics(_) => anybody,
            };
            by_target.entry(target).or_default().push(resource.clone());
        }
        by_target
    }
}

fn request_for(resources: &[ConfigResource]) -> DescribeConfigsRequest {
    let asked = resources.iter().map(|resource| {
        let (resource_type, resource_name) = resource.on_wire();
        DescribeConfigsRequestResource {
            resource_type,
            resource_name: Str::from(resource_name),
            configuration_keys: None,
        }
    });
    DescribeConfigsRequest { resources: asked.collect(), ..DescribeConfigsRequest::default() }
}

fn entry_of(told: &DescribeConfigsResponseConfig) -> (String, ConfigEntry) {
    let entry = ConfigEntry {
        value: told.value.as_deref().map(str::to_owned),
        is_read_only: told.read_only,
        is_sensitive: told.is_sensitive,
        source: told.config_source,
    };
    (told.name.to_string(), entry)
}
