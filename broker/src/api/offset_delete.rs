//! OffsetDelete: a group forgets offsets of topics that its members don't read.

use ottla_protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::PartitionIndex;

use super::Handlers;
use crate::coordinator::group::{GroupAnswer, GroupRequest};

impl Handlers {
    pub(super) async fn offset_delete(&self, mut request: OffsetDeleteRequest) -> OffsetDeleteResponse {
        let image = self.image();
        let is_known = |topic: &str, index| {
            image.topic(topic).is_some_and(|topic| topic.partition(PartitionIndex(index)).is_some())
        };
        let asked = request.topics.clone();
        for topic in &mut request.topics {
            let name = &topic.name;
            topic.partitions.retain(|row| is_known(name, row.partition_index));
        }
        let group_id = request.group_id.clone();
        let answer = self.coordinators.groups().ask(&group_id, GroupRequest::OffsetDelete { request }).await;
        let answered = match answer {
            Ok(GroupAnswer::OffsetDelete(answer)) if answer.error_code == 0 => answer.topics,
            Ok(GroupAnswer::OffsetDelete(refused)) => return refused,
            Ok(other) => unreachable!("an OffsetDelete was answered with {other:?}"),
            Err(error) => {
                return OffsetDeleteResponse { error_code: error.code(), ..OffsetDeleteResponse::default() };
            }
        };
        let topics = asked.into_iter().zip(answered).map(|(topic, answer)| {
            let mut codes = answer.partitions.into_iter().map(|row| row.error_code);
            let rows = topic.partitions.iter().map(|row| OffsetDeleteResponsePartition {
                partition_index: row.partition_index,
                error_code: match is_known(&topic.name, row.partition_index) {
                    true => codes.next().unwrap_or(0),
                    false => ErrorCode::UnknownTopicOrPartition.code(),
                },
            });
            let partitions = rows.collect();
            OffsetDeleteResponseTopic { name: topic.name, partitions }
        });
        OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() }
    }
}
