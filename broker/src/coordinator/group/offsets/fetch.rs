//! OffsetFetch: what a group has committed. Nothing committed is no error: −1, with no metadata.

use std::collections::BTreeSet;

use ottla_protocol::api::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponseTopics,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use super::super::core::GroupCore;
use super::super::group::{Group, GroupKind};
use super::state::{GroupOffsets, StoredOffset};

impl GroupCore {
    /// The group's offsets, or an error for the whole group. `require_stable` asks for an error where a transaction that
    /// hasn't ended may change them.
    pub(in super::super) fn fetch(
        &self,
        request: &OffsetFetchRequestGroup,
        require_stable: bool,
    ) -> OffsetFetchResponseGroup {
        let answer = OffsetFetchResponseGroup {
            group_id: request.group_id.clone(),
            ..OffsetFetchResponseGroup::default()
        };
        let nothing = GroupOffsets::default();
        let group = self.groups.get(&request.group_id);
        if let Some(Group { kind: GroupKind::Consumer(group), .. }) = group
            && let Err(error) = group.check_fetch(request.member_id.as_deref(), request.member_epoch)
        {
            return OffsetFetchResponseGroup { error_code: error.code(), ..answer };
        }
        let offsets = group.map_or(&nothing, |group| &group.offsets);
        let topics = match &request.topics {
            Some(topics) => topics.iter().map(|topic| asked(offsets, topic, require_stable)).collect(),
            None => all(offsets, require_stable),
        };
        OffsetFetchResponseGroup { topics, ..answer }
    }
}

fn asked(
    offsets: &GroupOffsets,
    topic: &OffsetFetchRequestTopics,
    require_stable: bool,
) -> OffsetFetchResponseTopics {
    let row = |partition: &i32| {
        if require_stable && offsets.is_pending(&topic.name, *partition) {
            return unstable(*partition);
        }
        let stored = offsets.committed().get(&topic.name, *partition);
        // A topic of the same name that is gone is none of theirs.
        let stored = stored.filter(|stored| is_same(topic.topic_id, stored.committed.topic_id));
        shown(*partition, stored)
    };
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(row).collect(),
    }
}

/// What isn't known is no difference.
fn is_same(one: TopicId, other: TopicId) -> bool {
    !one.is_some() || !other.is_some() || one == other
}

/// Every partition that has an offset which counts, or had one that a transaction is about to change.
fn all(offsets: &GroupOffsets, require_stable: bool) -> Vec<OffsetFetchResponseTopics> {
    let unstable_places: BTreeSet<(&Str, i32)> = offsets
        .pending()
        .filter(|_| require_stable)
        .flat_map(|(_, pending)| pending.iter().map(|(topic, partition, _)| (topic, partition)))
        .collect();
    offsets
        .committed()
        .topics()
        .map(|(topic, partitions)| OffsetFetchResponseTopics {
            name: topic.clone(),
            topic_id: partitions.values().next_back().map_or(TopicId::ZERO, |last| last.committed.topic_id),
            partitions: partitions
                .iter()
                .map(|(partition, stored)| match unstable_places.contains(&(topic, *partition)) {
                    true => unstable(*partition),
                    false => shown(*partition, Some(stored)),
                })
                .collect(),
        })
        .collect()
}

fn unstable(partition_index: i32) -> OffsetFetchResponsePartition {
    let error_code = ErrorCode::UnstableOffsetCommit.code();
    OffsetFetchResponsePartition { error_code, ..shown(partition_index, None) }
}

fn shown(partition_index: i32, stored: Option<&StoredOffset>) -> OffsetFetchResponsePartition {
    let committed = stored.map(|stored| &stored.committed);
    OffsetFetchResponsePartition {
        partition_index,
        committed_offset: committed.map_or(-1, |committed| committed.offset),
        committed_leader_epoch: committed.map_or(-1, |committed| committed.leader_epoch),
        metadata: Some(match committed.map(|committed| &*committed.metadata) {
            None | Some("") => Str::EMPTY,
            Some(metadata) => Str::copy_of(metadata),
        }),
        error_code: 0,
    }
}
