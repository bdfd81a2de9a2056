//! ApiVersions: what is told, at which version, and to whom.

use ottla_protocol::api::ApiKey;
use ottla_protocol::api::api_versions::ApiVersionsRequest;
use ottla_protocol::wire::Str;

use crate::bed::{Bed, is_peer};
use crate::check::Checks;

fn named(name: &'static str, version: &'static str) -> ApiVersionsRequest {
    ApiVersionsRequest { client_software_name: Str::from(name), client_software_version: Str::from(version) }
}

#[test]
fn every_version_tells_the_same_apis() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    for version in 0..=4 {
        let response = client.request(version, &named("wire", "1.0"));
        checks.same(format!("v{version}"), response.error_code, 0);
        let told: Vec<(i16, i16, i16)> =
            response.api_keys.iter().map(|row| (row.api_key, row.min_version, row.max_version)).collect();
        let known: Vec<(i16, i16, i16)> = ApiKey::ALL
            .iter()
            .map(|api| (api.code(), api.advertised().first, api.advertised().last))
            .collect();
        if is_peer() {
            // Old versions that Kafka has dropped are ours alone.
            for (key, _, last) in known {
                let is_told = told.iter().any(|row| row.0 == key && row.2 == last);
                checks.holds(format!("v{version}: API {key} up to {last} is told"), is_told);
            }
        } else {
            checks.same(format!("v{version}"), told, known);
            // Older versions have no features, and version 3 can't tell of a level 0.
            let finalized = response.finalized_features.iter();
            let levels: Vec<_> = finalized.map(|row| (row.name.to_string(), row.max_version_level)).collect();
            let both = [("group.version".to_owned(), 1), ("transaction.version".to_owned(), 2)];
            checks.same(format!("v{version}"), levels, if version < 3 { vec![] } else { both.to_vec() });
            let supported = response.supported_features.len();
            checks.same(format!("v{version}"), supported, if version < 4 { 0 } else { both.len() });
        }
    }
}

#[test]
fn an_unknown_version_gets_the_versions_there_are() {
    let bed = Bed::shared();
    for version in [5, 6, 100, i16::MAX, -1, i16::MIN] {
        let mut client = bed.client();
        // Below version 3 a header has no tags.
        let id = client.send_raw(18, version, if version < 3 { 1 } else { 2 }, b"not a body");
        let answer = client.try_receive_frame().unwrap_or_else(|missing| panic!("v{version}: {missing}"));
        // 35, and one row: ApiVersions itself, 0 to 4.
        let expected = [&id.to_be_bytes()[..], &[0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]].concat();
        assert_eq!(answer, expected, "v{version}");
        assert!(client.is_served(), "v{version}: the connection stays");
    }
    // The header is read first.
    let mut client = bed.client();
    client.send_raw(18, 5, 1, &[]);
    client.expect_close("a header without its tags");
}

#[test]
fn names_of_client_software_follow_the_rule() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut checks = Checks::new();
    for version in [3, 4] {
        for bad in ["", "a b", "-a", "1-", "a_b", "!", "ä", "a\nb"] {
            for request in [named(bad, "1"), named("a", bad)] {
                let response = client.request(version, &request);
                checks.same(format!("v{version} {request:?}"), response.error_code, 42);
                checks.holds(format!("v{version} {request:?}: no rows"), response.api_keys.is_empty());
            }
        }
        for good in ["a", "1", "apache-kafka-java", "3.9.0", "a.b-c", "librdkafka"] {
            let response = client.request(version, &named(good, good));
            checks.same(format!("v{version} {good}"), response.error_code, 0);
        }
    }
}
