//! Frames and headers: what closes a connection, what is answered, in which order.

use bytes::{BufMut as _, BytesMut};
use ottla_protocol::api::api_versions::ApiVersionsRequest;
use ottla_protocol::api::metadata::MetadataRequest;
use ottla_protocol::api::{ApiKey, Message as _};
use ottla_testkit::batches::counted;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, FETCH, fetch_partition, fetch_request, produce_request, values};
use crate::check::{Checks, kafka, ours};

/// A frame of this header and body, without its length.
fn raw(api_key: i16, api_version: i16, client_id: (i16, &[u8]), rest: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_i16(api_key);
    frame.put_i16(api_version);
    frame.put_i32(7);
    frame.put_i16(client_id.0);
    frame.put_slice(client_id.1);
    frame.put_slice(rest);
    frame.to_vec()
}

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;

#[test]
fn sizes_that_no_request_has_close_the_connection() {
    let bed = Bed::shared();
    for size in [0, -1, i32::MIN, i32::MAX, 104_857_601] {
        let mut client = bed.client();
        client.send_bytes(&size.to_be_bytes());
        client.expect_close(&format!("size {size}"));
    }
    // The largest is admitted: nothing comes back, but the connection takes its bytes.
    let mut client = bed.client();
    client.send_bytes(&104_857_600_i32.to_be_bytes());
    client.try_send_bytes(&[0; 1000]).expect("the connection is open");
    assert!(bed.client().is_served());
}

#[test]
fn what_does_not_decode_closes_the_connection() {
    let bed = Bed::shared();
    let whole = raw(METADATA, 1, (2, b"me"), &[0, 0, 0, 1, 0, 1, b't']);
    let cases: Vec<(String, Vec<u8>)> = (1..whole.len())
        .map(|length| (format!("Metadata cut after {length} bytes"), whole[..length].to_vec()))
        .chain([
            ("a billion topics".to_owned(), raw(METADATA, 1, (-1, b""), &1_000_000_000_i32.to_be_bytes())),
            ("null topics at version 0".to_owned(), raw(METADATA, 0, (-1, b""), &(-1_i32).to_be_bytes())),
            ("a client id past the end".to_owned(), raw(API_VERSIONS, 0, (100, b"abc"), &[])),
            ("a flexible header without its tags".to_owned(), raw(METADATA, 9, (2, b"me"), &[])),
            (
                "an absurd number of tags".to_owned(),
                raw(METADATA, 9, (2, b"me"), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            ),
            (
                "a compact array of 2^31".to_owned(),
                raw(METADATA, 9, (2, b"me"), &[0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            ),
            ("a varint of ten bytes".to_owned(), raw(METADATA, 9, (2, b"me"), &[0xff; 12])),
        ])
        .collect();
    for (case, frame) in cases {
        let mut client = bed.client();
        client.try_send_frame(&frame).expect("the connection is open");
        client.expect_close(&case);
    }
    assert!(bed.client().is_served());
}

#[test]
fn unknown_apis_and_versions_close_the_connection() {
    let bed = Bed::shared();
    // SaslHandshake and SaslAuthenticate (17, 36) are unknown here; Kafka answers 34 on a listener without SASL.
    let mut closed: Vec<(i16, i16)> =
        vec![(999, 0), (-1, 0), (4, 0), (52, 0), (58, 0), (62, 0), (ApiKey::InitProducerId.code(), 6)];
    closed.extend(ours(vec![(17, 1), (36, 2)], kafka(vec![])));
    for api in ApiKey::ALL {
        if *api == ApiKey::ApiVersions {
            continue;
        }
        let versions = api.served();
        closed.extend([
            (api.code(), versions.first - 1),
            (api.code(), versions.last + 1),
            (api.code(), i16::MAX),
        ]);
    }
    // Advertised for old clients' sake, served by nobody.
    closed.extend([(0, 0), (0, 1), (0, 2)]);
    for (key, version) in closed {
        let mut client = bed.client();
        client.send_raw(key, version, 1, &[0; 32]);
        client.expect_close(&format!("API {key} version {version}"));
    }
}

#[test]
fn a_client_id_may_be_anything() {
    let bed = Bed::shared();
    for (case, client_id) in [
        ("null", (-1_i16, &b""[..])),
        ("shorter than null", (-2, b"")),
        ("empty", (0, b"")),
        ("not UTF-8", (4, b"\xff\xfe\0\n")),
        ("with a line break", (3, b"a\nb")),
    ] {
        let mut client = bed.client();
        client.try_send_frame(&raw(API_VERSIONS, 0, client_id, &[])).expect("the connection is open");
        let answer = client.try_receive_frame().unwrap_or_else(|missing| panic!("{case}: {missing}"));
        assert_eq!(answer[..6], [0, 0, 0, 7, 0, 0], "{case}");
    }
}

#[test]
fn bytes_behind_a_body_and_unknown_tags_are_passed_over() {
    let bed = Bed::shared();
    let mut no_topics = vec![0, 0, 0, 0];
    no_topics.extend([1, 2, 3]);
    for (case, frame) in [
        ("ApiVersions 0 with three bytes more", raw(API_VERSIONS, 0, (-1, b""), &[1, 2, 3])),
        ("Metadata 1 with three bytes more", raw(METADATA, 1, (-1, b""), &no_topics)),
        // Header tag 9 of two bytes; no topics; two flags and a body tag 77 of one byte.
        (
            "Metadata 9 with tags that nobody knows",
            raw(METADATA, 9, (-1, b""), &[1, 9, 2, 0xaa, 0xbb, 1, 0, 0, 0, 1, 77, 1, 0xcc]),
        ),
    ] {
        let mut client = bed.client();
        client.try_send_frame(&frame).expect("the connection is open");
        let answer = client.try_receive_frame().unwrap_or_else(|missing| panic!("{case}: {missing}"));
        assert_eq!(answer[..4], [0, 0, 0, 7], "{case}");
        assert!(client.is_served(), "{case}");
    }
}

#[test]
fn a_request_may_arrive_a_byte_at_a_time_and_requests_all_at_once() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let frame = client.frame(0, &ApiVersionsRequest::default());
    let mut bytes = i32::try_from(frame.len()).expect("short").to_be_bytes().to_vec();
    bytes.extend_from_slice(&frame);
    for byte in &bytes {
        client.try_send_bytes(&[*byte]).expect("the connection is open");
    }
    client.receive::<ApiVersionsRequest>(0, 1);

    let mut together = Vec::new();
    for _ in 0..100 {
        let frame = client.frame(4, &MetadataRequest { topics: Some(vec![]), ..MetadataRequest::default() });
        together.extend(i32::try_from(frame.len()).expect("short").to_be_bytes());
        together.extend_from_slice(&frame);
    }
    client.try_send_bytes(&together).expect("the connection is open");
    for id in 2..102 {
        client.receive::<MetadataRequest>(4, id);
    }
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    // A Fetch that waits holds back what was asked after it, whatever that is.
    let waiting = client.send(FETCH, &FetchWaiting::request(&topic));
    let versions = client.send(0, &ApiVersionsRequest::default());
    let produced = client.send(9, &produce_request(-1, &topic, 1, counted(1).to_bytes()));
    let mut other = bed.client();
    crate::bed::append(&mut other, &topic, &counted(1));
    let fetched = client.receive::<ottla_protocol::api::fetch::FetchRequest>(FETCH, waiting);
    assert_eq!(crate::bed::rows(fetched)[0].high_watermark, 1);
    client.receive::<ApiVersionsRequest>(0, versions);
    let row = client.receive::<ottla_protocol::api::produce::ProduceRequest>(9, produced);
    assert_eq!(row.responses[0].partition_responses[0].error_code, 0);
}

struct FetchWaiting;

impl FetchWaiting {
    fn request(topic: &crate::bed::Topic) -> ottla_protocol::api::fetch::FetchRequest {
        let request = fetch_request(topic, vec![fetch_partition(0, 0)]);
        ottla_protocol::api::fetch::FetchRequest { max_wait_ms: 20_000, ..request }
    }
}

#[test]
fn produce_requests_of_one_connection_keep_their_order() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let ids: Vec<i32> = (0..50)
        .map(|number| {
            let batch = ottla_testkit::batches::batch([ottla_testkit::batches::record(format!("{number}"))]);
            client.send(9, &produce_request(-1, &topic, 0, batch.to_bytes()))
        })
        .collect();
    let mut checks = Checks::new();
    for (id, offset) in ids.into_iter().zip(0..) {
        let response = client.receive::<ottla_protocol::api::produce::ProduceRequest>(9, id);
        checks.same("base offset", response.responses[0].partition_responses[0].base_offset, offset);
    }
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(values(&mut client, &topic), expected);
}

#[test]
fn a_client_that_ends_its_sending_still_gets_its_answers() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let id = client.send(0, &ApiVersionsRequest::default());
    client.finish_sending();
    client.receive::<ApiVersionsRequest>(0, id);
    client.expect_close("the client said that it was done");
}

#[test]
fn clients_that_vanish_in_the_middle_of_a_request_harm_nobody() {
    let bed = Bed::shared();
    for length in [1, 3, 4, 5, 20] {
        let mut client = bed.client();
        let frame = [&1000_i32.to_be_bytes()[..], &[0; 100]].concat();
        client.try_send_bytes(&frame[..length]).expect("the connection is open");
        if length % 2 == 0 {
            client.reset();
        }
    }
    assert!(bed.client().is_served());
    assert!(WireClient::connect(bed.address()).is_served());
    assert_eq!(ApiVersionsRequest::API.key, API_VERSIONS);
}
