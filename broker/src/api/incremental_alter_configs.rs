//! IncrementalAlterConfigs: sets, removes and edits configs; those that are not named stay.

use ottla_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsRequestConfig,
    IncrementalAlterConfigsRequestResource, IncrementalAlterConfigsResponse,
    IncrementalAlterConfigsResponseResource,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::Handlers;
use super::config_changes::{Named, Refusal, by_key, required};
use super::resource_type::ResourceType;
use crate::config::{ConfigAlteration, ConfigEdit};
use crate::controller::ConfigResource;

/// Operations.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

impl Handlers {
    pub(super) async fn incremental_alter_configs(
        &self,
        request: IncrementalAlterConfigsRequest,
    ) -> IncrementalAlterConfigsResponse {
        let wanted = request.resources.into_iter().map(|resource| {
            let wanted = self.edits(&resource);
            let IncrementalAlterConfigsRequestResource { resource_type, resource_name, .. } = resource;
            (Named { resource_type, resource_name }, wanted)
        });
        let outcomes = self.change_configs(wanted.collect(), request.validate_only).await;
        let rows = outcomes.into_iter().map(|(named, outcome)| {
            let (error, message) = match outcome {
                Ok(()) => (ErrorCode::None, None),
                Err((error, message)) => (error, Some(Str::from(message))),
            };
            IncrementalAlterConfigsResponseResource {
                error_code: error.code(),
                error_message: message,
                resource_type: named.resource_type,
                resource_name: named.resource_name,
            }
        });
        IncrementalAlterConfigsResponse {
            responses: rows.collect(),
            ..IncrementalAlterConfigsResponse::default()
        }
    }

    fn edits(
        &self,
        resource: &IncrementalAlterConfigsRequestResource,
    ) -> Result<Option<(ConfigResource, ConfigAlteration)>, Refusal> {
        let kind = ResourceType::from_code(resource.resource_type).ok_or_else(|| {
            (ErrorCode::InvalidRequest, format!("no resource has type {}", resource.resource_type))
        })?;
        let mut edits = Vec::with_capacity(resource.configs.len());
        for config in &resource.configs {
            edits.push((config.name.clone(), edit(config)?));
        }
        let edits = by_key(edits.into_iter())?;
        let named = self.resource(kind, &resource.resource_name)?;
        if kind == ResourceType::BrokerLogger {
            return edits.iter().try_for_each(|(logger, edit)| no_such_logger(logger, edit)).map(|()| None);
        }
        Ok(Some((named, ConfigAlteration::Edit(edits))))
    }
}

fn edit(config: &IncrementalAlterConfigsRequestConfig) -> Result<ConfigEdit, Refusal> {
    let value = || required(&config.name, config.value.as_ref());
    match config.config_operation {
        SET => value().map(ConfigEdit::Set),
        DELETE => Ok(ConfigEdit::Delete),
        APPEND => value().map(ConfigEdit::Append),
        SUBTRACT => value().map(ConfigEdit::Subtract),
        other => Err((ErrorCode::InvalidRequest, format!("there is no operation {other} on a config"))),
    }
}

/// The broker logs by modules, whose levels are chosen when it starts: there is no logger to turn up or down.
fn no_such_logger(logger: &str, edit: &ConfigEdit) -> Result<(), Refusal> {
    match edit {
        ConfigEdit::Append(_) | ConfigEdit::Subtract(_) => {
            Err((ErrorCode::InvalidRequest, "a logger's level is no list".to_owned()))
        }
        ConfigEdit::Delete if logger == "root" => {
            Err((ErrorCode::InvalidRequest, "the root logger must have a level".to_owned()))
        }
        ConfigEdit::Set(_) | ConfigEdit::Delete => {
            Err((ErrorCode::InvalidConfig, format!("there is no logger {logger:?}")))
        }
    }
}
