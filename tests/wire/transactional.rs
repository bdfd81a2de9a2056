//! A transactional producer by hand: every request of a transaction, in the old way and the new, and the codes that it
//! gets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ottla_protocol::api::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnRequestTopic};
use ottla_protocol::api::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponseState,
};
use ottla_protocol::api::end_txn::EndTxnRequest;
use ottla_protocol::api::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::api::produce::{ProduceRequest, ProduceResponse, ProduceResponsePartition};
use ottla_protocol::record::Attributes;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{TestBatch, counted};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, Topic, fresh_name, produce_request};

/// Asks for the coordinator of a transactional id, until there is one. Kafka makes the topic behind it first.
pub(crate) fn find(client: &mut WireClient, transactional_id: &Str) {
    let request = FindCoordinatorRequest {
        key: transactional_id.clone(),
        key_type: 1,
        ..FindCoordinatorRequest::default()
    };
    wait_for("the coordinator is there", PATIENCE, || {
        (client.request(2, &request).error_code == 0).then_some(())
    });
}

/// What a client is told that should try again.
pub(crate) const NOT_ENOUGH_REPLICAS: i16 = 19;

/// How a client does transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It adds partitions before it writes, and keeps its epoch.
    V1,
    /// Partitions are added by writing to them, and each transaction has an epoch of its own (KIP-890).
    V2,
}

impl Kind {
    pub(crate) const BOTH: [Kind; 2] = [Kind::V1, Kind::V2];

    pub(crate) fn produce_version(self) -> i16 {
        match self {
            Kind::V1 => 11,
            Kind::V2 => 12,
        }
    }

    fn end_version(self) -> i16 {
        match self {
            Kind::V1 => 4,
            Kind::V2 => 5,
        }
    }
}

/// A transactional producer. What it is told of its session it takes only where a method says so.
#[derive(Debug)]
pub(crate) struct Producer {
    pub(crate) client: WireClient,
    pub(crate) kind: Kind,
    pub(crate) transactional_id: Str,
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    /// What the next batch of each partition begins with.
    sequences: BTreeMap<(Str, i32), i32>,
}

/// Codes that say: not yet.
fn is_passing(code: i16) -> bool {
    [14, 15, 16, 51].contains(&code)
}

impl Producer {
    /// One with an id that nobody else has.
    pub(crate) fn new(bed: &Bed) -> Producer {
        Producer::with_timeout(bed, 60_000)
    }

    pub(crate) fn with_timeout(bed: &Bed, timeout_ms: i32) -> Producer {
        Producer::with(bed.address(), Kind::V2, fresh_name(), timeout_ms)
    }

    /// One with an id that nobody else has.
    pub(crate) fn fresh(address: SocketAddr, kind: Kind) -> Producer {
        Producer::with(address, kind, fresh_name(), 60_000)
    }

    /// One that takes over this id, and waits until what it was used for has ended.
    pub(crate) fn with(address: SocketAddr, kind: Kind, transactional_id: Str, timeout_ms: i32) -> Producer {
        let mut client = WireClient::connect(address);
        find(&mut client, &transactional_id);
        let (id, epoch, sequences) = (-1, -1, BTreeMap::new());
        let mut producer = Producer { client, kind, transactional_id, id, epoch, sequences };
        let request = InitProducerIdRequest { transaction_timeout_ms: timeout_ms, ..producer.init_request() };
        let response = wait_for("a session", PATIENCE, || {
            let response = producer.client.request(4, &request);
            (!is_passing(response.error_code)).then_some(response)
        });
        assert_eq!(response.error_code, 0);
        producer.take(&response);
        producer
    }

    fn take(&mut self, response: &InitProducerIdResponse) {
        (self.id, self.epoch) = (response.producer_id, response.producer_epoch);
    }

    pub(crate) fn init_request(&self) -> InitProducerIdRequest {
        InitProducerIdRequest {
            transactional_id: Some(self.transactional_id.clone()),
            transaction_timeout_ms: 60_000,
            ..InitProducerIdRequest::default()
        }
    }

    /// InitProducerId that says nothing of a session: the code, and how far the epoch is from ours.
    pub(crate) fn init(&mut self, version: i16) -> (i16, i16) {
        let request = self.init_request();
        self.init_with(version, &request)
    }

    /// InitProducerId with the session that we had at this distance.
    pub(crate) fn init_from(&mut self, version: i16, producer_id: i64, epoch_distance: i16) -> (i16, i16) {
        let request = InitProducerIdRequest {
            producer_id,
            producer_epoch: self.epoch + epoch_distance,
            ..self.init_request()
        };
        self.init_with(version, &request)
    }

    fn init_with(&mut self, version: i16, request: &InitProducerIdRequest) -> (i16, i16) {
        let response = self.client.request(version, request);
        match response.error_code {
            0 => {
                assert_eq!(response.producer_id, self.id);
                (0, response.producer_epoch - self.epoch)
            }
            error => {
                assert_eq!((response.producer_id, response.producer_epoch), (-1, -1), "{error}");
                (error, 0)
            }
        }
    }

    pub(crate) fn add_request(&self, partitions: &[(&Topic, i32)]) -> AddPartitionsToTxnRequest {
        let topic = |(topic, partition): &(&Topic, i32)| AddPartitionsToTxnRequestTopic {
            name: topic.name.clone(),
            partitions: vec![*partition],
        };
        AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.clone(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: partitions.iter().map(topic).collect(),
            ..AddPartitionsToTxnRequest::default()
        }
    }

    /// AddPartitionsToTxn: the code of each partition, once no earlier transaction is in the way.
    pub(crate) fn add(&mut self, version: i16, partitions: &[(&Topic, i32)]) -> Vec<i16> {
        let request = self.add_request(partitions);
        self.add_with(version, &request)
    }

    pub(crate) fn add_with(&mut self, version: i16, request: &AddPartitionsToTxnRequest) -> Vec<i16> {
        let client = &mut self.client;
        wait_for("no transaction is ending", PATIENCE, || {
            let response = client.request(version, request);
            let topics = response.results_by_topic_v3_and_below.iter();
            let codes: Vec<i16> = topics
                .flat_map(|topic| &topic.results_by_partition)
                .map(|row| row.partition_error_code)
                .collect();
            (!codes.iter().any(|code| is_passing(*code))).then_some(codes)
        })
    }

    pub(crate) fn end_request(&self, committed: bool) -> EndTxnRequest {
        EndTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        }
    }

    /// EndTxn, once no earlier transaction is in the way: the code, and how far the next epoch is from the one that the
    /// request had (version 5).
    pub(crate) fn end(&mut self, version: i16, committed: bool) -> (i16, i16) {
        let request = self.end_request(committed);
        self.end_with(version, &request)
    }

    pub(crate) fn end_with(&mut self, version: i16, request: &EndTxnRequest) -> (i16, i16) {
        let client = &mut self.client;
        let response = wait_for("no transaction is ending", PATIENCE, || {
            let response = client.request(version, request);
            (!is_passing(response.error_code)).then_some(response)
        });
        if version < 5 {
            return (response.error_code, 0);
        }
        match response.error_code {
            0 => {
                assert_eq!(response.producer_id, request.producer_id);
                (0, response.producer_epoch - request.producer_epoch)
            }
            error => {
                assert_eq!((response.producer_id, response.producer_epoch), (-1, -1), "{error}");
                (error, 0)
            }
        }
    }

    /// EndTxn as this kind sends it: its code. A session that comes with it is taken.
    pub(crate) fn try_finish(&mut self, committed: bool) -> i16 {
        let (code, bump) = self.end(self.kind.end_version(), committed);
        if code == 0 && self.kind == Kind::V2 {
            self.epoch += bump;
            self.sequences.clear();
        }
        code
    }

    /// Ends the transaction, which has to go well.
    #[track_caller]
    pub(crate) fn finish(&mut self, committed: bool) {
        assert_eq!(self.try_finish(committed), 0, "it ends");
    }

    /// Writes records in the transaction, which has to go well: the base offset.
    #[track_caller]
    pub(crate) fn write(&mut self, topic: &Topic, partition: i32, count: usize) -> i64 {
        if self.kind == Kind::V1 {
            assert_eq!(self.add(3, &[(topic, partition)]), [0]);
        }
        let row = self.send_patiently(topic, partition, count);
        assert_eq!(row.error_code, 0, "{row:?}");
        row.base_offset
    }

    /// Like [`Producer::send`], and again while the coordinator can't answer: the last transaction may still be
    /// ending, for longer than the broker waits on a machine that has much else to do.
    pub(crate) fn send_patiently(
        &mut self,
        topic: &Topic,
        partition: i32,
        count: usize,
    ) -> ProduceResponsePartition {
        wait_for("the coordinator answers", PATIENCE, || {
            let row = self.send(topic, partition, count);
            (row.error_code != NOT_ENOUGH_REPLICAS).then_some(row)
        })
    }

    /// Sends records of the transaction; if they are taken the next sequence follows.
    pub(crate) fn send(&mut self, topic: &Topic, partition: i32, count: usize) -> ProduceResponsePartition {
        let place = (topic.name.clone(), partition);
        let sequence = self.sequences.get(&place).copied().unwrap_or(0);
        let batch = counted(count).of_producer(self.id, self.epoch, sequence);
        let row = self.send_batch(self.kind.produce_version(), topic, partition, in_transaction(batch));
        if row.error_code == 0 {
            self.sequences.insert(place, sequence + i32::try_from(count).expect("few"));
        }
        row
    }

    /// Sends any batch under the transactional id.
    pub(crate) fn send_batch(
        &mut self,
        version: i16,
        topic: &Topic,
        partition: i32,
        batch: TestBatch,
    ) -> ProduceResponsePartition {
        let request = self.request(topic, partition, &batch);
        only_produced(self.client.request(version, &request))
    }

    /// The request that sends it.
    pub(crate) fn request(&self, topic: &Topic, partition: i32, batch: &TestBatch) -> ProduceRequest {
        ProduceRequest {
            transactional_id: Some(self.transactional_id.clone()),
            ..produce_request(-1, topic, partition, batch.to_bytes())
        }
    }

    /// What DescribeTransactions tells of the id.
    pub(crate) fn described(&mut self) -> DescribeTransactionsResponseState {
        described(&mut self.client, &self.transactional_id)
    }

    /// Waits until the transaction is in this state.
    pub(crate) fn wait_for_state(&mut self, state: &str) {
        wait_for_state(&mut self.client, &self.transactional_id, state);
    }
}

/// What DescribeTransactions tells of an id.
fn described(client: &mut WireClient, transactional_id: &Str) -> DescribeTransactionsResponseState {
    let request = DescribeTransactionsRequest { transactional_ids: vec![transactional_id.clone()] };
    client.request(0, &request).transaction_states.remove(0)
}

/// Waits until the transaction of an id is in this state.
pub(crate) fn wait_for_state(client: &mut WireClient, transactional_id: &Str, state: &str) {
    wait_for(state, PATIENCE, || {
        (described(client, transactional_id).transaction_state == state).then_some(())
    });
}

/// The same batch as one of a transaction.
pub(crate) fn in_transaction(batch: TestBatch) -> TestBatch {
    TestBatch { attributes: Attributes(batch.attributes).with_transactional(true).0, ..batch }
}

pub(crate) fn only_produced(mut answer: ProduceResponse) -> ProduceResponsePartition {
    answer.responses.remove(0).partition_responses.remove(0)
}
