//! AlterConfigs: replaces all configs of topics and brokers (API key 33).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | the first                                                                | KIP-133  |
//! | 2       | flexible                                                                 | KIP-482  |
//!
//! Dangerous, and superseded by IncrementalAlterConfigs: a config that the request doesn't name goes back to its
//! default, so two programs that each set one of their own undo each other's.

api! {
    AlterConfigs { key: 33, versions: 0..=2, advertised: 0..=2, flexible: 2 }

    /// Resources with the configs that they are to have.
    request AlterConfigsRequest {
        [0..] resources: Vec<AlterConfigsRequestResource>,
        /// Only says what would happen.
        [0..] validate_only: bool,
    }

    /// A resource with all the configs that it is to have.
    part AlterConfigsRequestResource {
        /// As in DescribeConfigs.
        [0..] resource_type: i8,
        [0..] resource_name: Str,
        [0..] configs: Vec<AlterConfigsRequestConfig>,
    }

    /// A config.
    part AlterConfigsRequestConfig {
        [0..] name: Str,
        [0..] value: Option<Str>,
    }

    /// What became of them.
    response AlterConfigsResponse {
        [0..] throttle_time_ms: i32,
        [0..] responses: Vec<AlterConfigsResponseResource>,
    }

    /// What became of a resource.
    part AlterConfigsResponseResource {
        [0..] error_code: i16,
        [0..] error_message: Option<Str>,
        [0..] resource_type: i8,
        [0..] resource_name: Str,
    }
}
