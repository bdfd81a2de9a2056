//! DescribeTopicPartitions: pages of sorted topics, cursors, and topics that are not there.

use ottla_protocol::api::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsRequestCursor,
    DescribeTopicPartitionsRequestTopic, DescribeTopicPartitionsResponse,
};
use ottla_protocol::wire::Str;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, is_peer};
use crate::check::{Checks, kafka, ours};

fn request(names: &[&str]) -> DescribeTopicPartitionsRequest {
    let topics =
        names.iter().map(|name| DescribeTopicPartitionsRequestTopic { name: Str::copy_of(name) }).collect();
    DescribeTopicPartitionsRequest { topics, ..DescribeTopicPartitionsRequest::default() }
}

fn at(name: &str, partition_index: i32) -> Option<DescribeTopicPartitionsRequestCursor> {
    Some(DescribeTopicPartitionsRequestCursor { topic_name: Str::copy_of(name), partition_index })
}

/// Each topic's name, error and partitions, and where the next page begins.
type Shown = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

fn show(response: &DescribeTopicPartitionsResponse) -> Shown {
    let topics = response.topics.iter().map(|topic| {
        let name = topic.name.as_deref().unwrap_or("null").to_owned();
        (name, topic.error_code, topic.partitions.iter().map(|row| row.partition_index).collect())
    });
    let cursor = response.next_cursor.as_ref();
    (topics.collect(), cursor.map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index)))
}

fn ask(client: &mut WireClient, request: DescribeTopicPartitionsRequest) -> Shown {
    show(&client.request(0, &request))
}

/// Two topics in the order of their names.
fn two_topics(bed: &Bed) -> (String, String) {
    let mut names = [bed.topic(3, &[]).name.to_string(), bed.topic(3, &[]).name.to_string()];
    names.sort();
    names.into()
}

#[test]
fn a_topic_is_described_whole() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let response = bed.client().request(0, &request(&[&topic.name]));
    assert_eq!((response.topics.len(), response.next_cursor), (1, None));
    let row = &response.topics[0];
    assert_eq!((row.error_code, row.name.as_ref(), row.topic_id), (0, Some(&topic.name), topic.id));
    // Whether asked for or not.
    assert_eq!((row.is_internal, row.topic_authorized_operations), (false, 3576));
    for (partition, index) in row.partitions.iter().zip(0..) {
        assert_eq!((partition.error_code, partition.partition_index, partition.leader_id), (0, index, 1));
        assert_eq!(partition.leader_epoch, crate::bed::leader_epoch(&mut bed.client(), &topic));
        assert_eq!((&*partition.replica_nodes, &*partition.isr_nodes), (&[1][..], &[1][..]));
        let none = Some(Vec::new());
        assert_eq!((&partition.eligible_leader_replicas, &partition.last_known_elr), (&none, &none));
        assert_eq!(partition.offline_replicas, [0; 0]);
    }
    assert_eq!(row.partitions.len(), 2);
}

#[test]
fn topics_come_sorted_and_once() {
    let bed = Bed::shared();
    let (first, second) = two_topics(&bed);
    let asked = request(&[&second, "zzz", &first, "a b", &first]);
    let all = vec![0, 1, 2];
    let expected = vec![
        ("a b".into(), 17, vec![]),
        (first, 0, all.clone()),
        (second, 0, all),
        ("zzz".into(), 3, vec![]),
    ];
    assert_eq!(ask(&mut bed.client(), asked), (expected, None));
}

#[test]
fn a_page_ends_where_the_limit_or_the_cursor_says() {
    let bed = Bed::shared();
    let (first, second) = two_topics(&bed);
    let (one, two) = (first.as_str(), second.as_str());
    let mut client = bed.client();
    let mut checks = Checks::new();
    for (case, limit, cursor, rows, next) in [
        ("room for all", 6, None, vec![(one, vec![0, 1, 2]), (two, vec![0, 1, 2])], None),
        ("room for some of the first", 2, None, vec![(one, vec![0, 1])], Some((one, 2))),
        ("room for the first", 3, None, vec![(one, vec![0, 1, 2])], Some((two, 0))),
        ("room for more", 4, None, vec![(one, vec![0, 1, 2]), (two, vec![0])], Some((two, 1))),
        ("no limit counts as one", 0, None, vec![(one, vec![0])], Some((one, 1))),
        ("nor does a negative", -5, None, vec![(one, vec![0])], Some((one, 1))),
        ("from within", 2000, at(one, 2), vec![(one, vec![2]), (two, vec![0, 1, 2])], None),
        ("from behind the last partition", 2000, at(one, 3), vec![(one, vec![]), (two, vec![0, 1, 2])], None),
        ("from far behind", 2000, at(one, 99), vec![(one, vec![]), (two, vec![0, 1, 2])], None),
        ("from the second", 2000, at(two, 0), vec![(two, vec![0, 1, 2])], None),
    ] {
        let asked = DescribeTopicPartitionsRequest {
            response_partition_limit: limit,
            cursor,
            ..request(&[&first, &second])
        };
        let rows: Vec<_> = rows.into_iter().map(|(name, indexes)| (name.to_owned(), 0, indexes)).collect();
        let next = next.map(|(name, index)| (name.to_owned(), index));
        checks.same(case, ask(&mut client, asked), (rows, next));
    }
}

#[test]
fn a_topic_that_is_not_there_takes_no_room() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]).name.to_string();
    let mut client = bed.client();
    let missing = DescribeTopicPartitionsRequest { response_partition_limit: 1, ..request(&["zzz", "a b"]) };
    let rows = vec![("a b".to_owned(), 17, vec![]), ("zzz".to_owned(), 3, vec![])];
    assert_eq!(ask(&mut client, missing), (rows, None));
    // But a full page ends before it.
    let full = DescribeTopicPartitionsRequest { response_partition_limit: 2, ..request(&["zzz", &topic]) };
    assert_eq!(ask(&mut client, full), (vec![(topic, 0, vec![0, 1])], Some(("zzz".to_owned(), 0))));
    let behind = DescribeTopicPartitionsRequest { cursor: at("zzz", 5), ..request(&["zzz", "a b"]) };
    assert_eq!(ask(&mut client, behind), (vec![("zzz".to_owned(), 3, vec![])], None));
}

#[test]
fn a_cursor_that_makes_no_sense_is_refused() {
    let bed = Bed::shared();
    let (first, second) = two_topics(&bed);
    let mut client = bed.client();
    let mut checks = Checks::new();
    for (case, cursor) in [
        ("a topic that is not asked for, behind all", at("zzz", 0)),
        ("a topic that is not asked for, before all", at("a", 0)),
        ("a partition below 0", at(&first, -1)),
    ] {
        let asked = DescribeTopicPartitionsRequest { cursor, ..request(&[&second, &first]) };
        let response = client.request(0, &asked);
        checks.same(
            case,
            show(&response),
            (vec![(second.clone(), 42, vec![]), (first.clone(), 42, vec![])], None),
        );
        checks.same(format!("{case}: operations"), response.topics[0].topic_authorized_operations, i32::MIN);
    }
}

#[test]
fn an_empty_name_is_no_name() {
    let bed = Bed::shared();
    // Kafka fails over it, and every topic of the request with it.
    let expected = ours(17, kafka(-1));
    let shown = ask(&mut bed.client(), request(&[""]));
    assert_eq!(shown, (vec![(String::new(), expected, vec![])], None));
}

#[test]
fn all_topics_are_read_page_by_page() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("max.request.partition.size.limit", 4));
    let mut names: Vec<String> = (0..5).map(|_| bed.topic(3, &[]).name.to_string()).collect();
    names.sort();
    let expected: Vec<(String, i32)> =
        names.iter().flat_map(|name| (0..3).map(move |index| (name.clone(), index))).collect();
    let mut client = bed.client();
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let asked = DescribeTopicPartitionsRequest { cursor: cursor.take(), ..request(&[]) };
        let (rows, next) = ask(&mut client, asked);
        let page = rows.into_iter().flat_map(|(name, error, indexes)| {
            assert_eq!(error, 0);
            indexes.into_iter().map(move |index| (name.clone(), index)).collect::<Vec<_>>()
        });
        let page: Vec<_> = page.collect();
        assert!(page.len() <= 4, "the broker's limit holds whatever is asked for: {page:?}");
        found.extend(page);
        match next {
            None => break,
            Some((name, index)) => cursor = at(&name, index),
        }
    }
    assert_eq!(found, expected);
    // Of all topics the cursor may name one that is gone.
    let gone = DescribeTopicPartitionsRequest { cursor: at("a", 1), ..request(&[]) };
    assert_eq!(ask(&mut client, gone).0[0].0, names[0]);
}
