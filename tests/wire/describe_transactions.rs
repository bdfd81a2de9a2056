//! DescribeTransactions: where an id stands, row by row.

use ottla_protocol::api::describe_transactions::DescribeTransactionsRequest;
use ottla_protocol::wire::Str;

use crate::bed::{Bed, now_ms};
use crate::transactional::Producer;

#[test]
fn a_transaction_is_told_at_each_step() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut producer = Producer::with_timeout(&bed, 70_000);
    let described = producer.described();
    assert_eq!((described.error_code, described.transaction_state.as_str()), (0, "Empty"));
    assert_eq!((described.producer_id, described.producer_epoch), (producer.id, 0));
    assert_eq!(described.transaction_timeout_ms, 70_000);
    assert_eq!(described.transaction_start_time_ms, -1);
    assert!(described.topics.is_empty());

    let before = now_ms();
    assert_eq!(producer.add(3, &[(&topic, 0), (&topic, 1)]), [0, 0]);
    let ongoing = producer.described();
    assert_eq!(ongoing.transaction_state, "Ongoing");
    let started_at = ongoing.transaction_start_time_ms;
    assert!((before..=now_ms()).contains(&started_at), "{started_at}");
    let mut partitions = ongoing.topics[0].partitions.clone();
    partitions.sort_unstable();
    assert_eq!((ongoing.topics.len(), partitions), (1, vec![0, 1]));

    assert_eq!(producer.end(5, true), (0, 1));
    producer.wait_for_state("CompleteCommit");
    let complete = producer.described();
    assert_eq!(complete.producer_epoch, 1);
    assert!(complete.topics.is_empty());
    assert_eq!(complete.transaction_start_time_ms, started_at, "it stays after the end");
}

#[test]
fn unknown_and_empty_ids_have_rows_with_their_errors() {
    let bed = Bed::shared();
    let mut producer = Producer::new(&bed);
    let ids = ["", "nobody", &producer.transactional_id].map(Str::copy_of);
    let request = DescribeTransactionsRequest { transactional_ids: ids.to_vec() };
    let response = producer.client.request(0, &request);
    let mut rows: Vec<(Str, i16)> =
        response.transaction_states.into_iter().map(|row| (row.transactional_id, row.error_code)).collect();
    rows.sort();
    let mut expected = ids.into_iter().zip([42, 105, 0]).collect::<Vec<_>>();
    expected.sort();
    assert_eq!(rows, expected);
}
