//! DescribeCluster: the brokers, and endpoints that this listener does not have.

use ottla_protocol::api::describe_cluster::DescribeClusterRequest;

use crate::bed::{Bed, metadata};

#[test]
fn every_version_tells_of_the_broker() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let cluster_id = metadata(&mut client, &[]).cluster_id.expect("a cluster has an id");
    for version in 0..=2 {
        let response = client.request(version, &DescribeClusterRequest::default());
        assert_eq!((response.error_code, &response.cluster_id, response.controller_id), (0, &cluster_id, 1));
        assert_eq!(response.endpoint_type, 1);
        assert_eq!(response.cluster_authorized_operations, i32::MIN);
        let brokers: Vec<_> = response
            .brokers
            .iter()
            .map(|row| (row.broker_id, &*row.host, row.port, row.rack.is_some(), row.is_fenced))
            .collect();
        assert_eq!(brokers, [(1, "127.0.0.1", i32::from(bed.address().port()), false, false)]);
        let asked = DescribeClusterRequest {
            include_cluster_authorized_operations: true,
            include_fenced_brokers: version == 2,
            ..DescribeClusterRequest::default()
        };
        assert_eq!(client.request(version, &asked).cluster_authorized_operations, 8096);
    }
}

#[test]
fn endpoints_of_other_types_are_not_here() {
    let bed = Bed::shared();
    let mut client = bed.client();
    for version in [1, 2] {
        for (endpoint_type, code) in [(2, 114), (0, 115), (3, 115), (-1, 115), (i8::MAX, 115)] {
            let request = DescribeClusterRequest { endpoint_type, ..DescribeClusterRequest::default() };
            let response = client.request(version, &request);
            let told =
                (response.error_code, &*response.cluster_id, response.controller_id, response.brokers.len());
            assert_eq!(told, (code, "", -1, 0), "type {endpoint_type}, v{version}");
        }
    }
}
