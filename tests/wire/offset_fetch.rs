//! OffsetFetch: of groups that have committed nothing, and who may ask.

use ottla_protocol::api::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::api::offset_commit::OffsetCommitRequest;
use ottla_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponsePartition,
};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, Topic};
use crate::check::{Checks, kafka, ours};
use crate::consumer_group_heartbeat::join;
use crate::group_members::{fresh_group, stable_one};
use crate::offset_commit::{commit, row as offset_row};

const NEWEST: i16 = 10;

/// Asks in whichever way the version has for several groups, one after the other or all at once.
fn ask(
    client: &mut WireClient,
    version: i16,
    groups: &[OffsetFetchRequestGroup],
) -> Vec<(String, OffsetFetchResponse)> {
    if 8 <= version {
        let response =
            client.request(version, &OffsetFetchRequest { groups: groups.to_vec(), ..Default::default() });
        let names = response.groups.iter().map(|group| group.group_id.to_string());
        return names.map(|name| (name, response.clone())).collect();
    }
    let one = |group: &OffsetFetchRequestGroup| {
        let topics = group.topics.as_ref().map(|topics| {
            let plain = |topic: &OffsetFetchRequestTopics| OffsetFetchRequestTopic {
                name: topic.name.clone(),
                partition_indexes: topic.partition_indexes.clone(),
            };
            topics.iter().map(plain).collect()
        });
        let request = OffsetFetchRequest { group_id: group.group_id.clone(), topics, ..Default::default() };
        (group.group_id.to_string(), client.request(version, &request))
    };
    groups.iter().map(one).collect()
}

/// The rows of one group, each with its topic, and the group's error.
fn rows(version: i16, response: &OffsetFetchResponse, group: &str) -> (Vec<Row>, i16) {
    let row = |partition: &OffsetFetchResponsePartition| {
        let metadata = partition.metadata.as_ref().map(ToString::to_string);
        let told = (partition.committed_offset, partition.committed_leader_epoch, metadata);
        (partition.partition_index, told, partition.error_code)
    };
    if version < 8 {
        let all = response.topics.iter();
        let rows = all.flat_map(|topic| topic.partitions.iter().map(|p| (topic.name.to_string(), row(p))));
        return (rows.collect(), response.error_code);
    }
    let group = response.groups.iter().find(|one| &*one.group_id == group).expect("the group is answered");
    let all = group.topics.iter();
    let named = |topic: &str, id: TopicId| if version < 10 { topic.to_owned() } else { id.to_string() };
    let rows = all
        .flat_map(|topic| topic.partitions.iter().map(move |p| (named(&topic.name, topic.topic_id), row(p))));
    (rows.collect(), group.error_code)
}

type Row = (String, (i32, (i64, i32, Option<String>), i16));

fn nothing(topic: &str, partition: i32, error: i16) -> Row {
    (topic.to_owned(), (partition, (-1, -1, Some(String::new())), error))
}

fn group(name: &str, topics: Option<Vec<OffsetFetchRequestTopics>>) -> OffsetFetchRequestGroup {
    OffsetFetchRequestGroup { group_id: Str::copy_of(name), topics, ..Default::default() }
}

fn topics(asked: &[(&Topic, &[i32])]) -> Option<Vec<OffsetFetchRequestTopics>> {
    let one = |(topic, partitions): &(&Topic, &[i32])| OffsetFetchRequestTopics {
        name: topic.name.clone(),
        topic_id: topic.id,
        partition_indexes: partitions.to_vec(),
    };
    Some(asked.iter().map(one).collect())
}

/// A client whose groups are coordinated: Kafka creates a topic for that first.
fn client(bed: &Bed) -> WireClient {
    let mut client = bed.client();
    let groups = ["nobody", "", "a", "b"].map(Str::from).to_vec();
    wait_for("the groups are coordinated", PATIENCE, || {
        let request = FindCoordinatorRequest { coordinator_keys: groups.clone(), ..Default::default() };
        let found = client.request(4, &request).coordinators.iter().all(|row| row.error_code == 0);
        let every = groups.iter().map(|name| group(name, Some(Vec::new()))).collect();
        let request = OffsetFetchRequest { groups: every, ..Default::default() };
        let mut is_loaded = || client.request(8, &request).groups.iter().all(|group| group.error_code == 0);
        (found && is_loaded()).then_some(())
    });
    client
}

#[test]
fn a_group_that_committed_nothing_has_no_offset_for_each_partition() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let absent = Topic { name: Str::from("nowhere"), id: TopicId([7; 16]) };
    let mut client = client(&bed);
    let mut checks = Checks::new();
    for version in 1..=NEWEST {
        // A partition that is not there is as uncommitted as any; a topic by an id that nobody knows is an error.
        let asked = topics(&[(&topic, &[1, 0, 9, -1]), (&absent, &[0])]);
        for name in ["nobody", ""] {
            let (_, response) = ask(&mut client, version, &[group(name, asked.clone())]).remove(0);
            let (there, not_there, error) = if version < 10 {
                (topic.name.to_string(), absent.name.to_string(), 0)
            } else {
                (topic.id.to_string(), absent.id.to_string(), 100)
            };
            let mut expected = [1, 0, 9, -1].map(|partition| nothing(&there, partition, 0)).to_vec();
            expected.push(nothing(&not_there, 0, error));
            checks.same(format!("v{version} {name:?}"), rows(version, &response, name), (expected, 0));
        }
    }
}

#[test]
fn all_that_a_group_committed_is_nothing() {
    let bed = Bed::shared();
    let mut client = client(&bed);
    let mut checks = Checks::new();
    for version in 2..=NEWEST {
        for asked in [None, Some(Vec::new())] {
            let case = format!("v{version} {asked:?}");
            let (_, response) = ask(&mut client, version, &[group("nobody", asked)]).remove(0);
            checks.same(case, rows(version, &response, "nobody"), (Vec::new(), 0));
        }
    }
    // Version 1 has no null, and closes.
    client.send_raw(9, 1, 1, &[0, 1, b'g', 0xff, 0xff, 0xff, 0xff]);
    client.expect_close("null topics in version 1");
}

#[test]
fn several_groups_are_answered_in_their_order() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = client(&bed);
    let one = group("b", topics(&[(&topic, &[0])]));
    // A member of a group that is not there is not looked for.
    let member = OffsetFetchRequestGroup {
        member_id: Some(Str::from("somebody")),
        member_epoch: 3,
        ..group("a", topics(&[(&topic, &[0, 0])]))
    };
    for version in 8..=NEWEST {
        let answers = ask(&mut client, version, &[one.clone(), member.clone(), group("nobody", None)]);
        let names: Vec<&str> = answers.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["b", "a", "nobody"], "v{version}");
        let of = |name: &str| rows(version, &answers[0].1, name);
        let name = if version < 10 { topic.name.to_string() } else { topic.id.to_string() };
        let row = nothing(&name, 0, 0);
        assert_eq!(of("b"), (vec![row.clone()], 0), "v{version}");
        assert_eq!(of("a"), (vec![row.clone(), row], 0), "v{version}");
        assert_eq!(of("nobody"), (Vec::new(), 0), "v{version}");
    }
    let none = client.request(NEWEST, &OffsetFetchRequest::default());
    assert_eq!(none.groups, []);
}

#[test]
fn members_of_a_consumer_group_ask_at_their_epoch() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let absent = Topic { name: Str::from("nowhere"), id: TopicId([7; 16]) };
    let mut client = bed.client();
    let name = fresh_group(&bed);
    let joined = client.request(1, &join(&name, "m", &topic.name));
    assert_eq!((joined.error_code, joined.member_epoch), (0, 2));
    let request = OffsetCommitRequest {
        member_id: Str::from("m"),
        generation_id_or_member_epoch: 2,
        ..crate::offset_commit::request(&name, &topic, vec![offset_row(0, 5)])
    };
    assert_eq!(commit(&mut client, 9, &request), [0]);
    let mut checks = Checks::new();
    for version in 9..=NEWEST {
        for (case, member_id, member_epoch, expected) in [
            ("a member", Some("m"), 2, 0),
            ("an older epoch", Some("m"), 1, 113),
            ("no epoch", Some("m"), -1, 113),
            ("a later epoch", Some("m"), 3, 113),
            ("an unknown member", Some("n"), 2, 25),
            ("an unknown member at another epoch", Some("n"), 7, 25),
            ("an empty id", Some(""), -1, 25),
            ("an epoch of nobody", None, 2, ours(25, kafka(-1))),
            ("nobody", None, -1, 0),
        ] {
            // Who asks matters before what for.
            let asked = topics(&[(&topic, &[0]), (&absent, &[0])]);
            let one = OffsetFetchRequestGroup {
                member_id: member_id.map(Str::from),
                member_epoch,
                ..group(&name, asked)
            };
            let (_, response) = ask(&mut client, version, &[one]).remove(0);
            let (found, error) = rows(version, &response, &name);
            let offsets: Vec<(i64, i16)> =
                found.iter().map(|(_, (_, told, error))| (told.0, *error)).collect();
            let of_absent = if version < 10 { 0 } else { 100 };
            let told = if expected == 0 { vec![(5, 0), (-1, of_absent)] } else { vec![] };
            checks.same(format!("v{version} {case}"), (error, offsets), (expected, told));
        }
    }
    // Earlier versions can't say who asks.
    for version in 1..9 {
        let (_, response) = ask(&mut client, version, &[group(&name, topics(&[(&topic, &[0])]))]).remove(0);
        let (found, error) = rows(version, &response, &name);
        checks.same(format!("v{version}"), (error, found[0].1.1.0), (0, 5));
    }
}

#[test]
fn a_classic_group_does_not_ask_who_it_is() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let name = stable_one(&bed).request.group_id.clone();
    let one = OffsetFetchRequestGroup {
        member_id: Some(Str::from("nobody")),
        member_epoch: 7,
        ..group(&name, topics(&[(&topic, &[0])]))
    };
    let (_, response) = ask(&mut client, 9, &[one]).remove(0);
    assert_eq!(rows(9, &response, &name), (vec![nothing(&topic.name, 0, 0)], 0));
}
