//! OffsetDelete and DeleteGroups, and what goes with a topic.

use std::collections::BTreeSet;

use ottla_protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use super::super::core::{GroupCore, Moment};
use super::super::group::{Group, GroupKind};
use super::super::record::{GroupRecord, OffsetKey};
use super::super::request::GroupAnswer;
use crate::coordinator::core::Ticket;

pub(super) fn tombstone(group: &Str, topic: &Str, partition: i32) -> GroupRecord {
    let key = OffsetKey { group: group.clone(), topic: topic.clone(), partition };
    GroupRecord::OffsetCommit { key, value: None }
}

impl Group {
    /// Why no offset of the group can be deleted one by one.
    fn offset_delete_refusal(&self) -> Option<ErrorCode> {
        match &self.kind {
            _ if self.is_vacant() => Some(ErrorCode::GroupIdNotFound),
            GroupKind::Classic(group) if !group.is_empty() && !group.is_of_consumers() => {
                Some(ErrorCode::NonEmptyGroup)
            }
            GroupKind::Simple | GroupKind::Classic(_) | GroupKind::Consumer(_) => None,
        }
    }

    /// The tombstones of all its offsets, those of open transactions included.
    pub(super) fn offset_tombstones(&self, group_id: &Str) -> Vec<GroupRecord> {
        let pending = self.offsets.pending().flat_map(|(_, offsets)| offsets.iter());
        let places: BTreeSet<(&Str, i32)> = self
            .offsets
            .committed()
            .iter()
            .chain(pending)
            .map(|(topic, partition, _)| (topic, partition))
            .collect();
        places.into_iter().map(|(topic, partition)| tombstone(group_id, topic, partition)).collect()
    }
}

impl GroupCore {
    pub(in super::super) fn on_offset_delete(
        &mut self,
        moment: &mut Moment<'_>,
        ticket: Ticket,
        request: &OffsetDeleteRequest,
    ) {
        let vacant = Group::default();
        let group = self.groups.get(&request.group_id).unwrap_or(&vacant);
        let refusal = match request.group_id.is_empty() {
            true => Some(ErrorCode::InvalidGroupId),
            false => group.offset_delete_refusal(),
        };
        if let Some(error) = refusal {
            let response =
                OffsetDeleteResponse { error_code: error.code(), ..OffsetDeleteResponse::default() };
            return moment.effects.answer(ticket, GroupAnswer::OffsetDelete(response));
        }
        let mut records = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let is_subscribed = group.kind.is_subscribed(&topic.name);
            let error = if is_subscribed { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
            let rows = topic.partitions.iter().map(|row| {
                let is_known = group.offsets.committed().get(&topic.name, row.partition_index).is_some();
                if is_known && !is_subscribed {
                    records.push(tombstone(&request.group_id, &topic.name, row.partition_index));
                }
                OffsetDeleteResponsePartition {
                    partition_index: row.partition_index,
                    error_code: error.code(),
                }
            });
            topics.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: rows.collect() });
        }
        for record in records {
            self.emit(moment, record);
        }
        let response = OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() };
        moment.effects.answer(ticket, GroupAnswer::OffsetDelete(response));
    }

    pub(in super::super) fn on_delete_group(
        &mut self,
        moment: &mut Moment<'_>,
        ticket: Ticket,
        group_id: &Str,
    ) {
        let error = match self.groups.get(group_id) {
            None => ErrorCode::GroupIdNotFound,
            Some(group) if !group.kind.is_empty() => ErrorCode::NonEmptyGroup,
            Some(_) => ErrorCode::None,
        };
        if error == ErrorCode::None {
            self.delete_group(moment, group_id);
        }
        moment.effects.answer(ticket, GroupAnswer::DeleteGroup(error));
    }

    /// Forgets a group that has no members, with all its offsets.
    pub(super) fn delete_group(&mut self, moment: &mut Moment<'_>, group_id: &Str) {
        let Some(group) = self.groups.get(group_id) else { return };
        let of_members = group.kind.tombstones(group_id);
        for record in group.offset_tombstones(group_id) {
            self.emit(moment, record);
        }
        let begins_at = moment.effects.list.len();
        for record in of_members {
            self.emit(moment, record);
        }
        moment.effects.keep_whole(begins_at);
        // Ids that were given and not used yet are forgotten with it, and have no record.
        self.with_group(moment, group_id, |group, _| group.kind = GroupKind::Simple);
    }

    /// Forgets the offsets of topics that are gone: `is_gone` tells by name and id, which is zero where it isn't known.
    pub(in super::super) fn forget_topics(
        &mut self,
        moment: &mut Moment<'_>,
        is_gone: impl Fn(&str, TopicId) -> bool,
    ) {
        let mut records = Vec::new();
        for (group_id, group) in &self.groups {
            for (topic, partition, stored) in group.offsets.committed().iter() {
                if is_gone(topic, stored.committed.topic_id) {
                    records.push(tombstone(group_id, topic, partition));
                }
            }
        }
        for record in records {
            self.emit(moment, record);
        }
    }
}
