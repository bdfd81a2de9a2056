//! TxnOffsetCommit: offsets that count once their transaction is committed.

use ottla_protocol::api::add_offsets_to_txn::AddOffsetsToTxnRequest;
use ottla_protocol::api::end_txn::EndTxnRequest;
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, Topic, fresh_name};
use crate::check::Checks;
use crate::group_members::fresh_group;
use crate::offset_commit::committed;

struct Producer {
    transactional_id: Str,
    id: i64,
    epoch: i16,
}

impl Producer {
    fn new(client: &mut WireClient) -> Producer {
        let transactional_id = fresh_name();
        let request = InitProducerIdRequest {
            transactional_id: Some(transactional_id.clone()),
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
        };
        let answer = wait_for("the producer has an id", PATIENCE, || {
            let answer = client.request(4, &request);
            (answer.error_code == 0).then_some(answer)
        });
        Producer { transactional_id, id: answer.producer_id, epoch: answer.producer_epoch }
    }

    fn commit(&self, group: &Str, topic: &Topic, offset: i64) -> TxnOffsetCommitRequest {
        let row = TxnOffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
        let topic = TxnOffsetCommitRequestTopic { name: topic.name.clone(), partitions: vec![row] };
        TxnOffsetCommitRequest {
            transactional_id: self.transactional_id.clone(),
            group_id: group.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![topic],
            ..Default::default()
        }
    }

    fn add(&self, client: &mut WireClient, group: &Str) -> i16 {
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            group_id: group.clone(),
        };
        client.request(3, &request).error_code
    }

    fn end(&mut self, client: &mut WireClient, version: i16, committed: bool) -> i16 {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        };
        let answer = client.request(version, &request);
        if 5 <= version && answer.error_code == 0 {
            (self.id, self.epoch) = (answer.producer_id, answer.producer_epoch);
        }
        answer.error_code
    }
}

/// The code of the request's one row.
fn code(client: &mut WireClient, version: i16, request: &TxnOffsetCommitRequest) -> i16 {
    client.request(version, request).topics[0].partitions[0].error_code
}

fn wait_for_offset(client: &mut WireClient, group: &Str, topic: &Topic, offset: i64) {
    wait_for("the offset counts", PATIENCE, || {
        (committed(client, group, topic, 0).committed_offset == offset).then_some(())
    });
}

#[test]
fn offsets_count_once_the_transaction_is_committed() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for version in 0..=5 {
        let group = fresh_group(&bed);
        let mut producer = Producer::new(&mut client);
        let end = if version == 5 { 5 } else { 3 };
        if version < 5 {
            assert_eq!(producer.add(&mut client, &group), 0, "v{version}");
        }
        assert_eq!(code(&mut client, version, &producer.commit(&group, &topic, 7)), 0, "v{version}");
        assert_eq!(committed(&mut client, &group, &topic, 0).committed_offset, -1, "v{version}");
        assert_eq!(producer.end(&mut client, end, true), 0, "v{version}");
        wait_for_offset(&mut client, &group, &topic, 7);
    }
}

#[test]
fn commits_outside_of_a_transaction_are_refused() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let group = fresh_group(&bed);
    let producer = Producer::new(&mut client);
    let request = producer.commit(&group, &topic, 7);
    checks.same("v3", code(&mut client, 3, &request), 48);
    checks.same("v4", code(&mut client, 4, &request), 120);
    let nameless = TxnOffsetCommitRequest { group_id: Str::from(""), ..request.clone() };
    checks.same("no group", code(&mut client, 5, &nameless), 24);
    let newer = TxnOffsetCommitRequest { producer_epoch: 5, ..request.clone() };
    checks.same("another epoch", code(&mut client, 5, &newer), 47);
    let nowhere = Topic { name: Str::from("nowhere"), id: topic.id };
    checks.same("no topic", code(&mut client, 5, &producer.commit(&group, &nowhere, 7)), 3);
}
