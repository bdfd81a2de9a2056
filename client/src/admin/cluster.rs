//! The cluster itself.

use std::collections::BTreeMap;

use ottla_protocol::api::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use ottla_protocol::types::BrokerId;

use super::Admin;
use super::tries::outcome_of;
use crate::error::Error;
use crate::metadata::Broker;

/// What a cluster says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id.
    pub cluster_id: String,
    /// Whom to send what only a controller does.
    pub controller: Option<BrokerId>,
    /// The brokers that are alive.
    pub brokers: BTreeMap<BrokerId, Broker>,
}

impl Admin {
    /// Who the brokers are, as one of them says now.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        let read = |answer: DescribeClusterResponse| {
            outcome_of(answer.error_code, answer.error_message.as_deref(), || {
                ClusterDescription::from(&answer)
            })
        };
        self.ask(&DescribeClusterRequest::default(), read).await
    }
}

impl From<&DescribeClusterResponse> for ClusterDescription {
    fn from(told: &DescribeClusterResponse) -> ClusterDescription {
        let brokers = told.brokers.iter();
        let brokers = brokers.map(|it| Broker::of(it.broker_id, &it.host, it.port, it.rack.as_deref()));
        ClusterDescription {
            cluster_id: told.cluster_id.to_string(),
            controller: (told.controller_id >= 0).then_some(BrokerId(told.controller_id)),
            brokers: brokers.map(|broker| (broker.id, broker)).collect(),
        }
    }
}
