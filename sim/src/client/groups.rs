//! The requests of group members, and their answers in plain terms.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes};
use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatRequestTopicPartitions,
    ConsumerGroupHeartbeatResponse,
};
use ottla_protocol::api::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupRequestMember};
use ottla_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use super::{CallError, Client};
use crate::history::{CommitTag, TopicPartition};

/// Topics by name, for requests that go by name.
pub type TopicNames = BTreeMap<TopicId, String>;

/// Which member asks.
#[derive(Debug, Clone, Default)]
pub struct Membership {
    /// The group.
    pub group: String,
    /// The member id; empty where there is none yet.
    pub member: String,
    /// The generation or the member epoch; −1 for no member.
    pub generation: i32,
    /// The instance, of a static member.
    pub instance: Option<String>,
}

/// How a member joins.
#[derive(Debug, Clone, Copy)]
pub struct JoinTerms {
    /// JoinGroup's version.
    pub version: i16,
    /// The session timeout in milliseconds.
    pub session_timeout_ms: i32,
    /// The rebalance timeout in milliseconds.
    pub rebalance_timeout_ms: i32,
}

/// One offset to commit.
#[derive(Debug, Clone, Copy)]
pub struct ToCommit {
    /// Of which partition.
    pub of: TopicPartition,
    /// The offset.
    pub offset: i64,
    /// What tells it apart.
    pub tag: CommitTag,
}

/// What was committed for a partition: which commit, and its offset; none where nothing was.
pub type Committed = Option<(CommitTag, i64)>;

/// The protocol that classic members speak of.
const ASSIGNOR: &str = "shared";
const PROTOCOL_TYPE: &str = "consumer";

/// A commit's metadata, which tells it apart.
pub(super) fn text_of(tag: CommitTag) -> Str {
    Str::copy_of(&format!("tag {}", tag.0))
}

fn tag_in(metadata: &str) -> Option<CommitTag> {
    metadata.strip_prefix("tag ")?.parse().ok().map(CommitTag)
}

fn by_topic<T>(items: impl IntoIterator<Item = (TopicPartition, T)>) -> BTreeMap<TopicId, Vec<(i32, T)>> {
    let mut topics: BTreeMap<TopicId, Vec<(i32, T)>> = BTreeMap::new();
    for (of, item) in items {
        topics.entry(of.topic).or_default().push((of.index, item));
    }
    topics
}

fn name_of(names: &TopicNames, id: TopicId) -> Str {
    Str::copy_of(names.get(&id).map_or("", String::as_str))
}

fn id_of(names: &TopicNames, name: &str) -> Option<TopicId> {
    names.iter().find(|(_, known)| *known == name).map(|(id, _)| *id)
}

impl Client {
    /// Asks who coordinates a group (kind 0) or a transactional id (1): error code.
    pub async fn find_coordinator(&self, kind: i8, key: &str) -> Result<i16, CallError> {
        let request = FindCoordinatorRequest {
            key_type: kind,
            coordinator_keys: vec![Str::copy_of(key)],
            ..FindCoordinatorRequest::default()
        };
        let answer = self.call(&request, 4).answer().await?;
        let first = answer.coordinators.first();
        first.map(|one| one.error_code).ok_or_else(|| CallError::Unreadable("no coordinator".to_owned()))
    }

    /// Joins a classic group.
    pub async fn join_group(
        &self,
        who: &Membership,
        topics: &[String],
        terms: JoinTerms,
    ) -> Result<JoinGroupResponse, CallError> {
        let protocol =
            JoinGroupRequestProtocol { name: Str::from_static(ASSIGNOR), metadata: subscription(topics) };
        let request = JoinGroupRequest {
            group_id: Str::copy_of(&who.group),
            session_timeout_ms: terms.session_timeout_ms,
            rebalance_timeout_ms: terms.rebalance_timeout_ms,
            member_id: Str::copy_of(&who.member),
            group_instance_id: instance(who).filter(|_| terms.version >= 5),
            protocol_type: Str::from_static(PROTOCOL_TYPE),
            protocols: vec![protocol],
            reason: None,
        };
        self.call(&request, terms.version).answer().await
    }

    /// Asks for the member's part, and hands in everybody's if it leads.
    pub async fn sync_group(
        &self,
        who: &Membership,
        parts: BTreeMap<String, Bytes>,
    ) -> Result<SyncGroupResponse, CallError> {
        let assignments = parts.into_iter().map(|(member, assignment)| SyncGroupRequestAssignment {
            member_id: Str::copy_of(&member),
            assignment,
        });
        let request = SyncGroupRequest {
            group_id: Str::copy_of(&who.group),
            generation_id: who.generation,
            member_id: Str::copy_of(&who.member),
            group_instance_id: instance(who),
            protocol_type: Some(Str::from_static(PROTOCOL_TYPE)),
            protocol_name: Some(Str::from_static(ASSIGNOR)),
            assignments: assignments.collect(),
        };
        self.call(&request, 5).answer().await
    }

    /// Gives a classic member's sign of life: error code.
    pub async fn heartbeat(&self, who: &Membership) -> Result<i16, CallError> {
        let request = HeartbeatRequest {
            group_id: Str::copy_of(&who.group),
            generation_id: who.generation,
            member_id: Str::copy_of(&who.member),
            group_instance_id: instance(who),
        };
        Ok(self.call(&request, 4).answer().await?.error_code)
    }

    /// Leaves a classic group: error code.
    pub async fn leave_group(&self, who: &Membership) -> Result<i16, CallError> {
        let member = LeaveGroupRequestMember {
            member_id: Str::copy_of(&who.member),
            group_instance_id: instance(who),
            reason: None,
        };
        let request = LeaveGroupRequest {
            group_id: Str::copy_of(&who.group),
            members: vec![member],
            ..LeaveGroupRequest::default()
        };
        Ok(self.call(&request, 4).answer().await?.error_code)
    }

    /// Gives the sign of life of a member whose partitions the broker assigns. `topics` goes along with a full request:
    /// when joining, and when an answer was lost.
    pub async fn consumer_heartbeat(
        &self,
        who: &Membership,
        topics: Option<&[String]>,
        owned: Option<&BTreeSet<TopicPartition>>,
        assignor: Option<&str>,
        rebalance_timeout_ms: i32,
    ) -> Result<ConsumerGroupHeartbeatResponse, CallError> {
        let owned = owned.map(|owned| {
            let topics = by_topic(owned.iter().map(|of| (*of, ()))).into_iter();
            let topics = topics.map(|(topic_id, parts)| ConsumerGroupHeartbeatRequestTopicPartitions {
                topic_id,
                partitions: parts.into_iter().map(|(index, ())| index).collect(),
            });
            topics.collect()
        });
        let request = ConsumerGroupHeartbeatRequest {
            group_id: Str::copy_of(&who.group),
            member_id: Str::copy_of(&who.member),
            member_epoch: who.generation,
            instance_id: instance(who),
            rack_id: None,
            rebalance_timeout_ms: if topics.is_some() { rebalance_timeout_ms } else { -1 },
            subscribed_topic_names: topics
                .map(|topics| topics.iter().map(|name| Str::copy_of(name)).collect()),
            subscribed_topic_regex: None,
            server_assignor: assignor.map(Str::copy_of),
            topic_partitions: owned,
        };
        self.call(&request, 1).answer().await
    }

    /// Commits offsets: an error code for each partition.
    pub async fn commit_offsets(
        &self,
        who: &Membership,
        commits: &[ToCommit],
        names: &TopicNames,
        version: i16,
    ) -> Result<BTreeMap<TopicPartition, i16>, CallError> {
        let topics = by_topic(commits.iter().map(|commit| (commit.of, commit))).into_iter();
        let topics = topics.map(|(topic_id, commits)| OffsetCommitRequestTopic {
            name: name_of(names, topic_id),
            topic_id,
            partitions: commits
                .into_iter()
                .map(|(partition_index, commit)| OffsetCommitRequestPartition {
                    partition_index,
                    committed_offset: commit.offset,
                    committed_metadata: Some(text_of(commit.tag)),
                    ..OffsetCommitRequestPartition::default()
                })
                .collect(),
        });
        let request = OffsetCommitRequest {
            group_id: Str::copy_of(&who.group),
            generation_id_or_member_epoch: who.generation,
            member_id: Str::copy_of(&who.member),
            group_instance_id: instance(who),
            topics: topics.collect(),
            ..OffsetCommitRequest::default()
        };
        let answer = self.call(&request, version).answer().await?;
        let mut codes = BTreeMap::new();
        for topic in answer.topics {
            let by_id = Some(topic.topic_id).filter(|_| version >= 10);
            let Some(id) = by_id.or_else(|| id_of(names, &topic.name)) else { continue };
            for partition in topic.partitions {
                let of = TopicPartition { topic: id, index: partition.partition_index };
                codes.insert(of, partition.error_code);
            }
        }
        Ok(codes)
    }

    /// Asks what a group has committed, waiting for no transaction: an error code for the whole, and what each partition
    /// has, or an error code of its own.
    pub async fn committed_offsets(
        &self,
        group: &str,
        of: &[TopicPartition],
        names: &TopicNames,
    ) -> Result<(i16, BTreeMap<TopicPartition, Result<Committed, i16>>), CallError> {
        let topics = by_topic(of.iter().map(|of| (*of, ()))).into_iter();
        let topics = topics.map(|(topic_id, parts)| OffsetFetchRequestTopics {
            name: name_of(names, topic_id),
            topic_id,
            partition_indexes: parts.into_iter().map(|(index, ())| index).collect(),
        });
        let group = OffsetFetchRequestGroup {
            group_id: Str::copy_of(group),
            topics: Some(topics.collect()),
            ..OffsetFetchRequestGroup::default()
        };
        let request =
            OffsetFetchRequest { groups: vec![group], require_stable: true, ..OffsetFetchRequest::default() };
        let answer = self.call(&request, 9).answer().await?;
        let Some(group) = answer.groups.into_iter().next() else {
            return Err(CallError::Unreadable("the answer has no group".to_owned()));
        };
        let mut found = BTreeMap::new();
        for topic in group.topics {
            let Some(id) = id_of(names, &topic.name) else { continue };
            for partition in topic.partitions {
                let of = TopicPartition { topic: id, index: partition.partition_index };
                let metadata = partition.metadata.map(|text| text.to_string()).unwrap_or_default();
                let committed = match (partition.error_code, partition.committed_offset) {
                    (0, -1) => Ok(None),
                    (0, offset) => {
                        let tag = tag_in(&metadata).ok_or_else(|| {
                            CallError::Unreadable(format!("committed with metadata {metadata:?}"))
                        })?;
                        Ok(Some((tag, offset)))
                    }
                    (code, _) => Err(code),
                };
                found.insert(of, committed);
            }
        }
        Ok((group.error_code, found))
    }
}

fn instance(who: &Membership) -> Option<Str> {
    who.instance.as_deref().map(Str::copy_of)
}

/// What an error code of a commit says of it.
pub fn is_refusal(code: i16) -> bool {
    use ErrorCode as E;
    !matches!(
        ErrorCode::from_code(code),
        None | Some(
            E::CoordinatorNotAvailable
                | E::NotCoordinator
                | E::RequestTimedOut
                | E::UnknownServerError
                | E::NetworkException
                | E::KafkaStorageError
                | E::NotEnoughReplicasAfterAppend
                | E::NotLeaderOrFollower
        )
    )
}

/// A ConsumerProtocolSubscription of version 0.
fn subscription(topics: &[String]) -> Bytes {
    let mut bytes = Vec::new();
    bytes.put_i16(0);
    bytes.put_i32(i32::try_from(topics.len()).expect("a few"));
    for name in topics {
        put_string(&mut bytes, name);
    }
    bytes.put_i32(-1);
    bytes.into()
}

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.put_i16(i16::try_from(text.len()).expect("short"));
    bytes.put_slice(text.as_bytes());
}

/// A ConsumerProtocolAssignment of version 0.
pub fn assignment(partitions: &BTreeSet<TopicPartition>, names: &TopicNames) -> Bytes {
    let topics = by_topic(partitions.iter().map(|of| (*of, ())));
    let mut bytes = Vec::new();
    bytes.put_i16(0);
    bytes.put_i32(i32::try_from(topics.len()).expect("a few"));
    for (id, parts) in topics {
        put_string(&mut bytes, names.get(&id).map_or("", String::as_str));
        bytes.put_i32(i32::try_from(parts.len()).expect("a few"));
        parts.iter().for_each(|(index, ())| bytes.put_i32(*index));
    }
    bytes.put_i32(-1);
    bytes.into()
}

/// The partitions of an assignment; none of no bytes at all. Nothing if it isn't one of ours.
pub fn assigned(mut bytes: Bytes, names: &TopicNames) -> Option<BTreeSet<TopicPartition>> {
    let mut partitions = BTreeSet::new();
    if bytes.is_empty() {
        return Some(partitions);
    }
    bytes.try_get_i16().ok()?;
    for _ in 0..bytes.try_get_i32().ok()? {
        let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        if bytes.len() < length {
            return None;
        }
        let name = bytes.split_to(length);
        let topic = id_of(names, std::str::from_utf8(&name).ok()?)?;
        for _ in 0..bytes.try_get_i32().ok()? {
            partitions.insert(TopicPartition { topic, index: bytes.try_get_i32().ok()? });
        }
    }
    Some(partitions)
}
