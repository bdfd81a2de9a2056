//! DescribeCluster: the brokers, without topics.

use ottla_protocol::api::describe_cluster::{
    DescribeClusterRequest, DescribeClusterResponse, DescribeClusterResponseBroker,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::{ConnectionContext, Handlers};

/// The endpoint types of KIP-919.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Every operation on the cluster that there is to authorize, as Kafka answers without an authorizer.
const CLUSTER_OPERATIONS: i32 = 8096;

impl Handlers {
    pub(super) fn describe_cluster(
        &self,
        connection: &ConnectionContext,
        request: &DescribeClusterRequest,
    ) -> DescribeClusterResponse {
        let refusal = match request.endpoint_type {
            BROKERS => None,
            CONTROLLERS => Some((ErrorCode::MismatchedEndpointType, "this listener is the brokers'")),
            _ => Some((ErrorCode::UnsupportedEndpointType, "there is no such type of endpoints")),
        };
        if let Some((error, message)) = refusal {
            return DescribeClusterResponse {
                error_code: error.code(),
                error_message: Some(Str::from(message)),
                cluster_id: Str::from(""),
                ..DescribeClusterResponse::default()
            };
        }
        let (host, port) = self.advertised(connection);
        let id = self.config.node.id.0;
        let rack = self.config.node.rack.clone().map(Str::from);
        DescribeClusterResponse {
            endpoint_type: BROKERS,
            cluster_id: Str::from(self.image().cluster_id().to_string()),
            controller_id: id,
            brokers: vec![DescribeClusterResponseBroker {
                broker_id: id,
                host,
                port,
                rack,
                ..DescribeClusterResponseBroker::default()
            }],
            cluster_authorized_operations: if request.include_cluster_authorized_operations {
                CLUSTER_OPERATIONS
            } else {
                i32::MIN
            },
            ..DescribeClusterResponse::default()
        }
    }
}
