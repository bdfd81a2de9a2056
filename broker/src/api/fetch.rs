//! Fetch: reads what is there, waits for more if that is too little, answers with ranges of files.
//!
//! Limits are soft in KIP-74's way: the first batch of the first partition that has any comes whole, later partitions
//! get whole batches that fit. An error of a log's own (out of range, a wrong leader epoch, damage) ends the waiting at
//! once; a partition that nobody knows does not, as long as another one is there to wait for. Readers ask no shard: they
//! read the published log, and only a log at rest is opened by its shard first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::api::fetch::{
    FetchRequest, FetchResponse, FetchResponseAbortedTransaction, FetchResponseDivergingEpoch,
    FetchResponseLeader, FetchResponseNodeEndpoint, FetchResponsePartition, FetchResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::frame::RequestHeader;
use ottla_protocol::types::{BrokerId, LeaderEpoch, Offset};
use ottla_protocol::wire::{Reader, Records, Str};
use ottla_runtime::FileRange;

use super::{ConnectionContext, Handlers, Reply, decode, encode, encode_with_files};
use crate::log::ends::UpperBound;
use crate::log::reader::{self, ReadError, ReadRequest};
use crate::log::transaction_index::AbortedTransaction;
use crate::network::{AnsweredEnds, FetchPartition, SessionRequest, TopicRef};
use crate::replication::{Partition, PartitionState, Subscription, storage_error};

/// The first version that is told of a newer leader.
const LEADERS_SINCE: i16 = 16;

/// One partition of a fetch, while the fetch lasts.
struct Entry {
    asked: FetchPartition,
    partition: Result<Arc<Partition>, ErrorCode>,
    found: Found,
}

/// What a look at a partition found.
#[derive(Debug, Default)]
struct Found {
    error: Option<ErrorCode>,
    /// Whether it is no use to wait: an error of the log's own, or a divergence.
    is_urgent: bool,
    high_watermark: i64,
    last_stable_offset: i64,
    log_start: i64,
    diverging: Option<FetchResponseDivergingEpoch>,
    /// The leader epoch, where the client seems not to know it.
    newer_epoch: Option<LeaderEpoch>,
    records: Option<reader::Records>,
    /// The aborted transactions among them, for those who read committed ones.
    aborted: Vec<AbortedTransaction>,
}

impl Found {
    fn bytes(&self) -> u64 {
        self.records.as_ref().map_or(0, reader::Records::len)
    }
}

/// What holds for the whole request.
struct Limits {
    /// None if the request's is negative: then no record can be read.
    bytes_max: Option<u64>,
    bytes_min: u64,
    bound: UpperBound,
    /// Whether another broker asks, as a follower.
    is_from_replica: bool,
}

impl Handlers {
    pub(super) async fn fetch(
        &self,
        connection: &mut ConnectionContext,
        header: &RequestHeader,
        body: Reader,
    ) -> Reply {
        let request: FetchRequest = match decode(header, body) {
            Ok(request) => request,
            Err(reason) => return Reply::Close(reason),
        };
        if !matches!(request.isolation_level, 0 | 1) {
            return encode(header, &every_row_failed(&request, ErrorCode::UnknownServerError));
        }
        let limits = self.limits(&request);
        let deadline =
            self.clock.now().after(Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)));
        let fresh_id =
            i32::from_be_bytes(self.random_topic_id().0[..4].try_into().expect("four of sixteen bytes"));
        let session = session_request(header.api_version, request);
        let begun = self.fetch_sessions.lock().begin(self.clock.now(), fresh_id, session);
        let mut context = match begun {
            Ok(context) => context,
            Err(error) => {
                let response = FetchResponse { error_code: error.code(), ..FetchResponse::default() };
                return encode(header, &response);
            }
        };
        let mut entries = self.entries(std::mem::take(&mut context.partitions));
        self.look_and_wait(connection, &mut entries, &limits, deadline).await;

        self.count_records(&entries);
        let answered: Vec<AnsweredEnds> = entries.iter().map(Entry::answered).collect();
        context.partitions = entries.iter().map(|entry| entry.asked.clone()).collect();
        let included = self.fetch_sessions.lock().finish(&context, &answered);
        let mut files = Vec::new();
        let read_committed = limits.bound == UpperBound::LastStableOffset;
        let rows =
            entries.into_iter().zip(included).filter(|(_, included)| *included).map(|(entry, _)| entry);
        let mut response = FetchResponse {
            session_id: context.session_id,
            responses: grouped(rows, self.config.node.id, read_committed, &mut files),
            ..FetchResponse::default()
        };
        self.tell_leaders(connection, header.api_version, &mut response);
        encode_with_files(header, &response, &files)
    }

    /// How the records that were found will leave.
    fn count_records(&self, entries: &[Entry]) {
        let (mut sendfile, mut copied) = (0, 0);
        for records in entries.iter().filter_map(|entry| entry.found.records.as_ref()) {
            match records {
                reader::Records::Empty => {}
                reader::Records::Bytes(bytes) => copied += bytes.len() as u64,
                reader::Records::File(range) => sendfile += range.len,
            }
        }
        self.fetch_metrics.sendfile_bytes.increment(sendfile);
        self.fetch_metrics.copied_bytes.increment(copied);
    }

    /// Clients that are told of a newer leader in the answer need not ask Metadata first (KIP-951, from version 16).
    fn tell_leaders(&self, connection: &ConnectionContext, version: i16, response: &mut FetchResponse) {
        let mut rows = response.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
        let id = self.config.node.id.0;
        if version < LEADERS_SINCE {
            rows.for_each(|row| row.current_leader = FetchResponseLeader::default());
        } else if rows.any(|row| row.current_leader.leader_id == id) {
            let (host, port) = self.advertised(connection);
            let rack = self.config.node.rack.clone().map(Str::from);
            response.node_endpoints = vec![FetchResponseNodeEndpoint { node_id: id, host, port, rack }];
        }
    }

    fn limits(&self, request: &FetchRequest) -> Limits {
        let bytes_max =
            request.max_bytes.min(i32::try_from(self.config.limits.fetch_bytes_max).unwrap_or(i32::MAX));
        Limits {
            bytes_max: u64::try_from(bytes_max).ok(),
            bytes_min: u64::try_from(request.min_bytes.min(bytes_max)).unwrap_or(0),
            bound: if request.isolation_level == 1 {
                UpperBound::LastStableOffset
            } else {
                UpperBound::HighWatermark
            },
            is_from_replica: 0 <= request.replica_id.max(request.replica_state.replica_id),
        }
    }

    fn entries(&self, partitions: Vec<FetchPartition>) -> Vec<Entry> {
        let mut last: Option<(TopicRef, Option<Arc<crate::replication::TopicEntry>>)> = None;
        partitions
            .into_iter()
            .map(|asked| {
                if last.as_ref().is_none_or(|(topic, _)| *topic != asked.topic) {
                    let topic = match &asked.topic {
                        TopicRef::Name(name) => self.partitions.topic(name),
                        TopicRef::Id(id) => self.partitions.topic_by_id(*id),
                    };
                    last = Some((asked.topic.clone(), topic));
                }
                let topic = last.as_ref().and_then(|(_, topic)| topic.as_ref());
                let partition = match (topic, &asked.topic) {
                    (Some(topic), _) => {
                        topic.partition(asked.index).cloned().ok_or(ErrorCode::UnknownTopicOrPartition)
                    }
                    (None, TopicRef::Id(_)) => Err(ErrorCode::UnknownTopicId),
                    (None, TopicRef::Name(_)) => Err(ErrorCode::UnknownTopicOrPartition),
                };
                Entry { asked, partition, found: Found::default() }
            })
            .collect()
    }

    async fn look_and_wait(
        &self,
        connection: &mut ConnectionContext,
        entries: &mut [Entry],
        limits: &Limits,
        deadline: ottla_runtime::MonotonicTime,
    ) {
        let watched: Vec<(usize, Arc<Partition>)> = entries
            .iter()
            .enumerate()
            .filter_map(|(place, entry)| Some((place, Arc::clone(entry.partition.as_ref().ok()?))))
            .collect();
        // The last fetch's subscription serves again if it watches the same; it must be clean before the look.
        let is_kept = connection
            .subscription
            .as_ref()
            .is_some_and(|subscription| subscription.watches(watched.iter().map(|(_, partition)| partition)));
        if let Some(subscription) = connection.subscription.as_ref().filter(|_| is_kept) {
            subscription.clear();
        }
        let all: Vec<usize> = (0..entries.len()).collect();
        self.look(entries, &all, limits).await;
        if is_settled(entries, limits) || deadline <= self.clock.now() {
            return;
        }
        if !is_kept {
            let partitions = watched.iter().map(|(_, partition)| Arc::clone(partition)).collect();
            // Register, then look again: what came in between would not be reported.
            connection.subscription = Some(Subscription::new(partitions));
            let places: Vec<usize> = watched.iter().map(|(place, _)| *place).collect();
            self.look(entries, &places, limits).await;
        }
        let Some(subscription) = &connection.subscription else { return };
        let _waiting = self.fetch_metrics.begin_waiting();
        while !is_settled(entries, limits) {
            tokio::select! {
                biased;
                changed = subscription.changed() => {
                    let places: Vec<usize> = changed
                        .into_iter()
                        .filter_map(|place| Some(watched.get(place as usize)?.0))
                        .collect();
                    self.look(entries, &places, limits).await;
                }
                () = connection.stop.cancelled() => return,
                () = self.clock.sleep_until(deadline) => return,
            }
        }
    }

    /// Looks at the partitions in `places`, in order, within what the others leave of the limit.
    async fn look(&self, entries: &mut [Entry], places: &[usize], limits: &Limits) {
        for place in places {
            if let Some(entry) = entries.get_mut(*place) {
                entry.found = Found::default();
            }
        }
        let mut total: u64 = entries.iter().map(|entry| entry.found.bytes()).sum();
        for place in places {
            let Some(entry) = entries.get_mut(*place) else { continue };
            entry.found = self.look_at(entry, limits, total).await;
            total += entry.found.bytes();
        }
    }

    async fn look_at(&self, entry: &Entry, limits: &Limits, total: u64) -> Found {
        let partition = match &entry.partition {
            Ok(partition) => partition,
            Err(error) => return failed(*error, false),
        };
        let state = partition.state();
        if state == PartitionState::Deleted {
            return failed(ErrorCode::UnknownTopicOrPartition, true);
        }
        let leader_epoch = partition.leader_epoch();
        // Any negative epoch stands for none here, where ListOffsets takes only -1 for that; as in Kafka.
        let known = entry.asked.current_leader_epoch;
        let known = (0 <= known).then_some(LeaderEpoch(known));
        if let Some(error) = epoch_error(known, leader_epoch) {
            let newer = (error == ErrorCode::FencedLeaderEpoch).then_some(leader_epoch);
            return Found { newer_epoch: newer, ..failed(error, true) };
        }
        if limits.is_from_replica {
            // No broker with that id replicates anything from here.
            return Found { newer_epoch: Some(leader_epoch), ..failed(ErrorCode::NotLeaderOrFollower, true) };
        }
        let checks_epoch = 0 <= entry.asked.last_fetched_epoch;
        let high_watermark = partition.high_watermark();
        // One that is not known is told as that, to whoever reads all records. It may be newer than the high watermark.
        let stable = partition.last_stable_offset().map(|stable| stable.min(high_watermark));
        let end = match limits.bound {
            UpperBound::LastStableOffset => stable,
            UpperBound::HighWatermark | UpperBound::LogEnd => Some(high_watermark),
        };
        let is_at_end = state == PartitionState::Online && end == Some(Offset(entry.asked.fetch_offset));
        if is_at_end && !checks_epoch {
            // Nothing new: the usual answer, also for a log at rest.
            return Found {
                high_watermark: high_watermark.0,
                last_stable_offset: stable.unwrap_or(Offset::UNKNOWN).0,
                log_start: partition.log_start().0,
                ..Found::default()
            };
        }
        let log = match self.shards.log_of(partition).await {
            Ok(log) => log,
            Err(error) => return failed(error, true),
        };
        partition.note_read(self.clock.now());
        if checks_epoch && let Some(found) = diverging(&log, entry, partition.leader_epoch()) {
            return found;
        }
        let own_bytes_max = u64::try_from(entry.asked.max_bytes).ok();
        let bytes_max = own_bytes_max.zip(limits.bytes_max);
        let request = ReadRequest {
            from: Offset(entry.asked.fetch_offset),
            max_bytes: bytes_max.map_or(0, |(own, all)| own.min(all.saturating_sub(total))),
            at_least_one_batch: total == 0,
            bound: limits.bound,
        };
        match reader::read(&log, &request).await {
            // Only where there is something to read, as in Kafka.
            Ok(slice) if bytes_max.is_none() && !slice.records.is_empty() => {
                failed(ErrorCode::UnknownServerError, true)
            }
            Ok(slice) => {
                if let Some(place) = slice.damage {
                    self.shards.report_damage(partition, place).await;
                }
                Found {
                    high_watermark: slice.ends.high_watermark.offset.0,
                    last_stable_offset: slice.ends.last_stable_offset.offset.0,
                    log_start: slice.ends.log_start.0,
                    aborted: slice.aborted,
                    records: Some(slice.records),
                    ..Found::default()
                }
            }
            Err(ReadError::OutOfRange { .. }) => failed(ErrorCode::OffsetOutOfRange, true),
            Err(error) => {
                tracing::error!(partition = ?partition, "{error}");
                if let ReadError::Corrupt { place, is_new: true, .. } = error {
                    self.shards.report_damage(partition, place).await;
                }
                failed(storage_error(partition), true)
            }
        }
    }
}

fn session_request(version: i16, request: FetchRequest) -> SessionRequest {
    let uses_topic_ids = 13 <= version;
    // A session outlives the request, and a name that is a slice of the request would keep all of it in memory.
    let has_session = request.session_epoch != -1;
    let topic_ref = |name: &Str, id| match (uses_topic_ids, has_session) {
        (true, _) => TopicRef::Id(id),
        (false, true) => TopicRef::Name(name.detached()),
        (false, false) => TopicRef::Name(name.clone()),
    };
    let mut partitions = Vec::new();
    for topic in &request.topics {
        let topic_ref = topic_ref(&topic.topic, topic.topic_id);
        partitions.extend(topic.partitions.iter().map(|row| FetchPartition {
            topic: topic_ref.clone(),
            index: row.partition,
            fetch_offset: row.fetch_offset,
            current_leader_epoch: row.current_leader_epoch,
            last_fetched_epoch: row.last_fetched_epoch,
            max_bytes: row.partition_max_bytes,
        }));
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let topic_ref = topic_ref(&topic.topic, topic.topic_id);
        forgotten.extend(topic.partitions.iter().map(|index| (topic_ref.clone(), *index)));
    }
    SessionRequest {
        id: request.session_id,
        epoch: request.session_epoch,
        uses_topic_ids,
        partitions,
        forgotten,
    }
}

/// Whether the answer need not wait: it has enough, something is wrong, or there is nothing to wait for.
fn is_settled(entries: &[Entry], limits: &Limits) -> bool {
    let total: u64 = entries.iter().map(|entry| entry.found.bytes()).sum();
    limits.bytes_min <= total
        || entries.iter().any(|entry| entry.found.is_urgent)
        || entries.iter().all(|entry| entry.partition.is_err())
}

fn failed(error: ErrorCode, is_urgent: bool) -> Found {
    Found {
        error: Some(error),
        is_urgent,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start: -1,
        ..Found::default()
    }
}

/// What a client's leader epoch gets (KIP-320): −1, and whatever else is negative, is not checked.
pub(super) fn epoch_error(known_to_client: Option<LeaderEpoch>, ours: LeaderEpoch) -> Option<ErrorCode> {
    match known_to_client {
        Some(epoch) if epoch < ours => Some(ErrorCode::FencedLeaderEpoch),
        Some(epoch) if ours < epoch => Some(ErrorCode::UnknownLeaderEpoch),
        _ => None,
    }
}

/// Whether what the client has last read parts from this log (KIP-595): then it has to truncate.
fn diverging(log: &crate::log::view::PublishedLog, entry: &Entry, current: LeaderEpoch) -> Option<Found> {
    let ends = log.ends();
    let last_fetched = LeaderEpoch(entry.asked.last_fetched_epoch);
    let end = log.epochs().end_offset_for(last_fetched, current, ends.log_end.offset);
    if end.epoch == LeaderEpoch::UNKNOWN || current < last_fetched {
        return Some(failed(ErrorCode::OffsetOutOfRange, true));
    }
    if end.epoch == last_fetched && entry.asked.fetch_offset <= end.end.0 {
        return None;
    }
    Some(Found {
        is_urgent: true,
        high_watermark: ends.high_watermark.offset.0,
        last_stable_offset: ends.last_stable_offset.offset.0,
        log_start: ends.log_start.0,
        diverging: Some(FetchResponseDivergingEpoch { epoch: end.epoch.0, end_offset: end.end.0 }),
        ..Found::default()
    })
}

fn every_row_failed(request: &FetchRequest, error: ErrorCode) -> FetchResponse {
    let responses = request.topics.iter().map(|topic| FetchResponseTopic {
        topic: topic.topic.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|row| FetchResponsePartition {
                partition_index: row.partition,
                error_code: error.code(),
                high_watermark: -1,
                aborted_transactions: Some(Vec::new()),
                ..FetchResponsePartition::default()
            })
            .collect(),
    });
    FetchResponse { error_code: error.code(), responses: responses.collect(), ..FetchResponse::default() }
}

impl Entry {
    fn answered(&self) -> AnsweredEnds {
        AnsweredEnds {
            high_watermark: self.found.high_watermark,
            last_stable_offset: self.found.last_stable_offset,
            log_start_offset: self.found.log_start,
            is_news: self.found.error.is_some() || self.found.diverging.is_some() || 0 < self.found.bytes(),
        }
    }

    fn into_row(
        self,
        node: BrokerId,
        read_committed: bool,
        files: &mut Vec<Vec<FileRange>>,
    ) -> FetchResponsePartition {
        let is_unknown = self.partition.is_err();
        let aborted = self.found.aborted.iter().map(|aborted| FetchResponseAbortedTransaction {
            producer_id: aborted.producer_id.0,
            first_offset: aborted.first_offset.0,
        });
        let aborted = aborted.collect();
        let records = match self.found.records {
            None | Some(reader::Records::Empty) => Records::EMPTY,
            Some(reader::Records::Bytes(bytes)) => Records::Bytes(bytes),
            Some(reader::Records::File(range)) => {
                let id = u32::try_from(files.len()).expect("an answer has fewer pieces than that");
                let len =
                    u32::try_from(range.len).expect("a slice is bounded by fetch.max.bytes or one batch");
                files.push(vec![range]);
                Records::External { id, len }
            }
        };
        FetchResponsePartition {
            partition_index: self.asked.index,
            error_code: self.found.error.map_or(0, ErrorCode::code),
            high_watermark: self.found.high_watermark,
            last_stable_offset: self.found.last_stable_offset,
            log_start_offset: self.found.log_start,
            diverging_epoch: self.found.diverging.unwrap_or_default(),
            current_leader: self.found.newer_epoch.map_or_else(FetchResponseLeader::default, |epoch| {
                FetchResponseLeader { leader_id: node.0, leader_epoch: epoch.0 }
            }),
            aborted_transactions: (is_unknown || (read_committed && self.found.error.is_none()))
                .then_some(aborted),
            records,
            ..FetchResponsePartition::default()
        }
    }
}

/// The rows by topic, in the order in which the topics come up first.
fn grouped(
    entries: impl Iterator<Item = Entry>,
    node: BrokerId,
    read_committed: bool,
    files: &mut Vec<Vec<FileRange>>,
) -> Vec<FetchResponseTopic> {
    let mut topics: Vec<FetchResponseTopic> = Vec::new();
    let mut places: BTreeMap<TopicRef, usize> = BTreeMap::new();
    let mut last: Option<(TopicRef, usize)> = None;
    for entry in entries {
        let place = match &last {
            Some((topic, place)) if *topic == entry.asked.topic => *place,
            _ => *places.entry(entry.asked.topic.clone()).or_insert_with(|| {
                topics.push(match &entry.asked.topic {
                    TopicRef::Name(name) => {
                        FetchResponseTopic { topic: name.clone(), ..FetchResponseTopic::default() }
                    }
                    TopicRef::Id(id) => FetchResponseTopic { topic_id: *id, ..FetchResponseTopic::default() },
                });
                topics.len() - 1
            }),
        };
        last = Some((entry.asked.topic.clone(), place));
        topics[place].partitions.push(entry.into_row(node, read_committed, files));
    }
    topics
}
