//! AlterConfigs: what a resource's configs are from now on. Those that are not named go back to what is inherited.

use ottla_protocol::api::alter_configs::{
    AlterConfigsRequest, AlterConfigsRequestResource, AlterConfigsResponse, AlterConfigsResponseResource,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::Handlers;
use super::config_changes::{Named, Refusal, by_key, required};
use super::resource_type::ResourceType;
use crate::config::ConfigAlteration;
use crate::controller::ConfigResource;

impl Handlers {
    pub(super) async fn alter_configs(&self, request: AlterConfigsRequest) -> AlterConfigsResponse {
        let wanted = request.resources.into_iter().map(|resource| {
            let wanted = self.replacement(&resource).map(Some);
            let AlterConfigsRequestResource { resource_type, resource_name, .. } = resource;
            (Named { resource_type, resource_name }, wanted)
        });
        let outcomes = self.change_configs(wanted.collect(), request.validate_only).await;
        let rows = outcomes.into_iter().map(|(named, outcome)| {
            let (error, message) = match outcome {
                Ok(()) => (ErrorCode::None, None),
                Err((error, message)) => (error, Some(Str::from(message))),
            };
            AlterConfigsResponseResource {
                error_code: error.code(),
                error_message: message,
                resource_type: named.resource_type,
                resource_name: named.resource_name,
            }
        });
        AlterConfigsResponse { responses: rows.collect(), ..AlterConfigsResponse::default() }
    }

    fn replacement(
        &self,
        resource: &AlterConfigsRequestResource,
    ) -> Result<(ConfigResource, ConfigAlteration), Refusal> {
        // A logger's level can't be replaced, as each logger has one.
        let kind = ResourceType::from_code(resource.resource_type)
            .filter(|kind| *kind != ResourceType::BrokerLogger)
            .ok_or_else(|| {
                let text =
                    format!("configs of resources of type {} can't be replaced", resource.resource_type);
                (ErrorCode::InvalidRequest, text)
            })?;
        let mut configs = Vec::with_capacity(resource.configs.len());
        for config in &resource.configs {
            configs.push((config.name.clone(), required(&config.name, config.value.as_ref())?));
        }
        let configs = by_key(configs.into_iter())?;
        let named = self.resource(kind, &resource.resource_name)?;
        Ok((named, ConfigAlteration::Replace(configs)))
    }
}
