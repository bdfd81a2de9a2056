//! ApiVersions: what this broker answers, and nothing that it doesn't.
//!
//! A feature is listed once it works, since clients turn things on by it: a Java producer uses version 2 of transactions
//! if it is finalized. The levels are those of Kafka 4.3, and every cluster has them from its beginning.

use ottla_protocol::api::ApiKey;
use ottla_protocol::api::api_versions::{
    ApiVersionsRequest, ApiVersionsResponse, ApiVersionsResponseFinalizedFeature, ApiVersionsResponseKey,
    ApiVersionsResponseSupportedFeature,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

/// The features, each with the level that is in effect; every level down to 0 is supported.
const FEATURES: [(&str, i16); 2] = [("group.version", 1), ("transaction.version", 2)];

/// The answer of a broker whose metadata has changed `metadata_index` times.
pub(super) fn answer(request: &ApiVersionsRequest, version: i16, metadata_index: u64) -> ApiVersionsResponse {
    let names = [&request.client_software_name, &request.client_software_version];
    if 3 <= version && !names.iter().all(|name| is_software_name(name)) {
        return ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.code(),
            ..ApiVersionsResponse::default()
        };
    }
    let api_keys = ApiKey::ALL
        .iter()
        .map(|key| ApiVersionsResponseKey {
            api_key: key.code(),
            min_version: key.advertised().first,
            max_version: key.advertised().last,
        })
        .collect();
    // Version 3 has no way to tell of a level 0.
    let supported_rows = if version < 4 { &[][..] } else { &FEATURES[..] };
    let supported = |(name, max_version): &(&'static str, i16)| ApiVersionsResponseSupportedFeature {
        name: Str::from_static(name),
        min_version: 0,
        max_version: *max_version,
    };
    let finalized = |(name, level): &(&'static str, i16)| ApiVersionsResponseFinalizedFeature {
        name: Str::from_static(name),
        max_version_level: *level,
        min_version_level: *level,
    };
    ApiVersionsResponse {
        api_keys,
        supported_features: supported_rows.iter().map(supported).collect(),
        finalized_features_epoch: i64::try_from(metadata_index).unwrap_or(i64::MAX),
        finalized_features: FEATURES.iter().map(finalized).collect(),
        ..ApiVersionsResponse::default()
    }
}

/// Letters and digits, with dots and dashes between them (KIP-511).
fn is_software_name(name: &str) -> bool {
    let ends_are_plain = [name.bytes().next(), name.bytes().last()]
        .into_iter()
        .all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()));
    ends_are_plain && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::wire::Str;

    fn error_of(name: &'static str, version: i16) -> i16 {
        let request = ApiVersionsRequest {
            client_software_name: Str::from(name),
            client_software_version: Str::from("1.0"),
        };
        answer(&request, version, 1).error_code
    }

    #[test]
    fn software_names_follow_kip_511() {
        for good in ["a", "librdkafka", "apache-kafka-java", "x.y-z9"] {
            assert_eq!(error_of(good, 3), 0, "{good}");
        }
        for bad in ["", "a b", "-a", "1-", "a_b", "!"] {
            assert_eq!(error_of(bad, 3), 42, "{bad}");
            assert_eq!(error_of(bad, 2), 0, "{bad}: version 2 has no name");
        }
    }

    #[test]
    fn produce_is_advertised_from_zero() {
        let request =
            ApiVersionsRequest { client_software_name: "a".into(), client_software_version: "1".into() };
        let rows = answer(&request, 3, 1).api_keys;
        assert_eq!(rows[0], ApiVersionsResponseKey { api_key: 0, min_version: 0, max_version: 13 });
        assert!(rows.is_sorted_by_key(|row| row.api_key));
    }
}
