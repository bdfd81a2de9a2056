//! Which version of each API to speak (KIP-35, KIP-511). Pure.
//!
//! The client asks with the highest ApiVersions that it knows. A broker that doesn't know that one answers
//! UNSUPPORTED_VERSION in version 0, whatever was asked for, with the range that it has or with nothing at all.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::api::api_versions::{self, ApiVersionsResponse};
use ottla_protocol::api::{Api, VersionRange, offset_commit, offset_fetch};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::frame;
use ottla_protocol::wire::{DecodeError, Reader};

/// The versions that a broker says it has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokerVersions(BTreeMap<i16, VersionRange>);

/// What an answer to ApiVersions comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Negotiated {
    /// The broker's versions.
    Versions(BrokerVersions),
    /// To be asked again, in this version.
    AskAgain(i16),
    /// Refused with this error code.
    Refused(i16),
}

impl BrokerVersions {
    /// The highest version of `api` that both sides have, if there is one.
    pub fn version_of(&self, api: &Api) -> Option<i16> {
        let (theirs, ours) = (self.0.get(&api.key)?, spoken(api));
        let version = ours.last.min(theirs.last);
        (ours.contains(version) && theirs.contains(version)).then_some(version)
    }

    fn of(answer: &ApiVersionsResponse) -> BrokerVersions {
        let range = |first, last| VersionRange { first, last };
        let keys = answer.api_keys.iter();
        BrokerVersions(keys.map(|key| (key.api_key, range(key.min_version, key.max_version))).collect())
    }
}

/// The versions that this client speaks: those that are declared, but for APIs that name topics by ids alone in their
/// newest, where their names are what is asked about.
fn spoken(api: &Api) -> VersionRange {
    let goes_by_names_up_to = match api.key {
        key if key == offset_commit::API.key || key == offset_fetch::API.key => 9,
        _ => i16::MAX,
    };
    VersionRange { first: api.served.first, last: api.served.last.min(goes_by_names_up_to) }
}

/// Reads the answer, all of a frame, to ApiVersions in version `asked`.
pub(crate) fn on_answer(frame: Bytes, asked: i16) -> Result<Negotiated, DecodeError> {
    // The header is the same in every version, and so is the error code that follows it.
    let mut ahead = Reader::new(frame.clone());
    frame::decode_response_header(&mut ahead, &api_versions::API, asked)?;
    let code = ahead.i16()?;
    let mut reader = Reader::new(frame);
    frame::decode_response_header(&mut reader, &api_versions::API, asked)?;
    if code == ErrorCode::UnsupportedVersion.code() && asked > 0 {
        let told = BrokerVersions::of(&ApiVersionsResponse::decode(&mut reader, 0)?);
        // Each question is lower than the one before, so that this ends.
        let lower = told.version_of(&api_versions::API).filter(|version| *version < asked);
        return Ok(Negotiated::AskAgain(lower.unwrap_or(0)));
    }
    if code != ErrorCode::None.code() {
        return Ok(Negotiated::Refused(code));
    }
    Ok(Negotiated::Versions(BrokerVersions::of(&ApiVersionsResponse::decode(&mut reader, asked)?)))
}

#[cfg(test)]
mod tests {
    use ottla_protocol::api::api_versions::ApiVersionsResponseKey;
    use ottla_protocol::api::metadata;

    use super::*;

    fn answer(version: i16, error: ErrorCode, rows: &[(i16, i16, i16)]) -> Bytes {
        let row = |&(api_key, min_version, max_version): &(i16, i16, i16)| ApiVersionsResponseKey {
            api_key,
            min_version,
            max_version,
        };
        let answer = ApiVersionsResponse {
            error_code: error.code(),
            api_keys: rows.iter().map(row).collect(),
            ..ApiVersionsResponse::default()
        };
        let mut writer = frame::begin_response(&api_versions::API, version, 1, 64);
        answer.encode(&mut writer, version);
        writer.into_body()
    }

    #[test]
    fn the_highest_version_that_both_have_is_spoken() {
        let check = |first, last, expected| {
            let versions =
                BrokerVersions(BTreeMap::from([(metadata::API.key, VersionRange { first, last })]));
            assert_eq!(versions.version_of(&metadata::API), expected, "{first}..={last}");
        };
        check(0, 13, Some(13));
        check(0, 99, Some(13));
        check(0, 5, Some(5));
        check(14, 20, None);
        check(-1, -1, None);
        check(5, 4, None);
        assert_eq!(BrokerVersions::default().version_of(&metadata::API), None);
    }

    #[test]
    fn committed_offsets_go_by_the_names_of_topics() {
        for api in [&offset_commit::API, &offset_fetch::API] {
            let versions = BrokerVersions(BTreeMap::from([(api.key, api.served)]));
            assert_eq!(versions.version_of(api), Some(9), "{}", api.name);
        }
    }

    #[test]
    fn an_older_broker_is_asked_again_in_a_version_that_it_has() {
        let check = |asked, rows: &[(i16, i16, i16)], expected| {
            let found = on_answer(answer(0, ErrorCode::UnsupportedVersion, rows), asked);
            assert_eq!(found, Ok(expected), "{asked} {rows:?}");
        };
        check(4, &[(18, 0, 2)], Negotiated::AskAgain(2));
        check(4, &[], Negotiated::AskAgain(0));
        check(4, &[(18, 0, 4)], Negotiated::AskAgain(0));
        check(0, &[], Negotiated::Refused(ErrorCode::UnsupportedVersion.code()));
    }

    #[test]
    fn each_version_of_the_answer_is_read() {
        for asked in api_versions::API.served.iter() {
            let found = on_answer(answer(asked, ErrorCode::None, &[(3, 1, 8)]), asked);
            let Ok(Negotiated::Versions(versions)) = found else { panic!("version {asked}: {found:?}") };
            assert_eq!(versions.version_of(&metadata::API), Some(8));
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_is_an_error() {
        let whole = answer(4, ErrorCode::None, &[(3, 0, 8)]);
        for length in 0..whole.len() {
            assert!(on_answer(whole.slice(..length), 4).is_err(), "{length} bytes");
        }
    }
}
