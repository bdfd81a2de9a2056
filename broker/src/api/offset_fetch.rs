//! OffsetFetch: what groups have committed, from their coordinators.
//!
//! Every partition that is asked for is answered; that nothing was committed, or that nobody knows group, topic or
//! partition, is no error. Only an id that names no topic is (100).

use futures_util::future::join_all;
use ottla_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;

use super::Handlers;
use crate::controller::MetadataImage;
use crate::coordinator::group::{GroupAnswer, GroupRequest};

/// The first version with an error for the whole answer.
const ERROR_SINCE: i16 = 2;
/// The first version that asks for several groups.
const GROUPS_SINCE: i16 = 8;
/// The first version in which topics go by their ids.
const IDS_SINCE: i16 = 10;

impl Handlers {
    pub(super) async fn offset_fetch(
        &self,
        version: i16,
        request: OffsetFetchRequest,
    ) -> OffsetFetchResponse {
        let require_stable = request.require_stable;
        if GROUPS_SINCE <= version {
            let groups = request.groups.into_iter();
            let asked = groups.map(|group| self.offsets_of(version, group, require_stable));
            return OffsetFetchResponse { groups: join_all(asked).await, ..OffsetFetchResponse::default() };
        }
        let topics = request.topics.map(|topics| {
            let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
                name: topic.name,
                partition_indexes: topic.partition_indexes,
                ..OffsetFetchRequestTopics::default()
            });
            topics.collect::<Vec<_>>()
        });
        let group = OffsetFetchRequestGroup {
            group_id: request.group_id,
            topics: topics.clone(),
            ..OffsetFetchRequestGroup::default()
        };
        let answer = self.offsets_of(version, group, require_stable).await;
        of_one(version, answer, topics.unwrap_or_default())
    }

    async fn offsets_of(
        &self,
        version: i16,
        mut group: OffsetFetchRequestGroup,
        require_stable: bool,
    ) -> OffsetFetchResponseGroup {
        let group_id = group.group_id.clone();
        let refused = match &mut group.topics {
            Some(topics) if IDS_SINCE <= version => take_unknown_ids(&self.image(), topics),
            _ => Vec::new(),
        };
        let names_all = group.topics.is_none();
        let request = GroupRequest::OffsetFetch { group, require_stable };
        match self.coordinators.groups().ask(&group_id, request).await {
            Ok(GroupAnswer::OffsetFetch(mut answer)) => {
                if names_all && IDS_SINCE <= version {
                    give_ids(&self.image(), &mut answer.topics);
                }
                if answer.error_code == 0 {
                    answer.topics.extend(refused);
                }
                answer
            }
            Ok(other) => unreachable!("an OffsetFetch was answered with {other:?}"),
            Err(error) => OffsetFetchResponseGroup {
                group_id,
                error_code: error.code(),
                ..OffsetFetchResponseGroup::default()
            },
        }
    }
}

/// Names the topics of a request that gives ids. Those that there are none of are taken out, and answered.
fn take_unknown_ids(
    image: &MetadataImage,
    topics: &mut Vec<OffsetFetchRequestTopics>,
) -> Vec<OffsetFetchResponseTopics> {
    let mut refused = Vec::new();
    topics.retain_mut(|topic| {
        if let Some(found) = image.topic_by_id(topic.topic_id) {
            topic.name = Str::copy_of(found.name());
            return true;
        }
        let rows =
            topic.partition_indexes.iter().map(|index| nothing(*index, ErrorCode::UnknownTopicId.code()));
        refused.push(OffsetFetchResponseTopics {
            topic_id: topic.topic_id,
            partitions: rows.collect(),
            ..OffsetFetchResponseTopics::default()
        });
        false
    });
    refused
}

/// Gives topics their ids, and leaves out those that are gone.
fn give_ids(image: &MetadataImage, topics: &mut Vec<OffsetFetchResponseTopics>) {
    topics.retain_mut(|topic| match image.topic(&topic.name) {
        None => false,
        Some(found) => {
            topic.topic_id = found.id();
            true
        }
    });
}

/// The answer of versions that ask for one group. Where there is no error for the whole, each row has it.
fn of_one(
    version: i16,
    answer: OffsetFetchResponseGroup,
    asked: Vec<OffsetFetchRequestTopics>,
) -> OffsetFetchResponse {
    let code = answer.error_code;
    let topics: Vec<OffsetFetchResponseTopic> = if answer.error_code != 0 && version < ERROR_SINCE {
        let refused = asked.into_iter().map(|topic| OffsetFetchResponseTopic {
            name: topic.name,
            partitions: topic.partition_indexes.iter().map(|index| nothing(*index, code)).collect(),
        });
        refused.collect()
    } else {
        let topics = answer.topics.into_iter();
        topics
            .map(|topic| OffsetFetchResponseTopic { name: topic.name, partitions: topic.partitions })
            .collect()
    };
    OffsetFetchResponse { topics, error_code: answer.error_code, ..OffsetFetchResponse::default() }
}

fn nothing(partition_index: i32, error_code: i16) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(Str::EMPTY),
        error_code,
    }
}
