//! OffsetCommit: how far a group has come, kept by its coordinator.
//!
//! Topics and partitions that nobody knows are refused here, before the group is looked at (3; 100 for an id). All else the
//! group decides.

use ottla_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::PartitionIndex;

use super::Handlers;
use crate::controller::MetadataImage;
use crate::coordinator::group::{GroupAnswer, GroupRequest};

/// The first version in which topics go by their ids.
const IDS_SINCE: i16 = 10;

impl Handlers {
    pub(super) async fn offset_commit(
        &self,
        version: i16,
        mut request: OffsetCommitRequest,
    ) -> OffsetCommitResponse {
        let mut topics = resolve(&self.image(), version, &mut request.topics);
        if request.topics.iter().all(|topic| topic.partitions.is_empty()) {
            return OffsetCommitResponse { topics, ..OffsetCommitResponse::default() };
        }
        let group_id = request.group_id.clone();
        let asked = GroupRequest::OffsetCommit { version, request };
        match self.coordinators.groups().ask(&group_id, asked).await {
            Ok(GroupAnswer::OffsetCommit(answer)) => fill_in(&mut topics, answer.topics),
            Ok(other) => unreachable!("an OffsetCommit was answered with {other:?}"),
            Err(error) => refuse(&mut topics, error),
        }
        OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }
    }
}

/// A row that the group has yet to answer.
const OPEN: i16 = i16::MIN;

/// Leaves in the request what the group is to decide, by names and ids; the answer's rows, those refused with their codes.
fn resolve(
    image: &MetadataImage,
    version: i16,
    topics: &mut [OffsetCommitRequestTopic],
) -> Vec<OffsetCommitResponseTopic> {
    let row = |topic: &mut OffsetCommitRequestTopic| {
        let found = match IDS_SINCE <= version {
            true => image.topic_by_id(topic.topic_id),
            false => image.topic(&topic.name),
        };
        let unknown = match IDS_SINCE <= version {
            true => ErrorCode::UnknownTopicId,
            false => ErrorCode::UnknownTopicOrPartition,
        };
        let code_of = |index| match found {
            None => unknown.code(),
            Some(found) if found.partition(PartitionIndex(index)).is_some() => OPEN,
            Some(_) => ErrorCode::UnknownTopicOrPartition.code(),
        };
        let rows = topic.partitions.iter().map(|row| OffsetCommitResponsePartition {
            partition_index: row.partition_index,
            error_code: code_of(row.partition_index),
        });
        let answer = OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: rows.collect(),
        };
        topic.partitions.retain(|row| code_of(row.partition_index) == OPEN);
        if let Some(found) = found {
            topic.topic_id = found.id();
            if IDS_SINCE <= version {
                topic.name = ottla_protocol::wire::Str::copy_of(found.name());
            }
        }
        answer
    };
    topics.iter_mut().map(row).collect()
}

/// Puts the group's codes into the rows that wait for them. Both lists have the request's order.
fn fill_in(topics: &mut [OffsetCommitResponseTopic], answers: Vec<OffsetCommitResponseTopic>) {
    for (topic, answer) in topics.iter_mut().zip(answers) {
        let open = topic.partitions.iter_mut().filter(|row| row.error_code == OPEN);
        for (row, answered) in open.zip(answer.partitions) {
            row.error_code = answered.error_code;
        }
    }
}

fn refuse(topics: &mut [OffsetCommitResponseTopic], error: ErrorCode) {
    let rows = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    rows.filter(|row| row.error_code == OPEN).for_each(|row| row.error_code = error.code());
}
