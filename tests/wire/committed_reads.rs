//! What readers of committed records see of transactions, and what a partition tells of their producers.

use std::collections::BTreeSet;

use ottla_protocol::api::describe_producers::{
    DescribeProducersRequest, DescribeProducersRequestTopic, DescribeProducersResponseProducer,
};
use ottla_protocol::api::fetch::{FetchRequest, FetchResponsePartition};
use ottla_testkit::batches::read_batches;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    FETCH, PATIENCE, Topic, fetch_partition, fetch_request, list_offsets_request, only_row, records_of,
};

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
        let mut skipped = BTreeSet::new();
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
