//! The way to one broker: builds requests, sends them in order, and reads their answers in that order.
//!
//! Building includes compressing, so this is where the time goes; two tasks share the work, so that answers are read
//! while the next request is built.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::produce::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponse, ProduceResponsePartition,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{BrokerId, Offset, PartitionIndex, TopicId};
use ottla_protocol::wire::Str;
use tokio::sync::mpsc;

use super::accumulator::{Answer, BatchAnswer, OutgoingBatch, Payload, ProduceCall};
use super::config::Acks;
use super::sender::Shared;
use crate::error::RequestError;
use crate::network::Connection;
use crate::network::connection::Started;
use crate::network::pool::Target;

/// A request whose answer is waited for.
struct Pending {
    number: u64,
    batches: Vec<Built>,
    connection: Arc<Connection>,
    started: Started,
}

/// A batch of a request.
struct Built {
    topic: Arc<str>,
    topic_id: TopicId,
    index: PartitionIndex,
    /// Its bytes; without them the reason.
    bytes: Result<Bytes, String>,
}

/// Starts the tasks, which end when the sender is dropped and every request has its answer.
pub(super) fn start(shared: &Arc<Shared>, broker: BrokerId) -> mpsc::Sender<ProduceCall> {
    // No more requests than this are without an answer, so that neither channel ever is full.
    let in_flight = shared.cluster.config.max_in_flight_requests.max(1);
    let (calls, to_send) = mpsc::channel(in_flight);
    let (sent, to_read) = mpsc::channel(in_flight);
    let spawner = &shared.cluster.runtime.spawner;
    drop(spawner.spawn("client-producer-send", send(Arc::clone(shared), broker, to_send, sent)));
    drop(spawner.spawn("client-producer-read", read(Arc::clone(shared), to_read)));
    calls
}

async fn send(
    shared: Arc<Shared>,
    broker: BrokerId,
    mut calls: mpsc::Receiver<ProduceCall>,
    sent: mpsc::Sender<Pending>,
) {
    while let Some(ProduceCall { number, batches, .. }) = calls.recv().await {
        let connection = match shared.cluster.pool.connection_to(Target::Broker(broker)).await {
            Ok(connection) => connection,
            Err(error) => {
                let lost = |batch: OutgoingBatch| (BatchAnswer::Lost(error.clone()), Some(batch.payload));
                let batches = batches.into_iter().map(lost).collect();
                shared.on_answer(Answer { number, batches, throttle: Duration::ZERO });
                continue;
            }
        };
        let batches: Vec<Built> = batches.into_iter().map(Built::new).collect();
        let request = request_of(&shared, &batches);
        if shared.config.acks == Acks::None {
            let outcome = connection.send_unanswered(&request).await;
            shared.on_answer(unanswered(number, batches, outcome));
            continue;
        }
        match connection.start_call(&request).await {
            Ok(started) => {
                // The reader outlives this.
                let _read = sent.send(Pending { number, batches, connection, started }).await;
            }
            Err(error) => shared.on_answer(lost(number, batches, &error)),
        }
    }
}

async fn read(shared: Arc<Shared>, mut sent: mpsc::Receiver<Pending>) {
    while let Some(Pending { number, batches, connection, started }) = sent.recv().await {
        let answer = match connection.finish_call::<ProduceRequest>(started).await {
            Ok(response) => answered(number, batches, &response),
            Err(error) => lost(number, batches, &error),
        };
        shared.on_answer(answer);
    }
}

impl Built {
    fn new(batch: OutgoingBatch) -> Built {
        let OutgoingBatch { topic, topic_id, index, payload } = batch;
        let bytes = match payload {
            Payload::Built(bytes) => Ok(bytes),
            Payload::Filled(builder) => builder.build_bytes().map_err(|error| error.to_string()),
        };
        Built { topic, topic_id, index, bytes }
    }
}

fn request_of(shared: &Shared, batches: &[Built]) -> ProduceRequest {
    let mut topics: BTreeMap<&str, ProduceRequestTopic> = BTreeMap::new();
    for batch in batches {
        let Ok(bytes) = &batch.bytes else { continue };
        let topic = topics.entry(&batch.topic).or_insert_with(|| ProduceRequestTopic {
            name: Str::copy_of(&batch.topic),
            topic_id: batch.topic_id,
            partition_data: Vec::new(),
        });
        let records = Some(bytes.clone());
        topic.partition_data.push(ProduceRequestPartition { index: batch.index.0, records });
    }
    ProduceRequest {
        acks: shared.config.acks.code(),
        timeout_ms: i32::try_from(shared.cluster.config.request_timeout.as_millis()).unwrap_or(i32::MAX),
        topic_data: topics.into_values().collect(),
        ..ProduceRequest::default()
    }
}

/// Reads what the response says of each batch.
fn answered(number: u64, batches: Vec<Built>, response: &ProduceResponse) -> Answer {
    let mut told: BTreeMap<(&[u8], i32), &ProduceResponsePartition> = BTreeMap::new();
    for topic in &response.responses {
        // Versions with ids have no names.
        let name: &[u8] = if topic.topic_id.is_some() { &topic.topic_id.0 } else { topic.name.as_bytes() };
        told.extend(topic.partition_responses.iter().map(|partition| ((name, partition.index), partition)));
    }
    let of = |batch: &Built| {
        let by = |name| told.get(&(name, batch.index.0));
        by(&batch.topic_id.0).or_else(|| by(batch.topic.as_bytes())).map(|partition| told_of(partition))
    };
    let answer = |batch: Built| match of(&batch) {
        Some(told) => (told, batch.bytes.ok().map(Payload::Built)),
        None => unmentioned(batch, BatchAnswer::NotMentioned),
    };
    let throttle = Duration::from_millis(u64::try_from(response.throttle_time_ms).unwrap_or(0));
    Answer { number, batches: batches.into_iter().map(answer).collect(), throttle }
}

fn told_of(partition: &ProduceResponsePartition) -> BatchAnswer {
    let culprit = |error: &ottla_protocol::api::produce::ProduceResponseRecordError| {
        let message = error.batch_index_error_message.as_deref().map(str::to_owned);
        u32::try_from(error.batch_index).ok().map(|place| (place, message))
    };
    BatchAnswer::Told {
        code: partition.error_code,
        message: partition.error_message.as_deref().map(str::to_owned),
        base_offset: Offset(partition.base_offset),
        log_append_time: Some(partition.log_append_time_ms).filter(|time| *time >= 0),
        culprits: partition.record_errors.iter().filter_map(culprit).collect(),
    }
}

fn lost(number: u64, batches: Vec<Built>, error: &RequestError) -> Answer {
    let lost = |batch| unmentioned(batch, BatchAnswer::Lost(error.clone()));
    Answer { number, batches: batches.into_iter().map(lost).collect(), throttle: Duration::ZERO }
}

fn unanswered(number: u64, batches: Vec<Built>, outcome: Result<(), RequestError>) -> Answer {
    match outcome {
        Err(error) => lost(number, batches, &error),
        Ok(()) => {
            let written = BatchAnswer::Told {
                code: ErrorCode::None.code(),
                message: None,
                base_offset: Offset::UNKNOWN,
                log_append_time: None,
                culprits: Vec::new(),
            };
            let answer = |batch| unmentioned(batch, written.clone());
            Answer { number, batches: batches.into_iter().map(answer).collect(), throttle: Duration::ZERO }
        }
    }
}

/// What became of a batch about which the answer says nothing: `otherwise`, unless it was not even in the request.
fn unmentioned(batch: Built, otherwise: BatchAnswer) -> (BatchAnswer, Option<Payload>) {
    match batch.bytes {
        Ok(bytes) => (otherwise, Some(Payload::Built(bytes))),
        Err(reason) => (BatchAnswer::NotCompressed { reason }, None),
    }
}
