//! ApiVersions: which APIs, versions and features the broker has (API key 18). A client's first request.
//!
//! | version | adds                                                                     | source      |
//! |---------|--------------------------------------------------------------------------|-------------|
//! | 0       | the ranges of versions                                                   | KIP-35      |
//! | 1       | throttle time                                                            | KIP-124     |
//! | 3       | flexible; the client's software name and version; features (tagged)      | KIP-511/584 |
//! | 4       | supported features whose lowest version is 0, which 3 has to leave out   | KIP-584     |
//!
//! The response's header is version 0 at every version, and a request at a version that the broker doesn't know
//! gets a version 0 answer with UNSUPPORTED_VERSION and the row of ApiVersions itself:
//! [`crate::frame::unsupported_api_versions_answer`].

api! {
    ApiVersions { key: 18, versions: 0..=4, advertised: 0..=4, flexible: 3 }

    /// Asks for what the broker can do. Name and version become labels of metrics.
    request ApiVersionsRequest {
        [3..] client_software_name: Str,
        [3..] client_software_version: Str,
    }

    /// What the broker can do.
    response ApiVersionsResponse {
        [0..] error_code: i16,
        [0..] api_keys: Vec<ApiVersionsResponseKey>,
        [1..] throttle_time_ms: i32,
        [3.., tag 0] supported_features: Vec<ApiVersionsResponseSupportedFeature>,
        /// Rises with each change of the finalized features; −1 where there are none.
        [3.., tag 1] finalized_features_epoch: i64 = -1,
        [3.., tag 2] finalized_features: Vec<ApiVersionsResponseFinalizedFeature>,
        [3.., tag 3] zk_migration_ready: bool,
    }

    /// One API with the versions of it that the broker has, both ends included.
    part ApiVersionsResponseKey {
        [0..] api_key: i16,
        [0..] min_version: i16,
        [0..] max_version: i16,
    }

    /// A feature with the levels that the broker could run at, both ends included.
    part ApiVersionsResponseSupportedFeature {
        [3..] name: Str,
        [3..] min_version: i16,
        [3..] max_version: i16,
    }

    /// A feature with the levels that the whole cluster has agreed on, both ends included.
    part ApiVersionsResponseFinalizedFeature {
        [3..] name: Str,
        [3..] max_version_level: i16,
        [3..] min_version_level: i16,
    }
}
