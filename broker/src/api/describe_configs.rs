//! DescribeConfigs: what is in effect for a topic, a broker or a group, and where each value is from.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsRequestResource, DescribeConfigsResponse,
    DescribeConfigsResponseConfig, DescribeConfigsResponseResult, DescribeConfigsResponseSynonym,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::Handlers;
use super::resource_type::ResourceType;
use crate::config::Source;
use crate::config::describe::{
    ConfigRow, describe_broker, describe_broker_loggers, describe_client_metrics, describe_group,
    describe_topic,
};
use crate::controller::{ConfigResource, TopicName, own_configs};

/// Resources that one request is answered for in full; a broker's configs are some 50 KiB, and an answer has to fit
/// into memory. Further ones get INVALID_REQUEST.
const RESOURCES_MAX: usize = 1000;

impl Handlers {
    pub(super) fn describe_configs(&self, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
        let results = request.resources.iter().enumerate().map(|(place, resource)| {
            let rows = if place < RESOURCES_MAX {
                self.rows(resource)
            } else {
                Err((
                    ErrorCode::InvalidRequest,
                    format!("one request can ask for {RESOURCES_MAX} resources at most"),
                ))
            };
            answered(request, resource, rows)
        });
        DescribeConfigsResponse { results: results.collect(), ..DescribeConfigsResponse::default() }
    }

    fn rows(&self, resource: &DescribeConfigsRequestResource) -> Result<Vec<ConfigRow>, (ErrorCode, String)> {
        let wanted: Option<BTreeSet<&str>> = resource
            .configuration_keys
            .as_ref()
            .filter(|keys| !keys.is_empty())
            .map(|keys| keys.iter().map(|key| &**key).collect());
        let wanted = wanted.as_ref();
        let image = self.image();
        let layers = &self.layers_in(&image);
        let name = &*resource.resource_name;
        let node = self.config.node.id;
        let set_on = |resource: ConfigResource| own_configs(&image, &resource);
        let kind = ResourceType::from_code(resource.resource_type).ok_or_else(|| {
            let code = resource.resource_type;
            (ErrorCode::InvalidRequest, format!("no resource has type {code}"))
        })?;
        let rows = match kind {
            ResourceType::Topic => {
                TopicName::check(name)
                    .map_err(|error| (ErrorCode::InvalidTopicException, error.to_string()))?;
                if image.topic(name).is_none() {
                    return Err((ErrorCode::UnknownTopicOrPartition, String::new()));
                }
                let overrides = set_on(ConfigResource::Topic(name.to_owned()));
                return Ok(describe_topic(layers, &overrides, wanted));
            }
            ResourceType::Broker => describe_broker(layers, node, name, wanted),
            // The broker logs by modules, which nobody can turn up or down while it runs.
            ResourceType::BrokerLogger => describe_broker_loggers(node, name, &BTreeMap::new(), wanted),
            ResourceType::ClientMetrics => {
                let set = set_on(ConfigResource::ClientMetrics(name.to_owned()));
                describe_client_metrics(layers, name, &set, wanted)
            }
            ResourceType::Group => {
                let set = set_on(ConfigResource::Group(name.to_owned()));
                describe_group(layers, name, &set, wanted)
            }
        };
        rows.map_err(|error| (ErrorCode::InvalidRequest, error.to_string()))
    }
}

fn answered(
    request: &DescribeConfigsRequest,
    resource: &DescribeConfigsRequestResource,
    rows: Result<Vec<ConfigRow>, (ErrorCode, String)>,
) -> DescribeConfigsResponseResult {
    let (error, message, rows) = match rows {
        Ok(rows) => (ErrorCode::None, String::new(), rows),
        Err((error, message)) => (error, message, Vec::new()),
    };
    DescribeConfigsResponseResult {
        error_code: error.code(),
        error_message: Some(Str::from(message)),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        configs: rows.into_iter().map(|row| config(row, request.include_synonyms)).collect(),
    }
}

fn config(row: ConfigRow, include_synonyms: bool) -> DescribeConfigsResponseConfig {
    let synonyms = if include_synonyms { row.synonyms } else { Vec::new() };
    DescribeConfigsResponseConfig {
        name: Str::from(row.name.into_owned()),
        value: row.value.map(Str::from),
        read_only: row.read_only,
        is_default: row.source == Source::Default,
        config_source: row.source as i8,
        is_sensitive: row.is_sensitive,
        synonyms: synonyms
            .into_iter()
            .map(|synonym| DescribeConfigsResponseSynonym {
                name: Str::from(synonym.name.into_owned()),
                value: synonym.value.map(Str::from),
                source: synonym.source as i8,
            })
            .collect(),
        config_type: row.config_type.map_or(0, |config_type| config_type as i8),
        documentation: None,
    }
}
