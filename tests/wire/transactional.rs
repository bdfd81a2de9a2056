//! A transactional producer by hand: what it sends, and the codes that it gets.

use ottla_protocol::api::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnRequestTopic};
use ottla_protocol::api::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponseState,
};
use ottla_protocol::api::end_txn::EndTxnRequest;
use ottla_protocol::api::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, Topic, fresh_name};

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

/// A producer with a transactional id of its own.
pub(crate) struct Producer {
    pub(crate) client: WireClient,
    pub(crate) transactional_id: Str,
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// Codes that say: not yet.
fn is_passing(code: i16) -> bool {
    [14, 15, 16, 51].contains(&code)
}

impl Producer {
    /// One that has its session.
    pub(crate) fn new(bed: &Bed) -> Producer {
        Producer::with_timeout(bed, 60_000)
    }

    pub(crate) fn with_timeout(bed: &Bed, timeout_ms: i32) -> Producer {
        let mut client = bed.client();
        let transactional_id = fresh_name();
        find(&mut client, &transactional_id);
        let mut producer = Producer { client, transactional_id, id: -1, epoch: -1 };
        let request = InitProducerIdRequest { transaction_timeout_ms: timeout_ms, ..producer.init_request() };
        let response = wait_for("a session", PATIENCE, || {
            let response = producer.client.request(4, &request);
            (!is_passing(response.error_code)).then_some(response)
        });
        assert_eq!(response.error_code, 0);
        producer.take(&response);
        producer
    }

    pub(crate) fn take(&mut self, response: &InitProducerIdResponse) {
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
