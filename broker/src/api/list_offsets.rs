//! ListOffsets: where a partition begins and ends, and which record comes at or after a time.
//!
//! | timestamp | from version | answer                                                              |
//! |-----------|--------------|---------------------------------------------------------------------|
//! | −1        | 0            | the high watermark, or with isolation level 1 the last stable offset |
//! | −2        | 0            | the log start                                                       |
//! | −3        | 7            | the first record with the largest timestamp                         |
//! | −4        | 8            | the local log start: the same, without tiered storage               |
//! | −5        | 9            | −1: nothing is tiered                                               |
//! | −6        | 11           | −1: nothing is tiered                                               |
//! | 0 and up  | 0            | the first record not before that time, below the end                |
//!
//! Version 0 answers with a list of at most `max_num_offsets` offsets instead: segments' beginnings in Kafka's time,
//! here the one offset that the same question gets in version 1.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::api::list_offsets::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsResponse, ListOffsetsResponsePartition,
    ListOffsetsResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{LeaderEpoch, Offset};
use ottla_protocol::wire::Str;

use super::Handlers;
use super::fetch::epoch_error;
use crate::log::ends::UpperBound;
use crate::log::lookup::{self, FoundRecord, LookupError};
use crate::log::reader::ReadError;
use crate::replication::{Partition, PartitionState, storage_error};

/// What a request wants to know of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Latest,
    Earliest,
    MaxTimestamp,
    Tiered,
    At(i64),
}

/// An offset with what is told beside it.
struct Answer {
    offset: i64,
    timestamp: i64,
    leader_epoch: LeaderEpoch,
}

impl Handlers {
    pub(super) async fn list_offsets(
        &self,
        version: i16,
        request: ListOffsetsRequest,
    ) -> ListOffsetsResponse {
        let bound = match request.isolation_level {
            0 => Ok(UpperBound::HighWatermark),
            1 => Ok(UpperBound::LastStableOffset),
            _ => Err(ErrorCode::UnknownServerError),
        };
        let mut times = times_named(&request);
        let mut topics: Vec<ListOffsetsResponseTopic> = Vec::with_capacity(request.topics.len());
        let mut places: BTreeMap<Str, usize> = BTreeMap::new();
        for topic in request.topics {
            let entry = self.partitions.topic(&topic.name);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for row in topic.partitions {
                let index = row.partition_index;
                let named = times.get_mut(&(topic.name.clone(), index)).map_or(Named::Once, |named| {
                    let before = *named;
                    if before == Named::Again {
                        *named = Named::Refused;
                    }
                    before
                });
                if named == Named::Refused {
                    continue;
                }
                let partition = entry.as_ref().and_then(|entry| entry.partition(index));
                let answer = match (bound, partition) {
                    (Err(error), _) => Err(error),
                    _ if named == Named::Again => Err(ErrorCode::InvalidRequest),
                    (_, None) => Err(ErrorCode::UnknownTopicOrPartition),
                    (Ok(bound), Some(partition)) => self.answer(version, bound, partition, &row).await,
                };
                partitions.push(response_row(version, &row, answer));
            }
            // As in Kafka, a topic has one row, and none if nothing of it was asked.
            if partitions.is_empty() {
                continue;
            }
            let place = *places.entry(topic.name.clone()).or_insert(topics.len());
            match topics.get_mut(place) {
                Some(answered) => answered.partitions.append(&mut partitions),
                None => topics.push(ListOffsetsResponseTopic { name: topic.name, partitions }),
            }
        }
        ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
    }

    /// Up to where may be read; a log that rests may have to be opened to know.
    async fn end(&self, partition: &Arc<Partition>, bound: UpperBound) -> Result<Offset, ErrorCode> {
        match bound {
            UpperBound::HighWatermark | UpperBound::LogEnd => Ok(partition.high_watermark()),
            UpperBound::LastStableOffset => match partition.last_stable_offset() {
                Some(stable) => Ok(stable),
                None => Ok(self.shards.log_of(partition).await?.ends().last_stable_offset.offset),
            },
        }
    }

    async fn answer(
        &self,
        version: i16,
        bound: UpperBound,
        partition: &Arc<Partition>,
        row: &ListOffsetsRequestPartition,
    ) -> Result<Answer, ErrorCode> {
        let current = partition.leader_epoch();
        let known = LeaderEpoch(row.current_leader_epoch);
        if let Some(error) = epoch_error((known != LeaderEpoch::UNKNOWN).then_some(known), current) {
            return Err(error);
        }
        match partition.state() {
            PartitionState::Online => {}
            // Where it begins and ends is known once it is open.
            PartitionState::Offline => drop(self.shards.log_of(partition).await?),
            PartitionState::Deleted => return Err(ErrorCode::UnknownTopicOrPartition),
        }
        let offset = |offset: Offset| Ok(Answer { offset: offset.0, timestamp: -1, leader_epoch: current });
        match question(row.timestamp, version)? {
            Question::Latest => offset(self.end(partition, bound).await?),
            Question::Earliest if partition.log_start() == partition.high_watermark() => {
                offset(partition.log_start())
            }
            Question::Earliest => {
                let log = self.shards.log_of(partition).await?;
                let start = log.ends().log_start;
                let leader_epoch = log.epoch_for(start).unwrap_or(current);
                Ok(Answer { offset: start.0, timestamp: -1, leader_epoch })
            }
            Question::Tiered => Ok(Answer { offset: -1, timestamp: -1, leader_epoch: LeaderEpoch::UNKNOWN }),
            Question::MaxTimestamp => {
                let log = self.shards.log_of(partition).await?;
                self.told(partition, lookup::max_timestamp(&log, bound, self.budget()).await).await
            }
            Question::At(time) => {
                let log = self.shards.log_of(partition).await?;
                self.told(partition, lookup::offset_for_timestamp(&log, time, bound, self.budget()).await)
                    .await
            }
        }
    }

    fn budget(&self) -> usize {
        usize::try_from(self.config.limits.decompression_bytes_max).unwrap_or(usize::MAX)
    }

    async fn told(
        &self,
        partition: &Arc<Partition>,
        found: Result<Option<FoundRecord>, LookupError>,
    ) -> Result<Answer, ErrorCode> {
        match found {
            Ok(Some(FoundRecord { offset, timestamp, leader_epoch })) => {
                Ok(Answer { offset: offset.0, timestamp, leader_epoch })
            }
            Ok(None) => Ok(Answer { offset: -1, timestamp: -1, leader_epoch: LeaderEpoch::UNKNOWN }),
            Err(error) => {
                tracing::error!(?partition, "{error}");
                if let LookupError::Read(ReadError::Corrupt { place, is_new: true, .. }) = error {
                    self.shards.report_damage(partition, place).await;
                }
                Err(storage_error(partition))
            }
        }
    }
}

/// How often a request names a partition. One that it names again gets one row, INVALID_REQUEST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Once,
    Again,
    /// And its row is there already.
    Refused,
}

fn times_named(request: &ListOffsetsRequest) -> BTreeMap<(Str, i32), Named> {
    let mut times = BTreeMap::new();
    for topic in &request.topics {
        for row in &topic.partitions {
            times
                .entry((topic.name.clone(), row.partition_index))
                .and_modify(|named| *named = Named::Again)
                .or_insert(Named::Once);
        }
    }
    times
}

fn question(timestamp: i64, version: i16) -> Result<Question, ErrorCode> {
    let (question, since) = match timestamp {
        0.. => (Question::At(timestamp), 0),
        -1 => (Question::Latest, 0),
        -2 => (Question::Earliest, 0),
        -3 => (Question::MaxTimestamp, 7),
        -4 => (Question::Earliest, 8),
        -5 => (Question::Tiered, 9),
        -6 => (Question::Tiered, 11),
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    if since <= version { Ok(question) } else { Err(ErrorCode::UnsupportedVersion) }
}

fn response_row(
    version: i16,
    row: &ListOffsetsRequestPartition,
    answer: Result<Answer, ErrorCode>,
) -> ListOffsetsResponsePartition {
    let partition_index = row.partition_index;
    match answer {
        Ok(answer) => ListOffsetsResponsePartition {
            partition_index,
            old_style_offsets: if version == 0 && 0 <= answer.offset && 0 < row.max_num_offsets {
                vec![answer.offset]
            } else {
                Vec::new()
            },
            timestamp: answer.timestamp,
            offset: answer.offset,
            leader_epoch: answer.leader_epoch.0,
            ..ListOffsetsResponsePartition::default()
        },
        Err(error) => ListOffsetsResponsePartition {
            partition_index,
            error_code: error.code(),
            timestamp: -1,
            offset: -1,
            leader_epoch: -1,
            ..ListOffsetsResponsePartition::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_timestamps_are_known_from_their_version_on() {
        for (timestamp, version, expected) in [
            (0, 0, Ok(Question::At(0))),
            (-1, 0, Ok(Question::Latest)),
            (-2, 0, Ok(Question::Earliest)),
            (-3, 6, Err(ErrorCode::UnsupportedVersion)),
            (-3, 7, Ok(Question::MaxTimestamp)),
            (-4, 7, Err(ErrorCode::UnsupportedVersion)),
            (-4, 8, Ok(Question::Earliest)),
            (-5, 8, Err(ErrorCode::UnsupportedVersion)),
            (-5, 9, Ok(Question::Tiered)),
            (-6, 10, Err(ErrorCode::UnsupportedVersion)),
            (-6, 11, Ok(Question::Tiered)),
            (-7, 11, Err(ErrorCode::UnsupportedVersion)),
        ] {
            assert_eq!(question(timestamp, version), expected, "{timestamp} at {version}");
        }
    }
}
