//! ListConfigResources: everything whose configs can be asked for.

use ottla_protocol::api::list_config_resources::{
    ListConfigResourcesRequest, ListConfigResourcesResponse, ListConfigResourcesResponseResource,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::Handlers;
use super::resource_type::ResourceType;
use crate::controller::{ConfigResource, MetadataImage};

impl Handlers {
    /// Before version 1 only subscriptions to client metrics can be asked for.
    pub(super) fn list_config_resources(
        &self,
        version: i16,
        request: &ListConfigResourcesRequest,
    ) -> ListConfigResourcesResponse {
        let asked: Option<Vec<ResourceType>> =
            request.resource_types.iter().map(|code| ResourceType::from_code(*code)).collect();
        let Some(asked) = asked else {
            return ListConfigResourcesResponse {
                error_code: ErrorCode::UnsupportedVersion.code(),
                ..ListConfigResourcesResponse::default()
            };
        };
        let image = self.image();
        let wanted = |kind: ResourceType| match version {
            0 => kind == ResourceType::ClientMetrics,
            _ => asked.is_empty() || asked.contains(&kind),
        };
        let kinds = ResourceType::ALL.into_iter().filter(|kind| wanted(*kind));
        let rows = kinds.flat_map(|kind| {
            names(&image, kind).into_iter().map(move |resource_name| ListConfigResourcesResponseResource {
                resource_name,
                resource_type: kind.code(),
            })
        });
        ListConfigResourcesResponse {
            config_resources: rows.collect(),
            ..ListConfigResourcesResponse::default()
        }
    }
}

/// Topics and brokers are there whether anything is set on them or not; the others come into being by being configured.
fn names(image: &MetadataImage, kind: ResourceType) -> Vec<Str> {
    let configured = |name_of: fn(&ConfigResource) -> Option<&String>| -> Vec<Str> {
        image
            .configured()
            .filter_map(|(resource, _)| name_of(resource))
            .map(|name| Str::copy_of(name))
            .collect()
    };
    match kind {
        ResourceType::Topic => image.topics().map(|topic| Str::copy_of(topic.name())).collect(),
        ResourceType::Broker | ResourceType::BrokerLogger => {
            image.brokers().map(|broker| Str::from(broker.id.to_string())).collect()
        }
        ResourceType::ClientMetrics => configured(|resource| match resource {
            ConfigResource::ClientMetrics(name) => Some(name),
            _ => None,
        }),
        ResourceType::Group => configured(|resource| match resource {
            ConfigResource::Group(name) => Some(name),
            _ => None,
        }),
    }
}
