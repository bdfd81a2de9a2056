//! DescribeCluster: the brokers, to clients and to others.

use ottla_protocol::api::describe_cluster::DescribeClusterRequest;

use crate::player::Player;

crate::scripts![the_cluster, endpoint_types];

fn the_cluster(play: &mut Player) {
    for operations in [false, true] {
        play.every(&format!("operations: {operations}"), |_| DescribeClusterRequest {
            include_cluster_authorized_operations: operations,
            ..DescribeClusterRequest::default()
        });
    }
    play.at([2], "fenced brokers too", |_| DescribeClusterRequest {
        include_fenced_brokers: true,
        ..DescribeClusterRequest::default()
    });
}

fn endpoint_types(play: &mut Player) {
    for endpoint_type in [0, 2, 3, -1, i8::MAX] {
        for operations in [false, true] {
            play.at(1..=2, &format!("{endpoint_type}, operations: {operations}"), |_| {
                DescribeClusterRequest {
                    endpoint_type,
                    include_cluster_authorized_operations: operations,
                    ..DescribeClusterRequest::default()
                }
            });
        }
    }
}
