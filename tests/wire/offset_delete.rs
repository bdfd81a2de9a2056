//! OffsetDelete: of groups that are there, of topics that nobody reads.

use ottla_protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::wire::Str;
use ottla_testkit::wire_client::WireClient;

use crate::bed::Bed;
use crate::check::Checks;
use crate::group_members::fresh_group;
use crate::offset_commit::{commit, committed, request, row};

/// The error for all, and the rows' codes.
fn delete(client: &mut WireClient, group: &Str, topic: &Str, partitions: &[i32]) -> (i16, Vec<i16>) {
    let rows = partitions.iter().map(|index| OffsetDeleteRequestPartition { partition_index: *index });
    let topic = OffsetDeleteRequestTopic { name: topic.clone(), partitions: rows.collect() };
    let answer = client.request(0, &OffsetDeleteRequest { group_id: group.clone(), topics: vec![topic] });
    let rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
    (answer.error_code, rows.map(|row| row.error_code).collect())
}

#[test]
fn offsets_of_a_group_without_members_are_deleted() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let group = fresh_group(&bed);
    let mut client = bed.client();
    let mut checks = Checks::new();
    checks.same("no name", delete(&mut client, &Str::from(""), &topic.name, &[0]), (24, vec![]));
    checks.same("no group", delete(&mut client, &group, &topic.name, &[0]), (69, vec![]));
    assert_eq!(commit(&mut client, 9, &request(&group, &topic, vec![row(0, 5)])), [0]);
    let nowhere = Str::from("nowhere");
    checks.same("no topic", delete(&mut client, &group, &nowhere, &[0]), (0, vec![3]));
    checks.same("never committed", delete(&mut client, &group, &topic.name, &[1, 9]), (0, vec![0, 3]));
    checks.same("deleted", delete(&mut client, &group, &topic.name, &[0]), (0, vec![0]));
    checks.same("gone", committed(&mut client, &group, &topic, 0).committed_offset, -1);
}
