//! ApiVersions: what this broker answers, and nothing that it doesn't.
//!
//! No feature is listed before it works, so clients turn nothing on by it; tagged fields stay at their defaults and are
//! left out, because librdkafka 2.0.2 mis-skips them.

use ottla_protocol::api::ApiKey;
use ottla_protocol::api::api_versions::{ApiVersionsRequest, ApiVersionsResponse, ApiVersionsResponseKey};
use ottla_protocol::error_code::ErrorCode;

use super::unanswered::is_unanswered;

pub(super) fn answer(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    let names = [&request.client_software_name, &request.client_software_version];
    if 3 <= version && !names.iter().all(|name| is_software_name(name)) {
        return ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.code(),
            ..ApiVersionsResponse::default()
        };
    }
    let api_keys = ApiKey::ALL
        .iter()
        .filter(|key| !is_unanswered(**key))
        .map(|key| ApiVersionsResponseKey {
            api_key: key.code(),
            min_version: key.advertised().first,
            max_version: key.advertised().last,
        })
        .collect();
    ApiVersionsResponse { api_keys, ..ApiVersionsResponse::default() }
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
        answer(&request, version).error_code
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
        let rows = answer(&request, 3).api_keys;
        assert_eq!(rows[0], ApiVersionsResponseKey { api_key: 0, min_version: 0, max_version: 13 });
        assert!(rows.is_sorted_by_key(|row| row.api_key));
    }
}
