//! Whole requests, built beforehand: a length, a header, a body.

use anyhow::Result;
use bytes::Bytes;
use ottla_protocol::api::Request;
use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::frame::encode_request;
use ottla_protocol::wire::{FramePiece, Str};

/// The highest versions in which Produce and Fetch name topics by their names.
pub(crate) const PRODUCE_VERSION_MAX: i16 = 12;
pub(crate) const FETCH_VERSION_MAX: i16 = 12;

/// How long a broker may take to answer a Produce request.
const PRODUCE_TIMEOUT_MS: i32 = 30_000;

/// A request, and what an answer to it amounts to.
#[derive(Debug, Clone)]
pub(crate) struct BuiltRequest {
    pub(crate) frame: Vec<u8>,
    /// Bytes of batches in it.
    pub(crate) batch_bytes: u64,
    /// Records in it, or in its answer.
    pub(crate) record_count: u64,
}

/// A Produce request with the same batch for each of `partitions`.
pub(crate) fn produce(
    version: i16,
    topic: &str,
    partitions: &[i32],
    acks: i16,
    batch: &Bytes,
) -> Result<Vec<u8>> {
    let partition_data = partitions
        .iter()
        .map(|index| ProduceRequestPartition { index: *index, records: Some(batch.clone()) })
        .collect();
    let topic =
        ProduceRequestTopic { name: Str::copy_of(topic), partition_data, ..ProduceRequestTopic::default() };
    let request = ProduceRequest {
        acks,
        timeout_ms: PRODUCE_TIMEOUT_MS,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    };
    frame(&request, version)
}

/// How much a Fetch request wants, and how long it waits for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchSize {
    pub(crate) bytes_max: i32,
    pub(crate) wait_ms: i32,
}

/// A Fetch request, outside of any session, for partitions of a topic, each from its offset.
pub(crate) fn fetch(version: i16, topic: &str, places: &[(i32, i64)], size: FetchSize) -> Result<Vec<u8>> {
    let partitions = places
        .iter()
        .map(|(partition, fetch_offset)| FetchRequestPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: size.bytes_max,
            ..FetchRequestPartition::default()
        })
        .collect();
    let topic = FetchRequestTopic { topic: Str::copy_of(topic), partitions, ..FetchRequestTopic::default() };
    let request = FetchRequest {
        max_wait_ms: size.wait_ms,
        min_bytes: 1,
        max_bytes: size.bytes_max,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    frame(&request, version)
}

/// The whole frame of any request.
pub(crate) fn frame<R: Request>(request: &R, version: i16) -> Result<Vec<u8>> {
    let mut frame = Vec::new();
    for piece in encode_request(request, version, 1, Some(Str::from_static("ottla-bench")))? {
        match piece {
            FramePiece::Bytes(bytes) => frame.extend_from_slice(&bytes),
            FramePiece::External { .. } => unreachable!("requests are made of bytes"),
        }
    }
    Ok(frame)
}
