//! A transactional producer by hand: every request of a transaction, in the old way and the new.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ottla_protocol::api::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnRequestTopic};
use ottla_protocol::api::describe_producers::{
    DescribeProducersRequest, DescribeProducersRequestTopic, DescribeProducersResponseProducer,
};
use ottla_protocol::api::end_txn::EndTxnRequest;
use ottla_protocol::api::fetch::{FetchRequest, FetchResponsePartition};
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::api::produce::{ProduceRequest, ProduceResponsePartition};
use ottla_protocol::record::Attributes;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{TestBatch, counted, read_batches};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    FETCH, PATIENCE, Topic, fetch_partition, fetch_request, fresh_name, list_offsets_request, only_row,
    produce_request, records_of,
};

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

/// A transactional producer.
#[derive(Debug)]
pub(crate) struct Transactional {
    pub(crate) client: WireClient,
    pub(crate) kind: Kind,
    pub(crate) id: Str,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    sequences: BTreeMap<(Str, i32), i32>,
}

impl Transactional {
    /// One with an id that nobody else has.
    pub(crate) fn fresh(address: SocketAddr, kind: Kind) -> Transactional {
        Transactional::with(address, kind, fresh_name(), 60_000)
    }

    /// One that takes over this id, and waits until what it was used for has ended.
    pub(crate) fn with(address: SocketAddr, kind: Kind, id: Str, timeout_ms: i32) -> Transactional {
        let mut client = WireClient::connect(address);
        let request = InitProducerIdRequest {
            transactional_id: Some(id.clone()),
            transaction_timeout_ms: timeout_ms,
            ..InitProducerIdRequest::default()
        };
        let given = wait_for("a producer id", PATIENCE, || {
            let answer = client.request(4, &request);
            (answer.error_code == 0).then_some(answer)
        });
        let (producer_id, epoch) = (given.producer_id, given.producer_epoch);
        Transactional { client, kind, id, producer_id, epoch, sequences: BTreeMap::new() }
    }

    /// AddPartitionsToTxn: the partition's code.
    pub(crate) fn add(&mut self, topic: &Topic, partition: i32) -> i16 {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.id.clone(),
            v3_and_below_producer_id: self.producer_id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnRequestTopic {
                name: topic.name.clone(),
                partitions: vec![partition],
            }],
            ..AddPartitionsToTxnRequest::default()
        };
        let added = self.client.request(3, &request);
        added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    }

    /// Writes records in the transaction, which has to go well: the base offset.
    #[track_caller]
    pub(crate) fn write(&mut self, topic: &Topic, partition: i32, count: usize) -> i64 {
        if self.kind == Kind::V1 {
            // The last transaction may still be ending.
            wait_for("the partition is added", PATIENCE, || (self.add(topic, partition) == 0).then_some(()));
        }
        let row = self.send_patiently(topic, partition, count);
        assert_eq!(row.error_code, 0, "{row:?}");
        row.base_offset
    }

    /// Like [`Transactional::send`], and again while the coordinator can't answer: the last transaction may still be
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
        let batch = counted(count).of_producer(self.producer_id, self.epoch, sequence);
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
            transactional_id: Some(self.id.clone()),
            ..produce_request(-1, topic, partition, batch.to_bytes())
        }
    }

    /// EndTxn: its code. A session that comes with it is taken.
    pub(crate) fn try_end(&mut self, committed: bool) -> i16 {
        let request = EndTxnRequest {
            transactional_id: self.id.clone(),
            producer_id: self.producer_id,
            producer_epoch: self.epoch,
            committed,
        };
        let answer = self.client.request(self.kind.end_version(), &request);
        if answer.error_code == 0 && self.kind == Kind::V2 {
            (self.producer_id, self.epoch) = (answer.producer_id, answer.producer_epoch);
            self.sequences.clear();
        }
        answer.error_code
    }

    /// Ends the transaction, which has to go well.
    #[track_caller]
    pub(crate) fn end(&mut self, committed: bool) {
        assert_eq!(self.try_end(committed), 0, "it ends");
    }
}

/// The same batch as one of a transaction.
pub(crate) fn in_transaction(batch: TestBatch) -> TestBatch {
    TestBatch { attributes: Attributes(batch.attributes).with_transactional(true).0, ..batch }
}

pub(crate) fn only_produced(
    mut answer: ottla_protocol::api::produce::ProduceResponse,
) -> ProduceResponsePartition {
    answer.responses.remove(0).partition_responses.remove(0)
}

/// A Fetch of committed records only.
pub(crate) fn committed_request(topic: &Topic, partition: i32, from: i64) -> FetchRequest {
    FetchRequest { isolation_level: 1, ..fetch_request(topic, vec![fetch_partition(partition, from)]) }
}

/// What a reader of committed records gets from an offset on.
#[track_caller]
pub(crate) fn fetch_committed(
    client: &mut WireClient,
    topic: &Topic,
    partition: i32,
    from: i64,
) -> FetchResponsePartition {
    only_row(client.request(FETCH, &committed_request(topic, partition, from)))
}

/// The last stable offset, as ListOffsets tells it.
pub(crate) fn stable_end(client: &mut WireClient, topic: &Topic, partition: i32) -> i64 {
    let mut request = list_offsets_request(&topic.name, partition, -1);
    request.isolation_level = 1;
    let row = client.request(6, &request).topics.remove(0).partitions.remove(0);
    assert_eq!(row.error_code, 0, "{row:?}");
    row.offset
}

/// Waits until no transaction is open in a partition.
#[track_caller]
pub(crate) fn wait_for_no_open_transaction(client: &mut WireClient, topic: &Topic, partition: i32) {
    wait_for("no transaction is open", PATIENCE, || {
        let row = fetch_committed(client, topic, partition, 0);
        (row.last_stable_offset == row.high_watermark).then_some(())
    });
}

/// Waits until a partition's last stable offset is this.
#[track_caller]
pub(crate) fn wait_for_stable_end(client: &mut WireClient, topic: &Topic, partition: i32, end: i64) {
    wait_for(&format!("the last stable offset is {end}"), PATIENCE, || {
        (stable_end(client, topic, partition) == end).then_some(())
    });
}

/// The offsets of the records that a consumer of committed records would hand on, from the partition's beginning.
#[track_caller]
pub(crate) fn committed_offsets(client: &mut WireClient, topic: &Topic, partition: i32) -> Vec<i64> {
    let (mut offsets, mut next) = (Vec::new(), 0);
    loop {
        let row = fetch_committed(client, topic, partition, next);
        assert_eq!(row.error_code, 0, "{row:?}");
        let batches = read_batches(&records_of(&row));
        if batches.is_empty() {
            return offsets;
        }
        let mut aborted: Vec<(i64, i64)> = row
            .aborted_transactions
            .unwrap_or_default()
            .iter()
            .map(|one| (one.first_offset, one.producer_id))
            .collect();
        aborted.sort_unstable();
        let mut skipped = std::collections::BTreeSet::new();
        for batch in batches {
            let header = &batch.header;
            while let Some((_, producer)) =
                aborted.pop_if_first(|(first, _)| *first <= header.last_offset().0)
            {
                skipped.insert(producer);
            }
            next = header.next_offset().0;
            let is_marker = header.attributes.is_control();
            if is_marker {
                skipped.remove(&header.producer_id.0);
            } else if !(header.attributes.is_transactional() && skipped.contains(&header.producer_id.0)) {
                offsets.extend(header.base_offset.0..next);
            }
        }
    }
}

trait PopIfFirst<T> {
    fn pop_if_first(&mut self, is_wanted: impl FnOnce(&T) -> bool) -> Option<T>;
}

impl<T> PopIfFirst<T> for Vec<T> {
    fn pop_if_first(&mut self, is_wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        if self.first().is_some_and(is_wanted) { Some(self.remove(0)) } else { None }
    }
}

/// What DescribeProducers tells of a partition.
pub(crate) fn producers_of(
    client: &mut WireClient,
    topic: &Topic,
    partition: i32,
) -> Vec<DescribeProducersResponseProducer> {
    let request = DescribeProducersRequest {
        topics: vec![DescribeProducersRequestTopic {
            name: topic.name.clone(),
            partition_indexes: vec![partition],
        }],
    };
    client.request(0, &request).topics.remove(0).partitions.remove(0).active_producers
}
