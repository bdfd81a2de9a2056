//! OffsetFetch: that no group has committed anything.
//!
//! That is true as long as nothing can commit, and it has to be said: a librdkafka consumer with a group id asks for
//! its group's offsets before it reads a partition that it was assigned by hand, and ends with a segmentation fault
//! where the broker does not have this API.

use ottla_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::Handlers;

/// The first version in which topics go by their ids.
const IDS_SINCE: i16 = 10;

impl Handlers {
    pub(super) fn offset_fetch(&self, version: i16, request: OffsetFetchRequest) -> OffsetFetchResponse {
        let image = self.image();
        let check = |topic: &OffsetFetchRequestTopics| {
            if version < IDS_SINCE || image.topic_by_id(topic.topic_id).is_some() {
                ErrorCode::None
            } else {
                ErrorCode::UnknownTopicId
            }
        };
        let topics = request.topics.unwrap_or_default().into_iter().map(|topic| OffsetFetchResponseTopic {
            name: topic.name,
            partitions: rows(topic.partition_indexes, ErrorCode::None),
        });
        OffsetFetchResponse {
            topics: topics.collect(),
            groups: request.groups.into_iter().map(|group| nothing_committed(group, check)).collect(),
            ..OffsetFetchResponse::default()
        }
    }
}

fn nothing_committed(
    group: OffsetFetchRequestGroup,
    check: impl Fn(&OffsetFetchRequestTopics) -> ErrorCode,
) -> OffsetFetchResponseGroup {
    let topics = group.topics.unwrap_or_default().into_iter().map(|topic| {
        let error = check(&topic);
        OffsetFetchResponseTopics {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions: rows(topic.partition_indexes, error),
        }
    });
    OffsetFetchResponseGroup { group_id: group.group_id, topics: topics.collect(), error_code: 0 }
}

fn rows(partitions: Vec<i32>, error: ErrorCode) -> Vec<OffsetFetchResponsePartition> {
    let row = |partition_index| OffsetFetchResponsePartition {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(Str::from("")),
        error_code: error.code(),
    };
    partitions.into_iter().map(row).collect()
}
