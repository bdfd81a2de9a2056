//! DescribeProducers: what a partition knows of its producers.

use ottla_protocol::api::describe_producers::{
    DescribeProducersRequest, DescribeProducersRequestTopic, DescribeProducersResponsePartition,
};
use ottla_protocol::wire::Str;
use ottla_testkit::batches::counted;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, append, command, create_topic, fresh_name, is_peer, now_ms, producer_id, topic_id};
use crate::check::Checks;

fn topic(name: &str, partitions: &[i32]) -> DescribeProducersRequestTopic {
    DescribeProducersRequestTopic { name: Str::copy_of(name), partition_indexes: partitions.to_vec() }
}

fn describe(
    client: &mut WireClient,
    topics: Vec<DescribeProducersRequestTopic>,
) -> Vec<DescribeProducersResponsePartition> {
    let response = client.request(0, &DescribeProducersRequest { topics });
    response.topics.into_iter().flat_map(|topic| topic.partitions).collect()
}

#[test]
fn idempotent_producers_are_listed() {
    let bed = Bed::shared();
    let known = bed.topic(2, &[]);
    let mut client = bed.client();
    let (id, now) = (producer_id(&mut client), now_ms());
    append(&mut client, &known, &counted(3).at(now));
    append(&mut client, &known, &counted(3).at(now).of_producer(id, 0, 0));
    append(&mut client, &known, &counted(2).at(now - 5).of_producer(id, 1, 0));
    let rows = describe(&mut client, vec![topic(&known.name, &[0, 1])]);
    assert_eq!(rows.len(), 2);
    let with = rows.iter().find(|row| row.partition_index == 0).expect("it is answered");
    assert_eq!(
        (with.error_code, &with.error_message, with.active_producers.len()),
        (0, &None, 1),
        "{with:?}"
    );
    let producer = &with.active_producers[0];
    assert_eq!((producer.producer_id, producer.producer_epoch, producer.last_sequence), (id, 1, 1));
    // The largest of the last batch, whose records are a millisecond apart or not at all.
    assert!((now - 5..now).contains(&producer.last_timestamp), "{producer:?}, {now}");
    assert_eq!((producer.coordinator_epoch, producer.current_txn_start_offset), (-1, -1));
    let without = rows.iter().find(|row| row.partition_index == 1).expect("it is answered");
    assert_eq!((without.error_code, without.active_producers.len()), (0, 0));
}

#[test]
fn refusals_have_their_codes() {
    let bed = Bed::shared();
    let known = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut checks = Checks::new();
    for (case, asked, codes, says) in [
        ("a topic that is there", topic(&known.name, &[0]), vec![0], false),
        ("an unknown partition", topic(&known.name, &[0, 9, -1]), vec![0, 3, 3], false),
        ("an unknown topic", topic("nobody", &[0]), vec![3], true),
        ("a bad name", topic("a b", &[0]), vec![17], true),
        ("a partition twice", topic(&known.name, &[0, 0]), vec![0, 0], false),
        ("no partitions", topic(&known.name, &[]), vec![], false),
    ] {
        let rows = describe(&mut client, vec![asked]);
        checks.same(case, rows.iter().map(|row| row.error_code).collect(), codes);
        checks.same(format!("{case}: a message"), rows.iter().any(|row| row.error_message.is_some()), says);
    }
    checks.same("nothing asked for", describe(&mut client, vec![]), vec![]);
}

#[test]
fn a_restart_remembers_them() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let name = fresh_name();
    create_topic(&mut client, &name, 1, &[]);
    let id = producer_id(&mut client);
    let produced = crate::bed::Topic { id: topic_id(&mut client, &name), name: name.clone() };
    append(&mut client, &produced, &counted(4).of_producer(id, 0, 0));
    let before = describe(&mut client, vec![topic(&name, &[0])]);
    assert_eq!(before[0].active_producers[0].last_sequence, 3);
    broker.stop();
    let broker = command(directory.path()).start();
    assert_eq!(describe(&mut WireClient::connect(broker.address()), vec![topic(&name, &[0])]), before);
}
