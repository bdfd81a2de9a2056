//! OffsetCommit and TxnOffsetCommit: who may commit, and what is written.

use ottla_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::{ProducerEpoch, ProducerId, TopicId};
use ottla_protocol::wire::Str;

use super::super::core::{GroupCore, Moment};
use super::super::group::{Group, GroupKind};
use super::super::record::{CommittedOffset, GroupRecord, OffsetKey};
use super::super::request::GroupAnswer;
use super::super::turn::{CommitIdentity, CommitPlace, Turn};
use super::transactions::CommitGuard;
use crate::coordinator::core::{Append, ProducerSession, Ticket};

/// The version of OffsetCommit in which a client may say when it was.
const WITH_TIMESTAMP: i16 = 1;

impl Group {
    /// Whether this commit may be made. A member that commits is alive.
    fn check_commit<'a>(
        &mut self,
        turn: &mut Turn<'_>,
        identity: &CommitIdentity<'_>,
        mut places: impl Iterator<Item = CommitPlace<'a>>,
    ) -> Result<(), ErrorCode> {
        if let GroupKind::Consumer(group) = &mut self.kind
            && (0 <= identity.generation_or_epoch || !group.is_empty())
        {
            return group.check_commit(turn, identity, &mut places);
        }
        self.check_classic_commit(identity)?;
        if let GroupKind::Classic(group) = &mut self.kind
            && !identity.is_transactional
        {
            group.on_commit(turn.now, identity.member_id);
        }
        Ok(())
    }
}

impl GroupCore {
    pub(in super::super) fn on_offset_commit(
        &mut self,
        moment: &mut Moment<'_>,
        ticket: Ticket,
        version: i16,
        request: &OffsetCommitRequest,
    ) {
        let identity = CommitIdentity {
            version,
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_ref(),
            generation_or_epoch: request.generation_id_or_member_epoch,
            is_transactional: false,
        };
        // What is too long by itself is no place that the member has to answer for.
        let metadata_bytes_max = moment.metadata_bytes_max();
        let places = request.topics.iter().flat_map(|topic| {
            let place = |partition| CommitPlace { topic: &topic.name, partition };
            let rows = topic.partitions.iter();
            rows.filter(move |row| metadata_len(&row.committed_metadata) <= metadata_bytes_max)
                .map(move |row| place(row.partition_index))
        });
        let refusal = self
            .with_group(moment, &request.group_id, |group, turn| group.check_commit(turn, &identity, places))
            .err();
        let now_ms = moment.now.wall.0;
        let retention_ms = Some(request.retention_time_ms).filter(|time| *time != -1);
        let group = request.group_id.clone();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut rows = Vec::with_capacity(topic.partitions.len());
            for row in &topic.partitions {
                let metadata = row.committed_metadata.as_deref().unwrap_or_default();
                let error = refusal.or_else(|| moment.oversize(metadata));
                rows.push(OffsetCommitResponsePartition {
                    partition_index: row.partition_index,
                    error_code: error.unwrap_or(ErrorCode::None).code(),
                });
                if error.is_some() {
                    continue;
                }
                let asked = (version == WITH_TIMESTAMP).then_some(row.commit_timestamp);
                let value = CommittedOffset {
                    offset: row.committed_offset,
                    leader_epoch: row.committed_leader_epoch,
                    metadata: Box::from(metadata),
                    commit_timestamp: asked.filter(|at| *at != -1).unwrap_or(now_ms),
                    expire_timestamp: retention_ms.map(|time| now_ms.saturating_add(time)),
                    topic_id: topic.topic_id,
                };
                let key = OffsetKey {
                    group: group.clone(),
                    topic: topic.name.clone(),
                    partition: row.partition_index,
                };
                self.emit(moment, GroupRecord::OffsetCommit { key, value: Some(value) });
                self.note_commits(1);
            }
            topics.push(OffsetCommitResponseTopic {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: rows,
            });
        }
        let response = OffsetCommitResponse { topics, ..OffsetCommitResponse::default() };
        moment.effects.answer(ticket, GroupAnswer::OffsetCommit(response));
    }

    pub(in super::super) fn on_txn_offset_commit(
        &mut self,
        moment: &mut Moment<'_>,
        ticket: Ticket,
        version: i16,
        (request, guard): (&TxnOffsetCommitRequest, Option<CommitGuard>),
    ) {
        let producer = ProducerSession {
            id: ProducerId(request.producer_id),
            epoch: ProducerEpoch(request.producer_epoch),
        };
        let checked = self.check_txn_commit(moment, version, request);
        let refusal = checked.and_then(|()| self.transactions.check_commit(producer, guard)).err();
        let now_ms = moment.now.wall.0;
        let group = request.group_id.clone();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let topic_id = moment.world.image.topic(&topic.name).map_or(TopicId::ZERO, |topic| topic.id());
            let mut rows = Vec::with_capacity(topic.partitions.len());
            for row in &topic.partitions {
                let metadata = row.committed_metadata.as_deref().unwrap_or_default();
                let error = refusal.or_else(|| moment.oversize(metadata));
                rows.push(TxnOffsetCommitResponsePartition {
                    partition_index: row.partition_index,
                    error_code: error.unwrap_or(ErrorCode::None).code(),
                });
                if error.is_some() {
                    continue;
                }
                let value = CommittedOffset {
                    offset: row.committed_offset,
                    leader_epoch: row.committed_leader_epoch,
                    metadata: Box::from(metadata),
                    commit_timestamp: now_ms,
                    expire_timestamp: None,
                    topic_id,
                };
                let key = OffsetKey {
                    group: group.clone(),
                    topic: topic.name.clone(),
                    partition: row.partition_index,
                };
                let record = GroupRecord::OffsetCommit { key, value: Some(value) };
                self.emit_append(moment, Append::Transactional { producer, record });
                self.note_commits(1);
            }
            topics.push(TxnOffsetCommitResponseTopic { name: topic.name.clone(), partitions: rows });
        }
        let response = TxnOffsetCommitResponse { topics, ..TxnOffsetCommitResponse::default() };
        moment.effects.answer(ticket, GroupAnswer::TxnOffsetCommit(response));
    }

    fn check_txn_commit(
        &mut self,
        moment: &mut Moment<'_>,
        version: i16,
        request: &TxnOffsetCommitRequest,
    ) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let identity = CommitIdentity {
            version,
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_ref(),
            generation_or_epoch: request.generation_id,
            is_transactional: true,
        };
        let metadata_bytes_max = moment.metadata_bytes_max();
        let places = request.topics.iter().flat_map(|topic| {
            let place = |partition| CommitPlace { topic: &topic.name, partition };
            let rows = topic.partitions.iter();
            rows.filter(move |row| metadata_len(&row.committed_metadata) <= metadata_bytes_max)
                .map(move |row| place(row.partition_index))
        });
        let checked = self
            .with_group(moment, &request.group_id, |group, turn| group.check_commit(turn, &identity, places));
        checked.map_err(of_a_transaction)
    }

    /// Writes the end of a producer's transaction, for all groups.
    pub(in super::super) fn on_marker(
        &mut self,
        moment: &mut Moment<'_>,
        ticket: Ticket,
        marker: Append<GroupRecord>,
        transaction_version: i8,
    ) {
        let Append::Marker { producer, coordinator_epoch, .. } = &marker else { return };
        let checked = self.transactions.check_marker(*producer, *coordinator_epoch, transaction_version);
        if checked.is_ok() {
            self.emit_append(moment, marker);
        }
        let error = checked.err().unwrap_or(ErrorCode::None);
        moment.effects.answer(ticket, GroupAnswer::WriteMarker(error));
    }
}

impl Moment<'_> {
    fn metadata_bytes_max(&self) -> usize {
        self.world.config.offset_metadata_bytes_max as usize
    }

    fn oversize(&self, metadata: &str) -> Option<ErrorCode> {
        (self.metadata_bytes_max() < metadata.len()).then_some(ErrorCode::OffsetMetadataTooLarge)
    }
}

fn metadata_len(metadata: &Option<Str>) -> usize {
    metadata.as_ref().map_or(0, |text| text.len())
}

/// Producers know no member epochs.
fn of_a_transaction(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::StaleMemberEpoch | ErrorCode::GroupIdNotFound => ErrorCode::IllegalGeneration,
        other => other,
    }
}
