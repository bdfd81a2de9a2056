//! Produce: batches are checked here, on the connection's side, and handed to the shards that own their partitions.
//!
//! The checks come in the order that Apache Kafka 4.3.1 was seen to have: transactional id (53 for every row), topic and
//! partition (3, 100), shape and magic of the record set (87, 2), acks (21), then the batch itself
//! (`log::batch_validation`), then the transaction coordinator's word for the first batch of a transaction
//! (`verification`), and last, in the shard, the producer's sequence. Once a batch is in its shard's inbox the
//! request only waits, so the next one of the same connection may follow. A partition named twice gets 42: Kafka
//! silently keeps the last batch and drops the others.

mod verification;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::ApiKey;
use ottla_protocol::api::produce::{
    ProduceRequest, ProduceResponse, ProduceResponsePartition, ProduceResponseRecordError,
    ProduceResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::frame::RequestHeader;
use ottla_protocol::record::BatchHeader;
use ottla_protocol::types::{Offset, TopicId};
use ottla_protocol::wire::{Reader, Str};
use ottla_runtime::Sleep;
use smallvec::SmallVec;

use super::{ConnectionContext, Handlers, Reply, decode, encode};
use crate::controller::topics::is_internal;
use crate::log::batch_validation::{self, ValidatedBatch, ValidationRules};
use crate::log::verification::Verification;
use crate::network::RequestBytes;
use crate::replication::{
    Acks, Append, Partition, PendingProduce, ProduceFailure, ProduceOutcome, ProduceOutcomes,
};

/// The shortest time that a request waits for the disk, whatever `timeout_ms` says: Kafka's time-out is about
/// replication and never strikes on one node, ours also covers the fsync, and clients may well send 0.
const TIMEOUT_MIN: Duration = Duration::from_secs(5);

/// A Produce request whose batches are in the shards' hands. Completes with its answer, once.
pub(crate) struct ProduceWait {
    pending: Arc<PendingProduce>,
    /// When it is answered in any case.
    deadline: Option<Sleep>,
    header: RequestHeader,
    acks: i16,
    topics: Vec<ProduceResponseTopic>,
    rows: Rows,
}

impl Future for ProduceWait {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        if self.pending.poll_answered(context).is_pending() {
            let Some(deadline) = &mut self.deadline else { return Poll::Pending };
            ready!(Pin::new(deadline).poll(context));
        }
        let (topics, rows) = (std::mem::take(&mut self.topics), std::mem::take(&mut self.rows));
        Poll::Ready(finish(&self.header, self.acks, topics, rows, self.pending.take()))
    }
}

/// In the order in which the request first named them. Most requests are for one partition.
type Rows = SmallVec<[Row; 1]>;

/// A partition's row of the answer, while it is being made.
struct Row {
    /// Which of the answer's topics.
    topic: usize,
    index: i32,
    state: RowState,
}

enum RowState {
    Answered(ProduceOutcome),
    /// Ready for its shard.
    Checked(Arc<Partition>, Box<ValidatedBatch>, Verification),
    /// In its shard, as this slot.
    Waiting(usize),
}

/// Where things stand in a list, by their keys. For one thing alone no map is made.
struct Places<K> {
    first: Option<(K, usize)>,
    others: BTreeMap<K, usize>,
}

impl<K> Default for Places<K> {
    fn default() -> Places<K> {
        Places { first: None, others: BTreeMap::new() }
    }
}

impl<K: Ord> Places<K> {
    /// The place of what has this key: that where it stands, or `next` if it is new.
    fn of(&mut self, key: K, next: usize) -> usize {
        match &self.first {
            None => self.first.insert((key, next)).1,
            Some((first, place)) if *first == key => *place,
            Some(_) => *self.others.entry(key).or_insert(next),
        }
    }
}

impl Handlers {
    /// Checks a Produce request and hands its batches over. The text of an error says why the connection is closed.
    pub(crate) async fn begin_produce(
        &self,
        _connection: &ConnectionContext,
        header: RequestHeader,
        body: Reader,
        permit: RequestBytes,
    ) -> Result<ProduceWait, String> {
        header.api().map_err(|error| error.to_string())?;
        let request: ProduceRequest = decode(&header, body)?;
        let (acks, timeout_ms) = (request.acks, request.timeout_ms);
        let transactional_id = request.transactional_id.clone();
        let (topics, mut rows) = self.check(&header, request);
        if let Some(id) = transactional_id {
            self.verify(header.api_version, &id, &mut rows).await;
        }
        let waiting = rows.iter().filter(|row| matches!(row.state, RowState::Checked(..))).count();
        let (pending, mut slots) = PendingProduce::new(waiting, permit);
        let level = if acks == -1 { Acks::All } else { Acks::Leader };
        let mut next_slot = 0;
        for row in &mut rows {
            let state = std::mem::replace(&mut row.state, RowState::Waiting(next_slot));
            let RowState::Checked(partition, batch, verification) = state else {
                row.state = state;
                continue;
            };
            next_slot += 1;
            let slot = slots.next().expect("one slot for each batch");
            // An inbox that is full holds this connection up, and its client in TCP.
            self.shards.append(Append { partition, batch, acks: level, verification, slot }).await;
        }
        drop(slots);
        let deadline = (acks == -1).then(|| {
            let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)).max(TIMEOUT_MIN);
            self.clock.sleep(timeout)
        });
        Ok(ProduceWait { pending, deadline, header, acks, topics, rows })
    }

    /// One row for each partition, in the order in which they were first named.
    fn check(&self, header: &RequestHeader, request: ProduceRequest) -> (Vec<ProduceResponseTopic>, Rows) {
        let uses_ids = 13 <= header.api_version;
        let is_authorized = request.transactional_id.is_some() || !has_transactional_batch(&request);
        let refusal = (!is_authorized).then_some(ErrorCode::TransactionalIdAuthorizationFailed);
        let is_admin_client = header.client_id.as_deref() == Some("__admin_client");
        let wall_ms = self.clock.wall().0;
        let mut topics: Vec<ProduceResponseTopic> = Vec::with_capacity(request.topic_data.len());
        let mut topic_places: Places<(Str, TopicId)> = Places::default();
        let mut row_places: Places<(usize, i32)> = Places::default();
        let mut rows = Rows::new();
        for topic in request.topic_data {
            let found = if uses_ids {
                self.partitions.topic_by_id(topic.topic_id)
            } else {
                self.partitions.topic(&topic.name)
            };
            let place = topic_places.of((topic.name.clone(), topic.topic_id), topics.len());
            if place == topics.len() {
                topics.push(ProduceResponseTopic {
                    name: topic.name,
                    topic_id: topic.topic_id,
                    partition_responses: Vec::new(),
                });
            }
            for data in topic.partition_data {
                let row = row_places.of((place, data.index), rows.len());
                if row < rows.len() {
                    rows[row].state = failed(ErrorCode::InvalidRequest);
                    continue;
                }
                let partition = match &found {
                    _ if refusal.is_some() => Err(ErrorCode::TransactionalIdAuthorizationFailed),
                    Some(topic) if is_internal(topic.name()) && !is_admin_client => {
                        Err(ErrorCode::InvalidTopicException)
                    }
                    Some(topic) => topic.partition(data.index).ok_or(ErrorCode::UnknownTopicOrPartition),
                    None if uses_ids => Err(ErrorCode::UnknownTopicId),
                    None => Err(ErrorCode::UnknownTopicOrPartition),
                };
                let state = match partition {
                    Err(code) => failed(code),
                    Ok(partition) => {
                        self.check_batch(header.api_version, request.acks, wall_ms, partition, data.records)
                    }
                };
                rows.push(Row { topic: place, index: data.index, state });
            }
        }
        (topics, rows)
    }

    fn check_batch(
        &self,
        version: i16,
        acks: i16,
        wall_ms: i64,
        partition: &Arc<Partition>,
        records: Option<Bytes>,
    ) -> RowState {
        let batch = match batch_validation::check_shape(records.as_ref(), version) {
            Ok(batch) => batch,
            Err(error) => return refused(error, partition),
        };
        if !matches!(acks, -1..=1) {
            return failed(ErrorCode::InvalidRequiredAcks);
        }
        let config = partition.topic.config.load();
        let rules = ValidationRules::of(&config, self.config.limits.decompression_bytes_max);
        match batch_validation::check_batch(batch, &rules, wall_ms) {
            Ok(batch) => RowState::Checked(Arc::clone(partition), Box::new(batch), Verification::Exempt),
            Err(error) => refused(error, partition),
        }
    }
}

/// Whether any batch claims to be part of a transaction: then the request has to say of which transactional id.
fn has_transactional_batch(request: &ProduceRequest) -> bool {
    request
        .topic_data
        .iter()
        .flat_map(|topic| &topic.partition_data)
        .any(|data| data.records.as_deref().is_some_and(claims_transaction))
}

/// Whether a record set's first batch has the transactional bit. What is no batch at all is refused elsewhere.
fn claims_transaction(records: &[u8]) -> bool {
    BatchHeader::parse(records, 0).is_ok_and(|header| header.attributes.is_transactional())
}

fn failed(code: ErrorCode) -> RowState {
    RowState::Answered(ProduceOutcome::Failed(ProduceFailure::code(code)))
}

fn refused(error: batch_validation::ProduceError, partition: &Partition) -> RowState {
    let log_start = if error.tells_log_start_offset { partition.log_start() } else { Offset::UNKNOWN };
    RowState::Answered(ProduceOutcome::Failed(ProduceFailure {
        code: error.code,
        message: error.message,
        record_errors: error.record_errors.into_iter().map(|row| (row.batch_index, row.message)).collect(),
        log_start,
    }))
}

fn finish(
    header: &RequestHeader,
    acks: i16,
    mut topics: Vec<ProduceResponseTopic>,
    rows: Rows,
    mut outcomes: ProduceOutcomes,
) -> Reply {
    let mut first_failure = None;
    for row in rows {
        let outcome = match row.state {
            RowState::Answered(outcome) => outcome,
            RowState::Waiting(slot) => outcomes.get_mut(slot).and_then(Option::take).unwrap_or_else(|| {
                // It is in the log, but not known to be safe: the client may send it again.
                ProduceOutcome::Failed(ProduceFailure::code(ErrorCode::RequestTimedOut))
            }),
            RowState::Checked(..) => unreachable!("every checked batch was handed over"),
        };
        if let ProduceOutcome::Failed(failure) = &outcome {
            first_failure.get_or_insert(failure.code);
        }
        topics[row.topic].partition_responses.push(response_row(row.index, header.api_version, outcome));
    }
    if acks == 0 {
        // The client hears nothing of a success, and of a failure only that its connection is gone.
        return match first_failure {
            None => Reply::Nothing,
            Some(code) => Reply::Close(format!("a Produce with acks=0 failed: {code}")),
        };
    }
    encode(header, &ProduceResponse { responses: topics, ..ProduceResponse::default() })
}

fn response_row(index: i32, version: i16, outcome: ProduceOutcome) -> ProduceResponsePartition {
    match outcome {
        ProduceOutcome::Appended { base_offset, log_append_time_ms, log_start } => ProduceResponsePartition {
            index,
            base_offset: base_offset.0,
            log_append_time_ms,
            log_start_offset: log_start.0,
            ..ProduceResponsePartition::default()
        },
        ProduceOutcome::Failed(failure) => ProduceResponsePartition {
            index,
            error_code: failure.code.code(),
            base_offset: -1,
            log_start_offset: failure.log_start.0,
            record_errors: failure
                .record_errors
                .into_iter()
                .map(|(batch_index, message)| ProduceResponseRecordError {
                    batch_index,
                    batch_index_error_message: message.map(Str::from),
                })
                .collect(),
            error_message: failure.message.filter(|_| 8 <= version).map(Str::from),
            ..ProduceResponsePartition::default()
        },
    }
}

const _: () = assert!(ApiKey::Produce.served().first == 3);
