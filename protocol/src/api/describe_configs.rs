//! DescribeConfigs: the configs of topics, brokers and groups (API key 32).
//!
//! | version | adds                                                                     | source   |
//! |---------|--------------------------------------------------------------------------|----------|
//! | 0       | only whether a value is the default; Kafka 4 no longer serves it         | KIP-133  |
//! | 1       | where a value is from instead, and its synonyms                          | KIP-226  |
//! | 3       | type and documentation                                                   | KIP-569  |
//! | 4       | flexible                                                                 | KIP-482  |
//!
//! Sources: 1 topic, 2 this broker (dynamic), 3 all brokers (dynamic), 4 configuration file, 5 default, 8 group. Tools
//! take source 1 for an override that a user made, so a default must not have it.

api! {
    DescribeConfigs { key: 32, versions: 0..=4, advertised: 0..=4, flexible: 4 }

    /// Resources to describe.
    request DescribeConfigsRequest {
        [0..] resources: Vec<DescribeConfigsRequestResource>,
        [1..] include_synonyms: bool,
        [3..] include_documentation: bool,
    }

    /// A resource and the keys asked for.
    part DescribeConfigsRequestResource {
        /// 2 topic, 4 broker, 8 broker's loggers, 16 client metrics, 32 group.
        [0..] resource_type: i8,
        /// A broker's is its id, or empty for what all brokers share.
        [0..] resource_name: Str,
        /// Null asks for all.
        [0..] configuration_keys: Option<Vec<Str>>,
    }

    /// The configs.
    response DescribeConfigsResponse {
        [0..] throttle_time_ms: i32,
        [0..] results: Vec<DescribeConfigsResponseResult>,
    }

    /// A resource's configs.
    part DescribeConfigsResponseResult {
        [0..] error_code: i16,
        [0..] error_message: Option<Str>,
        [0..] resource_type: i8,
        [0..] resource_name: Str,
        [0..] configs: Vec<DescribeConfigsResponseConfig>,
    }

    /// A config.
    part DescribeConfigsResponseConfig {
        [0..] name: Str,
        /// Null where it is sensitive or unset.
        [0..] value: Option<Str>,
        [0..] read_only: bool,
        [0] is_default: bool,
        [1..] config_source: i8 = -1,
        [0..] is_sensitive: bool,
        /// By descending precedence.
        [1..] synonyms: Vec<DescribeConfigsResponseSynonym>,
        /// 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
        [3..] config_type: i8,
        [3..] documentation: Option<Str>,
    }

    /// Another key that would give, or gives, the config its value.
    part DescribeConfigsResponseSynonym {
        [1..] name: Str,
        [1..] value: Option<Str>,
        [1..] source: i8,
    }
}
