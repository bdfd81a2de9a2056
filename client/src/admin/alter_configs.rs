//! Changing configs.

use std::collections::BTreeMap;

use ottla_protocol::api::incremental_alter_configs::{
    self, IncrementalAlterConfigsRequest, IncrementalAlterConfigsRequestConfig,
    IncrementalAlterConfigsRequestResource,
};
use ottla_protocol::wire::Str;

use super::Admin;
use super::configs::ConfigResource;
use super::topics::unless_unknown;
use super::tries::{Outcomes, Tries, outcome_of};

/// What is to become of one config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// It gets this value.
    Set(String),
    /// It is inherited again.
    Delete,
    /// These items, with commas between them, join a list that lacks them.
    Append(String),
    /// These items leave a list.
    Subtract(String),
}

/// What is to become of a resource's configs, by key. Those that are not named stay as they are.
pub type ConfigChanges = BTreeMap<String, ConfigChange>;

impl Admin {
    /// Changes configs: those of each resource all together or not at all. With `validate_only` it only says whether it
    /// could be done.
    pub async fn alter_configs(
        &self,
        changes: &BTreeMap<ConfigResource, ConfigChanges>,
        validate_only: bool,
    ) -> Outcomes<ConfigResource, ()> {
        let mut tries = Tries::new(&self.cluster, changes.keys().cloned());
        while let Some(left) = tries.next().await {
            for (target, resources) in self.by_target(&left) {
                let asked = resources.iter().filter_map(|resource| Some((resource, changes.get(resource)?)));
                let request = IncrementalAlterConfigsRequest {
                    resources: asked.map(|(resource, changes)| on_wire(resource, changes)).collect(),
                    validate_only,
                };
                match self.cluster.call_until(&tries.deadline, target, &request).await {
                    Ok(answer) => {
                        for told in &answer.responses {
                            let is_it = |it: &&ConfigResource| {
                                it.on_wire() == (told.resource_type, told.resource_name.to_string())
                            };
                            let Some(resource) = resources.iter().find(is_it) else { continue };
                            let outcome = outcome_of(told.error_code, told.error_message.as_deref(), || ());
                            tries.on_outcome(resource, unless_unknown(outcome));
                        }
                        tries.on_answer_read(&resources, incremental_alter_configs::API.name);
                    }
                    Err(error) => tries.on_failure(&resources, &error),
                }
            }
        }
        tries
            .into_outcomes()
            .into_iter()
            .map(|(key, outcome)| (key, outcome.and_then(|changed| changed)))
            .collect()
    }
}

fn on_wire(resource: &ConfigResource, changes: &ConfigChanges) -> IncrementalAlterConfigsRequestResource {
    let (resource_type, resource_name) = resource.on_wire();
    let configs = changes.iter().map(|(name, change)| {
        let (config_operation, value) = match change {
            ConfigChange::Set(value) => (0, Some(value)),
            ConfigChange::Delete => (1, None),
            ConfigChange::Append(items) => (2, Some(items)),
            ConfigChange::Subtract(items) => (3, Some(items)),
        };
        IncrementalAlterConfigsRequestConfig {
            name: Str::copy_of(name),
            config_operation,
            value: value.map(|value| Str::copy_of(value)),
        }
    });
    IncrementalAlterConfigsRequestResource {
        resource_type,
        resource_name: Str::from(resource_name),
        configs: configs.collect(),
    }
}
