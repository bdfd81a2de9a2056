//! The offsets that a group has committed: tell, commit and delete them, as an administrator who is no member.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use ottla_protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic, OffsetDeleteResponse,
};
use ottla_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponsePartition,
};
use ottla_protocol::error_code::{ErrorCode, RetryClass};
use ottla_protocol::types::{LeaderEpoch, Offset, PartitionIndex};
use ottla_protocol::wire::Str;

use super::Admin;
use super::coordinators::Coordinated;
use super::leaders::Partition;
use super::tries::{Outcomes, outcome_of};
use crate::error::{BrokerError, Error};

/// How far a group has come in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next one that it will read.
    pub offset: Offset,
    /// The leader epoch of the record before, if it was told.
    pub leader_epoch: Option<LeaderEpoch>,
    /// What the client added.
    pub metadata: String,
}

impl CommittedOffset {
    /// An offset alone.
    pub fn at(offset: Offset) -> CommittedOffset {
        CommittedOffset { offset, leader_epoch: None, metadata: String::new() }
    }
}

impl Admin {
    /// What a group has committed: for these partitions, or with `None` for all that there are. A partition that nothing
    /// was committed for is left out, and so is everything of a group that isn't there. With `require_stable` offsets of
    /// a transaction that has not ended are waited for.
    pub async fn committed_offsets(
        &self,
        group: &str,
        partitions: Option<&[(&str, PartitionIndex)]>,
        require_stable: bool,
    ) -> Result<Outcomes<(String, PartitionIndex), CommittedOffset>, Error> {
        let by_topic = partitions.map(|partitions| {
            let mut by_topic: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
            for (topic, index) in partitions {
                by_topic.entry(topic).or_default().insert(index.0);
            }
            by_topic
        });
        let rows = || {
            by_topic
                .iter()
                .flatten()
                .map(|(name, indexes)| (Str::copy_of(name), indexes.iter().copied().collect::<Vec<i32>>()))
        };
        let request = || OffsetFetchRequest {
            group_id: Str::copy_of(group),
            topics: by_topic.is_some().then(|| {
                rows()
                    .map(|(name, partition_indexes)| OffsetFetchRequestTopic { name, partition_indexes })
                    .collect()
            }),
            groups: vec![OffsetFetchRequestGroup {
                group_id: Str::copy_of(group),
                topics: by_topic.is_some().then(|| {
                    let topic = |(name, partition_indexes)| OffsetFetchRequestTopics {
                        name,
                        partition_indexes,
                        ..OffsetFetchRequestTopics::default()
                    };
                    rows().map(topic).collect()
                }),
                ..OffsetFetchRequestGroup::default()
            }],
            require_stable,
        };
        self.ask_coordinator(Coordinated::Groups, group, request, |answer| fetched(&answer)).await
    }

    /// Commits offsets for a group that nobody is a member of. With members it is refused: UNKNOWN_MEMBER_ID. Of two
    /// offsets for one partition the later one counts.
    pub async fn alter_committed_offsets(
        &self,
        group: &str,
        offsets: &[(&str, PartitionIndex, CommittedOffset)],
    ) -> Result<Outcomes<(String, PartitionIndex), ()>, Error> {
        let mut by_topic: BTreeMap<&str, BTreeMap<PartitionIndex, &CommittedOffset>> = BTreeMap::new();
        for (topic, index, offset) in offsets {
            by_topic.entry(topic).or_default().insert(*index, offset);
        }
        let row = |(index, committed): (&PartitionIndex, &&CommittedOffset)| OffsetCommitRequestPartition {
            partition_index: index.0,
            committed_offset: committed.offset.0,
            committed_leader_epoch: committed.leader_epoch.unwrap_or(LeaderEpoch::UNKNOWN).0,
            committed_metadata: Some(Str::copy_of(&committed.metadata)),
            ..OffsetCommitRequestPartition::default()
        };
        let topic = |(name, rows): (&&str, &BTreeMap<_, _>)| OffsetCommitRequestTopic {
            name: Str::copy_of(name),
            partitions: rows.iter().map(row).collect(),
            ..OffsetCommitRequestTopic::default()
        };
        let request = || OffsetCommitRequest {
            group_id: Str::copy_of(group),
            topics: by_topic.iter().map(topic).collect(),
            ..OffsetCommitRequest::default()
        };
        self.ask_coordinator(Coordinated::Groups, group, request, |answer| committed(&answer)).await
    }

    /// Forgets what a group has committed for these partitions. Where it has members that are subscribed to the topic
    /// it is refused: GROUP_SUBSCRIBED_TO_TOPIC.
    pub async fn delete_committed_offsets(
        &self,
        group: &str,
        partitions: &[(&str, PartitionIndex)],
    ) -> Result<Outcomes<(String, PartitionIndex), ()>, Error> {
        let mut by_topic: BTreeMap<&str, BTreeSet<PartitionIndex>> = BTreeMap::new();
        for (topic, index) in partitions {
            by_topic.entry(topic).or_default().insert(*index);
        }
        let row = |index: &PartitionIndex| OffsetDeleteRequestPartition { partition_index: index.0 };
        let topic = |(name, indexes): (&&str, &BTreeSet<PartitionIndex>)| OffsetDeleteRequestTopic {
            name: Str::copy_of(name),
            partitions: indexes.iter().map(row).collect(),
        };
        let request = || OffsetDeleteRequest {
            group_id: Str::copy_of(group),
            topics: by_topic.iter().map(topic).collect(),
        };
        self.ask_coordinator(Coordinated::Groups, group, request, |answer| deleted(&answer)).await
    }
}

fn fetched(answer: &OffsetFetchResponse) -> Result<Outcomes<Partition, CommittedOffset>, Error> {
    outcome_of(answer.error_code, None, || ())?;
    let groups = answer.groups.iter();
    groups.clone().try_for_each(|group| outcome_of(group.error_code, None, || ()))?;
    let one = answer.topics.iter().map(|topic| (&topic.name, &topic.partitions));
    let many = groups.flat_map(|group| &group.topics).map(|topic| (&topic.name, &topic.partitions));
    let rows = one.chain(many).flat_map(|(name, rows)| rows.iter().map(move |row| (name, row)));
    let told = rows.filter(|(_, row)| row.committed_offset >= 0 || row.error_code != ErrorCode::None.code());
    whole_or_partitions(told.map(|(name, row)| (name, row.partition_index, row.error_code, of_row(row))))
}

fn of_row(row: &OffsetFetchResponsePartition) -> CommittedOffset {
    CommittedOffset {
        offset: Offset(row.committed_offset),
        leader_epoch: Some(LeaderEpoch(row.committed_leader_epoch)).filter(|epoch| epoch.0 >= 0),
        metadata: row.metadata.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn committed(answer: &OffsetCommitResponse) -> Result<Outcomes<Partition, ()>, Error> {
    let rows = answer.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |row| (topic, row)));
    whole_or_partitions(rows.map(|(topic, row)| (&topic.name, row.partition_index, row.error_code, ())))
}

fn deleted(answer: &OffsetDeleteResponse) -> Result<Outcomes<Partition, ()>, Error> {
    outcome_of(answer.error_code, None, || ())?;
    let rows = answer.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |row| (topic, row)));
    whole_or_partitions(rows.map(|(topic, row)| (&topic.name, row.partition_index, row.error_code, ())))
}

/// The outcome of each partition; where one says that the coordinator is another one, or not ready, that is what the
/// whole answer says.
fn whole_or_partitions<'a, T>(
    rows: impl Iterator<Item = (&'a Str, i32, i16, T)>,
) -> Result<Outcomes<Partition, T>, Error> {
    let mut outcomes = BTreeMap::new();
    for (name, index, code, value) in rows {
        if ErrorCode::from_code(code).is_some_and(is_of_the_coordinator) {
            return Err(Error::Broker(BrokerError { code, message: None }));
        }
        outcomes.insert((name.to_string(), PartitionIndex(index)), outcome_of(code, None, || value));
    }
    Ok(outcomes)
}

fn is_of_the_coordinator(code: ErrorCode) -> bool {
    matches!(code.retry_class(), RetryClass::RefreshCoordinator | RetryClass::Retry)
}
