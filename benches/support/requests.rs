//! Requests, built beforehand, and the little that has to be read from their answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use ottla_protocol::api::create_topics::{
    CreateTopicsRequest, CreateTopicsRequestConfig, CreateTopicsRequestTopic,
};
use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::api::produce::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponse,
};
use ottla_protocol::api::{Message, Request};
use ottla_protocol::frame::{decode_response_header, encode_request};
use ottla_protocol::record::{BatchBuilder, Compression, NewRecord};
use ottla_protocol::wire::{FramePiece, Reader, Str};

/// The versions that the bench speaks: the last with topic names.
pub(crate) const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;

/// A batch of records of `value_bytes` each, as many as fit into `batch_bytes`; the last is longer, so that the batch
/// has exactly that size.
pub(crate) fn batch(batch_bytes: usize, value_bytes: usize) -> Result<Bytes> {
    let build = |count: usize, last: usize| -> Result<Bytes> {
        let mut builder = BatchBuilder::new(Compression::NONE);
        for index in 0..count {
            let value: Vec<u8> = (0..if index + 1 == count { last } else { value_bytes })
                .map(|place| ((place * 31 + index * 7) % 251) as u8)
                .collect();
            builder.push(NewRecord {
                timestamp: 1_700_000_000_000,
                value: Some(&value),
                ..NewRecord::default()
            });
        }
        Ok(builder.build()?.to_bytes())
    };
    let mut count = (batch_bytes / value_bytes).max(1);
    while count > 1 && build(count, value_bytes)?.len() > batch_bytes {
        count -= 1;
    }
    let missing = batch_bytes.saturating_sub(build(count, value_bytes)?.len());
    let batch = build(count, value_bytes + missing)?;
    // The longer record may have needed a longer length too.
    let over = batch.len().saturating_sub(batch_bytes);
    if over == 0 { Ok(batch) } else { build(count, value_bytes + missing - over) }
}

/// How many records a batch has.
pub(crate) fn record_count(batch: &[u8]) -> Result<i64> {
    let count = batch.get(57..61).context("a whole header")?;
    Ok(i64::from(i32::from_be_bytes(count.try_into()?)))
}

/// The frame of a Produce request with one batch for each of `partitions`.
pub(crate) fn produce(topic: &str, partitions: &[i32], acks: i16, batch: &Bytes) -> Result<Vec<u8>> {
    let partition_data = partitions
        .iter()
        .map(|index| ProduceRequestPartition { index: *index, records: Some(batch.clone()) })
        .collect();
    let topic = ProduceRequestTopic {
        name: Str::from(topic.to_owned()),
        partition_data,
        ..ProduceRequestTopic::default()
    };
    let request =
        ProduceRequest { acks, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() };
    frame(&request, PRODUCE_VERSION)
}

/// The frame of a Fetch request for `partitions` of a topic, each from its offset.
pub(crate) fn fetch(topic: &str, partitions: &[(i32, i64)], bytes_max: i32) -> Result<Vec<u8>> {
    let partitions = partitions
        .iter()
        .map(|(partition, fetch_offset)| FetchRequestPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: bytes_max,
            ..FetchRequestPartition::default()
        })
        .collect();
    let topic =
        FetchRequestTopic { topic: Str::from(topic.to_owned()), partitions, ..FetchRequestTopic::default() };
    let request = FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: bytes_max,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    frame(&request, FETCH_VERSION)
}

fn frame<R: Request>(request: &R, version: i16) -> Result<Vec<u8>> {
    let mut frame = Vec::new();
    for piece in encode_request(request, version, 1, Some(Str::from("bench")))? {
        match piece {
            FramePiece::Bytes(bytes) => frame.extend_from_slice(&bytes),
            FramePiece::External { .. } => unreachable!("requests are made of bytes"),
        }
    }
    Ok(frame)
}

/// A connection that knows frames.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, answer: Vec::new() })
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(frame)?)
    }

    /// The next answer, without its size.
    pub(crate) fn receive(&mut self) -> Result<&[u8]> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        self.answer.resize(usize::try_from(i32::from_be_bytes(size))?, 0);
        self.stream.read_exact(&mut self.answer)?;
        Ok(&self.answer)
    }

    /// The next answer is a Produce answer; an error in it ends the bench.
    pub(crate) fn receive_produced(&mut self) -> Result<()> {
        let answer: ProduceResponse = decode::<ProduceRequest>(self.receive()?, PRODUCE_VERSION)?;
        for row in answer.responses.iter().flat_map(|topic| &topic.partition_responses) {
            ensure!(row.error_code == 0, "partition {} answered error {}", row.index, row.error_code);
        }
        Ok(())
    }

    /// Creates a topic with configs of its own.
    pub(crate) fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        let configs = configs
            .iter()
            .map(|(name, value)| CreateTopicsRequestConfig {
                name: Str::from((*name).to_owned()),
                value: Some(Str::from((*value).to_owned())),
            })
            .collect();
        let topic = CreateTopicsRequestTopic {
            name: Str::from(name.to_owned()),
            num_partitions: partitions,
            replication_factor: 1,
            configs,
            ..CreateTopicsRequestTopic::default()
        };
        self.send(&frame(
            &CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() },
            4,
        )?)?;
        let answer = decode::<CreateTopicsRequest>(self.receive()?, 4)?;
        ensure!(answer.topics.iter().all(|topic| topic.error_code == 0), "{answer:?}");
        Ok(())
    }
}

fn decode<R: Request>(answer: &[u8], version: i16) -> Result<R::Response> {
    let mut reader = Reader::new(Bytes::copy_from_slice(answer));
    decode_response_header(&mut reader, R::Response::API, version)?;
    Ok(R::Response::decode(&mut reader, version)?)
}
