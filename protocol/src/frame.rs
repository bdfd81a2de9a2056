//! Requests and responses as they travel: a 32-bit length, a header, a body.
//!
//! The header's version follows from the API and its version, so it can be read for any version of a known API,
//! served or not. Splitting a connection's bytes into frames is left to whoever reads the connection.

use crate::api::api_versions::{self, ApiVersionsResponse, ApiVersionsResponseKey};
use crate::api::{Api, ApiKey, Request};
use crate::error_code::ErrorCode;
use crate::wire::{DecodeError, FramePiece, FrameTooLarge, FrameWriter, Reader, Str};

/// What precedes each request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which API: see [`ApiKey`].
    pub api_key: i16,
    /// Which version of it.
    pub api_version: i16,
    /// The client's number for the request, which the answer repeats.
    pub correlation_id: i32,
    /// What the client calls itself. Not trusted: bad UTF-8 in it has been replaced.
    pub client_id: Option<Str>,
}

impl RequestHeader {
    /// Reads the header and leaves `reader` at the body. The header of an unknown API is taken for version 1.
    ///
    /// A client id is never a reason to refuse a request: any negative length is null and bad UTF-8 is repaired.
    pub fn decode(reader: &mut Reader) -> Result<RequestHeader, DecodeError> {
        let header = RequestHeader {
            api_key: reader.i16()?,
            api_version: reader.i16()?,
            correlation_id: reader.i32()?,
            // Not compact in any version, so that a broker can read it without knowing the API.
            client_id: reader.nullable_string(false)?,
        };
        if ApiKey::from_code(header.api_key)
            .is_some_and(|key| key.api().request_header_version(header.api_version) == 2)
        {
            reader.skip_tagged_fields()?;
        }
        Ok(header)
    }

    /// Writes the header, in the version that the API's version asks for.
    pub fn encode(&self, writer: &mut FrameWriter) {
        writer.put_i16(self.api_key);
        writer.put_i16(self.api_version);
        writer.put_i32(self.correlation_id);
        writer.put_nullable_string(self.client_id.as_deref(), false);
        if ApiKey::from_code(self.api_key)
            .is_some_and(|key| key.api().request_header_version(self.api_version) == 2)
        {
            writer.put_unsigned_varint(0);
        }
    }

    /// The API to answer by, or why there is none.
    pub fn api(&self) -> Result<ApiKey, UnsupportedRequest> {
        let Some(key) = ApiKey::from_code(self.api_key) else {
            return Err(UnsupportedRequest::UnknownApi { api_key: self.api_key });
        };
        if key.served().contains(self.api_version) {
            return Ok(key);
        }
        if key == ApiKey::ApiVersions {
            return Err(UnsupportedRequest::ApiVersionsVersion { version: self.api_version });
        }
        Err(UnsupportedRequest::UnknownVersion { api: key, version: self.api_version })
    }
}

/// Why a request with a readable header isn't served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedRequest {
    /// The connection is closed without an answer, as Kafka closes it.
    #[error("no API has number {api_key}")]
    UnknownApi {
        /// The number that the request names.
        api_key: i16,
    },
    /// The connection is closed without an answer, as Kafka closes it.
    #[error("{} has no version {version} here", api.name())]
    UnknownVersion {
        /// The API.
        api: ApiKey,
        /// The version that the request names.
        version: i16,
    },
    /// The body isn't read. The answer is [`unsupported_api_versions_answer`] and the connection stays.
    #[error("ApiVersions has no version {version} here")]
    ApiVersionsVersion {
        /// The version that the request names.
        version: i16,
    },
}

/// Begins the frame of a response with its header. The body follows, then [`FrameWriter::finish`].
pub fn begin_response(api: &Api, version: i16, correlation_id: i32, capacity: usize) -> FrameWriter {
    let mut writer = FrameWriter::with_capacity(capacity);
    writer.put_i32(correlation_id);
    if api.response_header_version(version) == 1 {
        writer.put_unsigned_varint(0);
    }
    writer
}

/// Reads a response's header, leaves `reader` at the body, and gives the correlation id.
pub fn decode_response_header(reader: &mut Reader, api: &Api, version: i16) -> Result<i32, DecodeError> {
    let correlation_id = reader.i32()?;
    if api.response_header_version(version) == 1 {
        reader.skip_tagged_fields()?;
    }
    Ok(correlation_id)
}

/// The whole frame of a request.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<Str>,
) -> Result<Vec<FramePiece>, FrameTooLarge> {
    let mut writer = FrameWriter::new();
    let header = RequestHeader { api_key: R::API.key, api_version: version, correlation_id, client_id };
    header.encode(&mut writer);
    request.encode(&mut writer, version);
    writer.finish()
}

/// The answer to an ApiVersions request at a version that isn't served: in version 0, so that any client can read
/// it, with UNSUPPORTED_VERSION and the one row that tells which version to use.
pub fn unsupported_api_versions_answer(correlation_id: i32) -> Vec<FramePiece> {
    let api = &api_versions::API;
    let answer = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![ApiVersionsResponseKey {
            api_key: api.key,
            min_version: api.advertised.first,
            max_version: api.advertised.last,
        }],
        ..ApiVersionsResponse::default()
    };
    let mut writer = begin_response(api, 0, correlation_id, 16);
    answer.encode(&mut writer, 0);
    writer.finish().expect("sixteen bytes are not too many")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::api::metadata;

    fn decode(bytes: &'static [u8]) -> (Result<RequestHeader, DecodeError>, usize) {
        let mut reader = Reader::new(Bytes::from_static(bytes));
        let header = RequestHeader::decode(&mut reader);
        (header, reader.remaining())
    }

    fn header(api_key: i16, api_version: i16, client_id: Option<&'static str>) -> RequestHeader {
        let client_id = client_id.map(Str::from);
        RequestHeader { api_key, api_version, correlation_id: 7, client_id }
    }

    #[test]
    fn an_older_header_ends_with_the_client_id() {
        let (decoded, left) = decode(b"\0\x03\0\x01\0\0\0\x07\0\x02meBODY");
        assert_eq!(decoded, Ok(header(3, 1, Some("me"))));
        assert_eq!(left, 4);
    }

    #[test]
    fn a_flexible_header_ends_with_tagged_fields_which_are_skipped() {
        let (decoded, left) = decode(b"\0\x03\0\x09\0\0\0\x07\0\x02me\x01\x05\x03abcBODY");
        assert_eq!(decoded, Ok(header(3, 9, Some("me"))));
        assert_eq!(left, 4);
    }

    #[test]
    fn a_client_id_is_never_refused() {
        assert_eq!(decode(b"\0\x03\0\x01\0\0\0\x07\xff\xff").0, Ok(header(3, 1, None)));
        assert_eq!(decode(b"\0\x03\0\x01\0\0\0\x07\xff\xfe").0, Ok(header(3, 1, None)));
        assert_eq!(decode(b"\0\x03\0\x01\0\0\0\x07\0\x01\xff").0, Ok(header(3, 1, Some("\u{fffd}"))));
    }

    #[test]
    fn a_header_that_is_cut_short_is_an_error() {
        let whole = b"\0\x03\0\x09\0\0\0\x07\0\x02me\0";
        for length in 0..whole.len() {
            let mut reader = Reader::new(Bytes::from_static(&whole[..length]));
            assert!(RequestHeader::decode(&mut reader).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_header_reads_back_what_it_wrote() {
        for version in [0, 8, 9, 13] {
            let written = header(metadata::API.key, version, Some("client"));
            let mut writer = FrameWriter::new();
            written.encode(&mut writer);
            let mut reader = Reader::new(writer.into_body());
            assert_eq!(RequestHeader::decode(&mut reader), Ok(written));
            assert_eq!(reader.remaining(), 0);
        }
    }

    #[test]
    fn what_is_not_served_is_told_apart() {
        assert_eq!(header(3, 13, None).api(), Ok(ApiKey::Metadata));
        assert_eq!(header(4, 0, None).api(), Err(UnsupportedRequest::UnknownApi { api_key: 4 }));
        for version in [-1, 14] {
            let expected = UnsupportedRequest::UnknownVersion { api: ApiKey::Metadata, version };
            assert_eq!(header(3, version, None).api(), Err(expected));
            let expected = UnsupportedRequest::ApiVersionsVersion { version };
            assert_eq!(header(18, version, None).api(), Err(expected));
        }
        // Advertised, but not served.
        let expected = UnsupportedRequest::UnknownVersion { api: ApiKey::Produce, version: 2 };
        assert_eq!(header(0, 2, None).api(), Err(expected));
    }

    #[test]
    fn the_answer_to_an_unknown_api_versions_version_is_sixteen_bytes() {
        let expected = b"\0\0\0\x10\0\0\0\x07\0\x23\0\0\0\x01\0\x12\0\0\0\x04";
        assert_eq!(unsupported_api_versions_answer(7), [FramePiece::Bytes(Bytes::from_static(expected))]);
    }

    #[test]
    fn a_response_header_is_flexible_but_for_api_versions() {
        for (api, version, bytes) in
            [(&metadata::API, 8, 4), (&metadata::API, 9, 5), (&api_versions::API, 4, 4)]
        {
            let body = begin_response(api, version, -5, 0).into_body();
            assert_eq!(body.len(), bytes);
            let mut reader = Reader::new(body);
            assert_eq!(decode_response_header(&mut reader, api, version), Ok(-5));
            assert_eq!(reader.remaining(), 0);
        }
    }
}
