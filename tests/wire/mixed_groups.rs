//! Consumer groups that members of both protocols are in: who is refused, by which code, where two things are wrong.

use ottla_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupRequestMember};
use ottla_protocol::api::offset_commit::OffsetCommitRequest;
use ottla_protocol::api::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use ottla_protocol::api::sync_group::SyncGroupRequest;
use ottla_protocol::wire::Str;
use ottla_testkit::members::subscription;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, Topic};
use crate::check::Checks;
use crate::consumer_group_heartbeat::{beat, join};
use crate::group_members::{BEAT, JOIN, Member, SYNC, fresh_group};
use crate::offset_commit::{commit, request, row};

/// A group of `m`, which speaks the consumer protocol, and of a classic member of the instance `i`, which has just joined.
fn mixed(bed: &Bed, topic: &Topic) -> Member {
    let group = fresh_group(bed);
    let joined = bed.client().request(1, &join(&group, "m", &topic.name));
    assert_eq!((joined.error_code, joined.member_epoch), (0, 2));
    let mut classic = Member::of_instance(bed, &group, "i");
    classic.request.protocols = protocols(topic, &["range", "sticky"]);
    assert_eq!(classic.join().error_code, 0);
    classic
}

fn protocols(topic: &Topic, names: &[&'static str]) -> Vec<JoinGroupRequestProtocol> {
    let protocol = |name: &&'static str| JoinGroupRequestProtocol {
        name: Str::from(*name),
        metadata: subscription(&[&topic.name]),
    };
    names.iter().map(protocol).collect()
}

/// Who a request is from: member id, how far from its generation, instance.
type Who<'a> = (&'a str, i32, Option<&'a str>);

#[test]
fn heartbeats_and_syncs_of_classic_members_are_checked_in_their_order() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let classic = mixed(&bed, &topic);
    let (id, generation) = (classic.id(), classic.generation);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let identities: [(&str, Who<'_>, i16); 9] = [
        ("an unknown member", ("nobody", 7, None), 25),
        ("no member id", ("", 7, None), 25),
        ("a member of the other protocol", ("m", 0, None), 25),
        ("a member of the other protocol, of another generation", ("m", 7, None), 25),
        ("an unknown instance", (&id, 7, Some("j")), 25),
        ("another one's instance", ("nobody", 7, Some("i")), 82),
        ("an instance without its member", ("", 0, Some("i")), 82),
        ("another generation", (&id, 7, Some("i")), 22),
        ("another generation, without the instance", (&id, -9, None), 22),
    ];
    for (case, (member_id, distance, instance), expected) in identities {
        let heartbeat = HeartbeatRequest {
            member_id: Str::copy_of(member_id),
            generation_id: generation + distance,
            group_instance_id: instance.map(Str::copy_of),
            ..classic.heartbeat_request()
        };
        checks.same(format!("Heartbeat: {case}"), client.request(BEAT, &heartbeat).error_code, expected);
        let sync = SyncGroupRequest {
            member_id: Str::copy_of(member_id),
            generation_id: generation + distance,
            group_instance_id: instance.map(Str::copy_of),
            protocol_type: Some(Str::from("connect")),
            ..classic.sync_request(&[])
        };
        checks.same(format!("SyncGroup: {case}"), client.request(SYNC, &sync).error_code, expected);
    }
    for (case, protocol_type, name, expected) in [
        ("another type", Some("connect"), Some("range"), 23),
        ("another protocol", Some("consumer"), Some("roundrobin"), 23),
        ("its second protocol", Some("consumer"), Some("sticky"), 23),
        ("no type", None, Some("range"), 23),
        ("no protocol", Some("consumer"), None, 23),
    ] {
        let sync = SyncGroupRequest {
            protocol_type: protocol_type.map(Str::from),
            protocol_name: name.map(Str::from),
            ..classic.sync_request(&[])
        };
        checks.same(format!("SyncGroup: {case}"), client.request(SYNC, &sync).error_code, expected);
    }
}

#[test]
fn classic_members_that_join_are_checked_in_their_order() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let classic = mixed(&bed, &topic);
    let mut client = bed.client();
    let mut checks = Checks::new();
    let good = classic.request.clone();
    let new = JoinGroupRequest { member_id: Str::from(""), group_instance_id: None, ..good.clone() };
    let of = |member: &'static str, instance: Option<&'static str>| JoinGroupRequest {
        member_id: Str::from(member),
        group_instance_id: instance.map(Str::from),
        ..good.clone()
    };
    let with = |request: &JoinGroupRequest, names: &[&'static str]| JoinGroupRequest {
        protocols: protocols(&topic, names),
        ..request.clone()
    };
    let connect = |request: &JoinGroupRequest| JoinGroupRequest {
        protocol_type: Str::from("connect"),
        ..request.clone()
    };
    for (case, request, expected) in [
        ("a short session, another type", JoinGroupRequest { session_timeout_ms: 1, ..connect(&good) }, 26),
        ("another type", connect(&good), 23),
        ("no protocol in common", with(&good, &["roundrobin"]), 23),
        ("no protocols", with(&good, &[]), 23),
        ("a new one of another type", connect(&new), 23),
        ("a new one without a protocol in common", with(&new, &["roundrobin"]), 23),
        ("a new one", new.clone(), 79),
        ("another one's instance", of("nobody", Some("i")), 82),
        ("another one's instance, no protocol in common", with(&of("nobody", Some("i")), &["x"]), 23),
        ("an unknown instance", of("nobody", Some("j")), 25),
        ("an unknown instance, another type", connect(&of("nobody", Some("j"))), 23),
    ] {
        checks.same(case, client.request(JOIN, &request).error_code, expected);
    }
}

#[test]
fn classic_members_commit_and_fetch_in_their_generation() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let classic = mixed(&bed, &topic);
    let (group, id, generation) = (classic.request.group_id.clone(), classic.id(), classic.generation);
    let mut client = bed.client();
    let mut checks = Checks::new();
    for (case, member_id, distance, expected) in [
        ("a member", &*id, 0, 0),
        ("another generation", &id, 7, 22),
        ("no generation", &id, -1 - generation, 22),
        ("an unknown member", "nobody", 7, 25),
    ] {
        // Only members of the other protocol need a version that knows their epochs.
        for version in [2, 8, 9] {
            let request = OffsetCommitRequest {
                member_id: Str::copy_of(member_id),
                generation_id_or_member_epoch: generation + distance,
                ..request(&group, &topic, vec![row(0, 5)])
            };
            checks.same(
                format!("OffsetCommit v{version}: {case}"),
                commit(&mut client, version, &request),
                vec![expected],
            );
        }
        let one = OffsetFetchRequestGroup {
            group_id: group.clone(),
            member_id: Some(Str::copy_of(member_id)),
            member_epoch: generation + distance,
            topics: None,
        };
        let request = OffsetFetchRequest { groups: vec![one], ..OffsetFetchRequest::default() };
        checks.same(
            format!("OffsetFetch: {case}"),
            client.request(9, &request).groups[0].error_code,
            expected,
        );
    }
}

#[test]
fn members_of_the_consumer_protocol_are_checked_in_their_order() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let classic = mixed(&bed, &topic);
    let group = classic.request.group_id.clone();
    let mut client = bed.client();
    let mut checks = Checks::new();
    let text = |text: &'static str| Some(Str::from(text));
    let of_instance = |request: ConsumerGroupHeartbeatRequest, instance| ConsumerGroupHeartbeatRequest {
        instance_id: text(instance),
        ..request
    };
    let bad_regex = |request| ConsumerGroupHeartbeatRequest { subscribed_topic_regex: text("("), ..request };
    let sticky = |request| ConsumerGroupHeartbeatRequest { server_assignor: text("sticky"), ..request };
    let timeless = |request| ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..request };
    let mut ask = |case: &str, request: ConsumerGroupHeartbeatRequest, expected| {
        checks.same(case, client.request(1, &request).error_code, expected);
    };
    let joins = |member| join(&group, member, &topic.name);
    let beats = |member, epoch| beat(&group, member, epoch);
    ask("no time-out, an unknown assignor", timeless(sticky(joins("n"))), 42);
    ask("away without an instance, an unknown assignor", sticky(beats("m", -2)), 42);
    ask("an unknown assignor, no expression", sticky(bad_regex(joins("n"))), 112);
    ask("an unknown assignor, an unknown member", sticky(beats("n", 2)), 112);
    ask("an unknown assignor, another epoch", sticky(beats("m", 99)), 112);
    ask("an unknown assignor, it leaves", sticky(beats("m", -1)), 112);
    ask("an unknown member, no expression", bad_regex(beats("n", 99)), 25);
    ask("an unknown member leaves, no expression", bad_regex(beats("n", -1)), 25);
    ask("another epoch, no expression", bad_regex(beats("m", 99)), 110);
    ask("no expression", bad_regex(joins("n")), 128);
    ask("an unknown instance, another epoch", of_instance(beats("m", 99), "j"), 25);
    ask("an unknown instance leaves", of_instance(beats("m", -1), "j"), 25);
    ask("an unknown instance goes for a while", of_instance(beats("m", -2), "j"), 25);
    ask("another one's instance, another epoch", of_instance(bad_regex(beats("m", 99)), "i"), 82);
    ask("another one's instance leaves", of_instance(beats("m", -1), "i"), 82);
    // A member of the other protocol gives its instance away, whether it is there or not.
    ask("an instance of a classic member, no expression", of_instance(bad_regex(joins("n")), "i"), 128);
    ask("an instance of a classic member", of_instance(joins("n"), "i"), 0);
    ask("an instance that is there, no expression", of_instance(bad_regex(joins("o")), "i"), 111);
    ask("an instance that is there, an unknown assignor", of_instance(sticky(joins("o")), "i"), 112);
    ask("an instance that is there", of_instance(joins("o"), "i"), 111);
}

/// The members of the other protocol first: then the group is a classic one, and what is left of it joins again.
#[test]
fn everybody_is_taken_out_one_by_one() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut classic = mixed(&bed, &topic);
    let group = classic.request.group_id.clone();
    let leave = |client: &mut WireClient, member_id: &str, instance: Option<&'static str>| {
        let row = LeaveGroupRequestMember {
            member_id: Str::copy_of(member_id),
            group_instance_id: instance.map(Str::from),
            reason: None,
        };
        let request =
            LeaveGroupRequest { group_id: group.clone(), members: vec![row], ..LeaveGroupRequest::default() };
        client.request(5, &request).members[0].error_code
    };
    let mut client = bed.client();
    assert_eq!(leave(&mut client, "m", Some("i")), 82);
    assert_eq!(leave(&mut client, "m", None), 0);
    assert_eq!(client.request(1, &beat(&group, "m", 2)).error_code, 69, "it is a classic group");
    let answer = classic.join();
    assert_eq!((answer.error_code, answer.members.len()), (0, 1));
    assert_eq!(leave(&mut client, "", Some("i")), 0);
    assert_eq!(classic.beat(), 25);
}
