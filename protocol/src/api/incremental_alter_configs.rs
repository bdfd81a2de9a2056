//! IncrementalAlterConfigs: sets and removes configs of topics, brokers, groups and client metrics (API key 44).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first                                                                | KIP-339  |
//! | 1       | flexible                                                                 | KIP-482  |
//!
//! Each resource changes as a whole or not at all. Configs that are not named stay as they are.

api! {
    IncrementalAlterConfigs { key: 44, versions: 0..=1, advertised: 0..=1, flexible: 1 }

    /// Changes, resource by resource.
    request IncrementalAlterConfigsRequest {
        [0..] resources: Vec<IncrementalAlterConfigsRequestResource>,
        /// Only says what would happen.
        [0..] validate_only: bool,
    }

    /// A resource's changes.
    part IncrementalAlterConfigsRequestResource {
        /// As in DescribeConfigs.
        [0..] resource_type: i8,
        [0..] resource_name: Str,
        [0..] configs: Vec<IncrementalAlterConfigsRequestConfig>,
    }

    /// A change.
    part IncrementalAlterConfigsRequestConfig {
        [0..] name: Str,
        /// 0 set, 1 delete, 2 append to a list, 3 take out of a list.
        [0..] config_operation: i8,
        /// Means nothing to a delete.
        [0..] value: Option<Str>,
    }

    /// What became of them.
    response IncrementalAlterConfigsResponse {
        [0..] throttle_time_ms: i32,
        [0..] responses: Vec<IncrementalAlterConfigsResponseResource>,
    }

    /// What became of a resource.
    part IncrementalAlterConfigsResponseResource {
        [0..] error_code: i16,
        [0..] error_message: Option<Str>,
        [0..] resource_type: i8,
        [0..] resource_name: Str,
    }
}
