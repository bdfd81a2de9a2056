//! DescribeCluster: the brokers, for administration (API key 60).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | flexible from the start                                                  | KIP-700  |
//! | 1       | endpoint type: brokers or controllers                                    | KIP-919  |
//! | 2       | brokers that are fenced                                                  | KIP-1073 |

api! {
    DescribeCluster { key: 60, versions: 0..=2, advertised: 0..=2, flexible: 0 }

    /// Asks for the brokers.
    request DescribeClusterRequest {
        [0..] include_cluster_authorized_operations: bool,
        /// 1: brokers; 2: controllers.
        [1..] endpoint_type: i8 = 1,
        [2..] include_fenced_brokers: bool,
    }

    /// The brokers.
    response DescribeClusterResponse {
        [0..] throttle_time_ms: i32,
        [0..] error_code: i16,
        [0..] error_message: Option<Str>,
        [1..] endpoint_type: i8 = 1,
        [0..] cluster_id: Str,
        [0..] controller_id: i32 = -1,
        [0..] brokers: Vec<DescribeClusterResponseBroker>,
        /// One bit per operation; `i32::MIN` where it was not asked for.
        [0..] cluster_authorized_operations: i32 = i32::MIN,
    }

    /// A broker.
    part DescribeClusterResponseBroker {
        [0..] broker_id: i32,
        [0..] host: Str,
        [0..] port: i32,
        [0..] rack: Option<Str>,
        [2..] is_fenced: bool,
    }
}
