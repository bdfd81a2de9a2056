//! ListConfigResources: the resources that have or may have configs (API key 74).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first, flexible: client metrics subscriptions only                   | KIP-1000 |
//! | 1       | every type of resource                                                   | KIP-1142 |

api! {
    ListConfigResources { key: 74, versions: 0..=1, advertised: 0..=1, flexible: 0 }

    /// What to list.
    request ListConfigResourcesRequest {
        /// As in DescribeConfigs; empty asks for all.
        [1..] resource_types: Vec<i8>,
    }

    /// The resources.
    response ListConfigResourcesResponse {
        [0..] throttle_time_ms: i32,
        [0..] error_code: i16,
        [0..] config_resources: Vec<ListConfigResourcesResponseResource>,
    }

    /// A resource.
    part ListConfigResourcesResponseResource {
        [0..] resource_name: Str,
        [1..] resource_type: i8 = 16,
    }
}
