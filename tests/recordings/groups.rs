//! What scripts about groups and transactions ask over and over.

use bytes::Bytes;
use ottla_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnRequestTopic, AddPartitionsToTxnRequestTransaction,
};
use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatRequestTopicPartitions,
};
use ottla_protocol::api::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use ottla_protocol::wire::Str;
use ottla_testkit::members::subscription;

use crate::player::Player;
use crate::requests::Topic;

/// Waits until somebody coordinates it: Kafka creates a topic for that first. 0: a group; 1: a transactional id.
pub(crate) fn wait_for_coordinator(play: &mut Player, key_type: i8, name: &Str) {
    let request = FindCoordinatorRequest {
        key_type,
        coordinator_keys: vec![name.clone()],
        ..FindCoordinatorRequest::default()
    };
    play.wait_until(4, "there is a coordinator", &request, |response| {
        response.coordinators[0].error_code == 0
    });
    if key_type == 0 {
        let request = HeartbeatRequest { group_id: name.clone(), ..HeartbeatRequest::default() };
        play.wait_until(4, "it is loaded", &request, |response| ![14, 15, 16].contains(&response.error_code));
    }
}

/// A group's name, once somebody coordinates it.
pub(crate) fn group(play: &mut Player, name: &str) -> Str {
    let name = play.name(name);
    wait_for_coordinator(play, 0, &name);
    name
}

/// A protocol with metadata that names the topic `t`.
pub(crate) fn protocol(name: &'static str) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol { name: Str::from(name), metadata: subscription(&["t"]) }
}

/// A consumer that comes for the first time.
pub(crate) fn join(group: &Str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.clone(),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: Str::from("consumer"),
        protocols: vec![protocol("range"), protocol("roundrobin")],
        ..JoinGroupRequest::default()
    }
}

/// A member of a classic group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) group: Str,
    pub(crate) id: Str,
    pub(crate) generation: i32,
    pub(crate) instance: Option<Str>,
}

impl Member {
    pub(crate) fn heartbeat(&self) -> HeartbeatRequest {
        HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
        }
    }

    /// As a follower.
    pub(crate) fn sync(&self) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            protocol_type: Some(Str::from("consumer")),
            protocol_name: Some(Str::from("range")),
            ..SyncGroupRequest::default()
        }
    }

    /// As the leader, who gives itself something.
    pub(crate) fn assign(&self) -> SyncGroupRequest {
        SyncGroupRequest { assignments: vec![assigned(&self.id, b"mine")], ..self.sync() }
    }

    /// To be a member again.
    pub(crate) fn rejoin(&self) -> JoinGroupRequest {
        JoinGroupRequest {
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            ..join(&self.group)
        }
    }

    pub(crate) fn commit(&self, topic: &Topic, offset: i64) -> OffsetCommitRequest {
        OffsetCommitRequest {
            generation_id_or_member_epoch: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            ..commit(&self.group, topic, &[(0, offset)])
        }
    }
}

pub(crate) fn assigned(member_id: &Str, assignment: &'static [u8]) -> SyncGroupRequestAssignment {
    SyncGroupRequestAssignment { member_id: member_id.clone(), assignment: Bytes::from_static(assignment) }
}

/// Joins as the only member, and keeps nothing; the leader has not assigned anything yet.
pub(crate) fn joined(play: &mut Player, mut request: JoinGroupRequest) -> Member {
    let mut answer = play.quietly(7, &request);
    if answer.error_code == 79 {
        request.member_id = answer.member_id;
        answer = play.quietly(7, &request);
    }
    assert_eq!(answer.error_code, 0, "it joins");
    Member {
        group: request.group_id,
        id: answer.member_id,
        generation: answer.generation_id,
        instance: request.group_instance_id,
    }
}

/// The only member of a stable group.
pub(crate) fn member(play: &mut Player, name: &str) -> Member {
    let group = group(play, name);
    let member = joined(play, join(&group));
    assert_eq!(play.quietly(5, &member.assign()).error_code, 0, "the group is stable");
    member
}

/// Commits as nobody.
pub(crate) fn commit(group: &Str, topic: &Topic, rows: &[(i32, i64)]) -> OffsetCommitRequest {
    let row = |(partition_index, committed_offset): &(i32, i64)| OffsetCommitRequestPartition {
        partition_index: *partition_index,
        committed_offset: *committed_offset,
        committed_metadata: Some(Str::EMPTY),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: topic.name.clone(),
        topic_id: topic.id,
        partitions: rows.iter().map(row).collect(),
    };
    OffsetCommitRequest { group_id: group.clone(), topics: vec![topic], ..OffsetCommitRequest::default() }
}

/// A member that joins a consumer group, with this id, for these topics.
pub(crate) fn consumer(
    group: &Str,
    member_id: &'static str,
    topics: &[&Topic],
) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.clone(),
        member_id: Str::from(member_id),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(topics.iter().map(|topic| topic.name.clone()).collect()),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

/// The only member of a consumer group, with all partitions of the topic: its next heartbeat.
pub(crate) fn consumer_member(
    play: &mut Player,
    group: &Str,
    member_id: &'static str,
    topic: &Topic,
    partitions: &[i32],
) -> ConsumerGroupHeartbeatRequest {
    settled(play, consumer(group, member_id, &[topic]), partitions.len())
}

/// Joins and sends heartbeats until it has so many partitions, and says that it has them.
pub(crate) fn settled(
    play: &mut Player,
    mut request: ConsumerGroupHeartbeatRequest,
    partition_count: usize,
) -> ConsumerGroupHeartbeatRequest {
    for _ in 0..400 {
        let answer = play.quietly(1, &request);
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
        request.member_epoch = answer.member_epoch;
        let assigned = answer.assignment.into_iter().flat_map(|assignment| assignment.topic_partitions);
        let owned: Vec<_> = assigned
            .map(|topic| ConsumerGroupHeartbeatRequestTopicPartitions {
                topic_id: topic.topic_id,
                partitions: topic.partitions,
            })
            .collect();
        let count: usize = owned.iter().map(|topic| topic.partitions.len()).sum();
        if count == partition_count {
            request.topic_partitions = Some(owned);
            play.quietly(1, &request);
            return request;
        }
        play.pause();
    }
    panic!("{}: {} gets its partitions", request.group_id, request.member_id);
}

/// A producer with a transactional id.
#[derive(Debug, Clone)]
pub(crate) struct Transactional {
    pub(crate) id: Str,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
}

/// Asks for a producer id under a transactional id.
pub(crate) fn init(id: &Str) -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: Some(id.clone()),
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    }
}

/// A transactional id of the script's own, with its producer; keeps nothing.
pub(crate) fn transactional(play: &mut Player, name: &str) -> Transactional {
    let id = play.name(name);
    wait_for_coordinator(play, 1, &id);
    play.wait_until(4, "there is a producer", &init(&id), |response| response.error_code == 0);
    let answer = play.quietly(4, &init(&id));
    assert_eq!(answer.error_code, 0);
    play.mask.learn_producer_id(answer.producer_id);
    Transactional { id, producer_id: answer.producer_id, epoch: answer.producer_epoch }
}

impl Transactional {
    /// To add these partitions, at any version.
    pub(crate) fn add(&self, version: i16, topics: &[(&Str, &[i32])]) -> AddPartitionsToTxnRequest {
        let row = |(name, partitions): &(&Str, &[i32])| AddPartitionsToTxnRequestTopic {
            name: (*name).clone(),
            partitions: partitions.to_vec(),
        };
        let topics = topics.iter().map(row).collect();
        if version < 4 {
            return AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: self.id.clone(),
                v3_and_below_producer_id: self.producer_id,
                v3_and_below_producer_epoch: self.epoch,
                v3_and_below_topics: topics,
                ..AddPartitionsToTxnRequest::default()
            };
        }
        let transaction = AddPartitionsToTxnRequestTransaction {
            transactional_id: self.id.clone(),
            producer_id: self.producer_id,
            producer_epoch: self.epoch,
            verify_only: false,
            topics,
        };
        AddPartitionsToTxnRequest { transactions: vec![transaction], ..AddPartitionsToTxnRequest::default() }
    }

    /// Opens a transaction with this partition; keeps nothing.
    pub(crate) fn begin(&self, play: &mut Player, topic: &Topic, partition: i32) {
        let partitions = [partition];
        let request = self.add(3, &[(&topic.name, &partitions)]);
        play.wait_until(3, "the partition is added", &request, |response| {
            response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code == 0
        });
    }

    /// The same with another epoch.
    pub(crate) fn in_epoch(&self, epoch: i16) -> Transactional {
        Transactional { epoch, ..self.clone() }
    }

    /// The same with another producer id.
    pub(crate) fn of_producer(&self, producer_id: i64) -> Transactional {
        Transactional { producer_id, ..self.clone() }
    }

    /// The same with another transactional id.
    pub(crate) fn called(&self, id: &'static str) -> Transactional {
        Transactional { id: Str::from(id), ..self.clone() }
    }
}
