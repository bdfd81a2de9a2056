//! Which resources there are that have configs or may have them.

use std::collections::BTreeSet;

use ottla_protocol::api::list_config_resources::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use ottla_protocol::types::BrokerId;

use super::Admin;
use super::configs::ConfigResource;
use super::tries::outcome_of;
use crate::error::Error;

/// A type of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResourceType {
    /// Topics.
    Topic,
    /// Brokers, and what holds for all of them.
    Broker,
    /// Subscriptions to clients' metrics.
    ClientMetrics,
    /// Groups that have configs.
    Group,
}

impl ConfigResourceType {
    fn on_wire(self) -> i8 {
        match self {
            ConfigResourceType::Topic => 2,
            ConfigResourceType::Broker => 4,
            ConfigResourceType::ClientMetrics => 16,
            ConfigResourceType::Group => 32,
        }
    }
}

impl Admin {
    /// The resources of these types. A broker before Kafka 4.1 knows those of clients' metrics alone.
    pub async fn list_config_resources(
        &self,
        types: &[ConfigResourceType],
    ) -> Result<BTreeSet<ConfigResource>, Error> {
        let resource_types: Vec<i8> = types.iter().map(|it| it.on_wire()).collect();
        if resource_types.is_empty() {
            // On the wire it would mean all of them, those of types that came later too.
            return Ok(BTreeSet::new());
        }
        let request = ListConfigResourcesRequest { resource_types: resource_types.clone() };
        let read = |answer: ListConfigResourcesResponse| {
            let told = answer.config_resources.iter();
            let asked = told.filter(|it| resource_types.contains(&it.resource_type));
            let resources = asked.filter_map(|it| resource(it.resource_type, &it.resource_name));
            outcome_of(answer.error_code, None, || resources.collect())
        };
        self.ask(&request, read).await
    }
}

fn resource(resource_type: i8, name: &str) -> Option<ConfigResource> {
    match (resource_type, name) {
        (2, name) => Some(ConfigResource::Topic(name.to_owned())),
        (4, "") => Some(ConfigResource::EveryBroker),
        (4, id) => Some(ConfigResource::Broker(BrokerId(id.parse().ok()?))),
        (16, name) => Some(ConfigResource::ClientMetrics(name.to_owned())),
        (32, name) => Some(ConfigResource::Group(name.to_owned())),
        _ => None,
    }
}
