//! DeleteGroups: groups without members go with their offsets.

use ottla_protocol::api::delete_groups::DeleteGroupsRequest;
use ottla_protocol::wire::Str;
use ottla_testkit::wire_client::WireClient;

use crate::bed::Bed;
use crate::group_members::fresh_group;
use crate::offset_commit::{commit, committed, request, row};

fn delete(client: &mut WireClient, version: i16, groups: &[&Str]) -> Vec<(Str, i16)> {
    let names = groups.iter().copied().cloned().collect();
    let answer = client.request(version, &DeleteGroupsRequest { groups_names: names });
    let mut rows: Vec<_> = answer.results.into_iter().map(|row| (row.group_id, row.error_code)).collect();
    rows.sort();
    rows
}

#[test]
fn a_group_without_members_goes_with_its_offsets() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    for version in 0..=2 {
        let (group, other) = (fresh_group(&bed), fresh_group(&bed));
        assert_eq!(delete(&mut client, version, &[&group]), [(group.clone(), 69)]);
        assert_eq!(commit(&mut client, 9, &request(&group, &topic, vec![row(0, 5)])), [0]);
        let mut expected = vec![(group.clone(), 0), (other.clone(), 69)];
        expected.sort();
        assert_eq!(delete(&mut client, version, &[&group, &other]), expected);
        assert_eq!(committed(&mut client, &group, &topic, 0).committed_offset, -1);
        assert_eq!(delete(&mut client, version, &[&group]), [(group.clone(), 69)]);
    }
}
