//! Members of groups and transactional producers as tests need them: each a few requests, none of them on a thread of its
//! own. A member lives as long as its session, since nobody sends heartbeats for it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use ottla_protocol::api::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnRequestTopic};
use ottla_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatRequestTopicPartitions,
};
use ottla_protocol::api::end_txn::EndTxnRequest;
use ottla_protocol::api::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupRequestMember};
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;

use crate::batches::{TRANSACTIONAL, TestBatch, counted};
use crate::wait::wait_for;
use crate::wire_client::WireClient;

/// How long a coordinator may take until it has its topic and is loaded.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until somebody coordinates this: 0 a group, 1 a transactional id.
pub fn wait_for_coordinator(client: &mut WireClient, key_type: i8, name: &str) {
    let request = FindCoordinatorRequest {
        key_type,
        coordinator_keys: vec![Str::copy_of(name)],
        ..FindCoordinatorRequest::default()
    };
    wait_for("a coordinator", PATIENCE, || {
        (client.request(4, &request).coordinators[0].error_code == 0).then_some(())
    });
}

/// Topics with their partitions.
pub type Partitions<'a> = &'a [(&'a str, &'a [i32])];

/// The bytes of a `ConsumerProtocolSubscription` in version 0.
pub fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(i32::try_from(topics.len()).expect("few"));
    topics.iter().for_each(|topic| put_text(&mut bytes, topic));
    bytes.put_i32(-1);
    bytes.freeze()
}

/// The bytes of a `ConsumerProtocolAssignment` in version 0.
pub fn assignment(partitions: Partitions<'_>) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(i32::try_from(partitions.len()).expect("few"));
    for (topic, indexes) in partitions {
        put_text(&mut bytes, topic);
        bytes.put_i32(i32::try_from(indexes.len()).expect("few"));
        indexes.iter().for_each(|index| bytes.put_i32(*index));
    }
    bytes.put_i32(-1);
    bytes.freeze()
}

fn put_text(bytes: &mut BytesMut, text: &str) {
    bytes.put_i16(i16::try_from(text.len()).expect("short"));
    bytes.put_slice(text.as_bytes());
}

/// The only member of a classic group.
#[derive(Debug)]
pub struct ClassicMember {
    client: WireClient,
    group: Str,
    /// As the coordinator gave it.
    pub member_id: Str,
    /// The generation that it is in.
    pub generation: i32,
}

impl ClassicMember {
    /// Joins and assigns itself these partitions.
    pub fn join(address: SocketAddr, group: &str, partitions: Partitions<'_>) -> ClassicMember {
        let mut client = WireClient::connect(address).named(Some("classic-client"));
        wait_for_coordinator(&mut client, 0, group);
        let topics: Vec<&str> = partitions.iter().map(|(topic, _)| *topic).collect();
        let protocol = JoinGroupRequestProtocol { name: Str::from("range"), metadata: subscription(&topics) };
        let mut request = JoinGroupRequest {
            group_id: Str::copy_of(group),
            session_timeout_ms: 60_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: Str::from("consumer"),
            protocols: vec![protocol],
            ..JoinGroupRequest::default()
        };
        let joined = wait_for("a member of the group", PATIENCE, || {
            let answer = client.request(7, &request);
            request.member_id = answer.member_id.clone();
            (answer.error_code == 0).then_some(answer)
        });
        let own = SyncGroupRequestAssignment {
            member_id: joined.member_id.clone(),
            assignment: assignment(partitions),
        };
        let request = SyncGroupRequest {
            group_id: Str::copy_of(group),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            protocol_type: Some(Str::from("consumer")),
            protocol_name: Some(Str::from("range")),
            assignments: vec![own],
            ..SyncGroupRequest::default()
        };
        assert_eq!(client.request(5, &request).error_code, 0, "the assignment is taken");
        ClassicMember {
            client,
            group: Str::copy_of(group),
            member_id: joined.member_id,
            generation: joined.generation_id,
        }
    }

    /// Leaves, so that the group is empty.
    pub fn leave(mut self) {
        let member =
            LeaveGroupRequestMember { member_id: self.member_id, ..LeaveGroupRequestMember::default() };
        let request =
            LeaveGroupRequest { group_id: self.group, members: vec![member], ..LeaveGroupRequest::default() };
        assert_eq!(self.client.request(3, &request).error_code, 0, "it was a member");
    }
}

/// A member of a consumer group (KIP-848).
#[derive(Debug)]
pub struct ConsumerMember {
    client: WireClient,
    group: Str,
    member_id: Str,
    epoch: i32,
    owned: Vec<ConsumerGroupHeartbeatRequestTopicPartitions>,
}

impl ConsumerMember {
    /// Joins and waits until it has so many partitions. The member id has to be nobody else's.
    pub fn join(
        address: SocketAddr,
        group: &str,
        member_id: &str,
        topics: &[&str],
        partition_count: usize,
    ) -> ConsumerMember {
        let mut client = WireClient::connect(address).named(Some("consumer-client"));
        wait_for_coordinator(&mut client, 0, group);
        let (group, member_id) = (Str::copy_of(group), Str::copy_of(member_id));
        let mut member = ConsumerMember { client, group, member_id, epoch: 0, owned: Vec::new() };
        let names = Some(topics.iter().map(|topic| Str::copy_of(topic)).collect());
        wait_for("the partitions", PATIENCE, || {
            member.beat(names.clone());
            let owned: usize = member.owned.iter().map(|topic| topic.partitions.len()).sum();
            (owned == partition_count).then_some(())
        });
        // The coordinator hears what it has.
        member.beat(None);
        member
    }

    /// A heartbeat, which takes what it is given.
    pub fn beat(&mut self, subscribed_topic_names: Option<Vec<Str>>) {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: self.member_id.clone(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names,
            topic_partitions: Some(self.owned.clone()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let answer = self.client.request(1, &request);
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
        self.epoch = answer.member_epoch;
        if let Some(assignment) = answer.assignment {
            let topics = assignment.topic_partitions.into_iter();
            let owned = topics.map(|topic| ConsumerGroupHeartbeatRequestTopicPartitions {
                topic_id: topic.topic_id,
                partitions: topic.partitions,
            });
            self.owned = owned.collect();
        }
    }

    /// Leaves for good.
    pub fn leave(mut self) {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.group,
            member_id: self.member_id,
            member_epoch: -1,
            ..ConsumerGroupHeartbeatRequest::default()
        };
        assert_eq!(self.client.request(1, &request).error_code, 0, "it was a member");
    }
}

/// What Kafka answers for a topic that has just been made: its broker doesn't know it yet, or not that it leads it.
const NO_LEADER_YET: [i16; 3] = [3, 5, 6];

/// A transaction that is open.
#[derive(Debug)]
pub struct OpenTransaction {
    client: WireClient,
    transactional_id: Str,
    /// Whose it is.
    pub producer_id: i64,
    /// Which incarnation of it.
    pub producer_epoch: i16,
}

impl OpenTransaction {
    /// Begins one and writes three records to a partition in it.
    pub fn begin(
        address: SocketAddr,
        transactional_id: &str,
        topic: &str,
        partition: i32,
    ) -> OpenTransaction {
        let mut client = WireClient::connect(address).named(Some("transactional-client"));
        wait_for_coordinator(&mut client, 1, transactional_id);
        let transactional_id = Str::copy_of(transactional_id);
        let request = InitProducerIdRequest {
            transactional_id: Some(transactional_id.clone()),
            transaction_timeout_ms: 60_000,
            ..InitProducerIdRequest::default()
        };
        let producer = wait_for("a producer id", PATIENCE, || {
            let answer = client.request(4, &request);
            (answer.error_code == 0).then_some(answer)
        });
        let topics =
            vec![AddPartitionsToTxnRequestTopic { name: Str::copy_of(topic), partitions: vec![partition] }];
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: transactional_id.clone(),
            v3_and_below_producer_id: producer.producer_id,
            v3_and_below_producer_epoch: producer.producer_epoch,
            v3_and_below_topics: topics,
            ..AddPartitionsToTxnRequest::default()
        };
        let added = client.request(3, &request);
        let code = added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
        assert_eq!(code, 0, "the partition is added");
        let batch = TestBatch { attributes: TRANSACTIONAL, ..counted(3) };
        let batch = batch.of_producer(producer.producer_id, producer.producer_epoch, 0);
        let request = ProduceRequest {
            transactional_id: Some(transactional_id.clone()),
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![ProduceRequestTopic {
                name: Str::copy_of(topic),
                topic_id: TopicId::ZERO,
                partition_data: vec![ProduceRequestPartition {
                    index: partition,
                    records: Some(batch.to_bytes()),
                }],
            }],
        };
        let code = wait_for("the partition's leader", PATIENCE, || {
            let written = client.request(11, &request);
            Some(written.responses[0].partition_responses[0].error_code)
                .filter(|code| !NO_LEADER_YET.contains(code))
        });
        assert_eq!(code, 0, "the records are taken");
        let (producer_id, producer_epoch) = (producer.producer_id, producer.producer_epoch);
        OpenTransaction { client, transactional_id, producer_id, producer_epoch }
    }

    /// Ends it: the error code.
    pub fn end(mut self, committed: bool) -> i16 {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            committed,
        };
        self.client.request(4, &request).error_code
    }
}
