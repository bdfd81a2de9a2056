//! OffsetCommit: what is kept, and for whom.

use ottla_protocol::api::offset_commit::OffsetCommitRequest;
use ottla_protocol::wire::Str;

use crate::groups::{commit, consumer_member, group, join, joined, member};
use crate::player::{Player, at_version};
use crate::requests::Topic;

crate::scripts![nobodys_groups, mistakes, members, instances, consumer_members];

fn with_metadata(mut request: OffsetCommitRequest, metadata: Option<&str>) -> OffsetCommitRequest {
    for row in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        row.committed_metadata = metadata.map(Str::copy_of);
    }
    request
}

fn nobodys_groups(play: &mut Player) {
    let group = group(play, "g");
    let topic = play.topic("t", 2, &[]);
    play.every("a group that isn't there yet", |version| {
        commit(&at_version(&group, version), &topic, &[(1, 7), (0, 0)])
    });
    play.every("once more", |version| commit(&at_version(&group, version), &topic, &[(0, 5)]));
    play.every("a group without a name", |_| commit(&Str::EMPTY, &topic, &[(0, 1)]));
    play.every("a partition twice", |_| commit(&group, &topic, &[(0, 1), (0, 2)]));
    play.every("no partitions", |_| commit(&group, &topic, &[]));
    play.every("no topics", |_| OffsetCommitRequest {
        group_id: group.clone(),
        ..OffsetCommitRequest::default()
    });
    play.at(2..=4, "kept for a second", |_| OffsetCommitRequest {
        retention_time_ms: 1_000,
        ..commit(&group, &topic, &[(0, 1)])
    });
}

fn mistakes(play: &mut Player) {
    let group = group(play, "g");
    let topic = play.topic("t", 1, &[]);
    let absent = Topic::absent("nobody-has-this-name");
    play.every("a topic that isn't there", |_| commit(&group, &absent, &[(0, 1)]));
    play.every("a partition that isn't there", |_| commit(&group, &topic, &[(1, 1), (-1, 1), (0, 1)]));
    play.every("a negative offset", |_| commit(&group, &topic, &[(0, -5)]));
    for length in [4_096, 4_097] {
        let metadata = "x".repeat(length);
        play.every(&format!("{length} bytes of metadata"), |_| {
            with_metadata(commit(&group, &topic, &[(0, 1)]), Some(&metadata))
        });
    }
    play.every("null metadata", |_| with_metadata(commit(&group, &topic, &[(0, 1)]), None));
    for (step, generation, member_id) in [
        ("a generation in a group that isn't there", 3, ""),
        ("a member in a group that isn't there", 3, "nobody"),
        ("a member without a generation in a group that isn't there", -1, "nobody"),
    ] {
        let nowhere = play.name("nowhere");
        play.every(step, |version| OffsetCommitRequest {
            generation_id_or_member_epoch: generation,
            member_id: Str::from(member_id),
            ..commit(&at_version(&nowhere, version), &topic, &[(0, 1)])
        });
    }
}

fn members(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let nameless = group(play, "joining");
    let joining = joined(play, join(&nameless));
    play.every("before the assignment", |_| joining.commit(&topic, 3));
    let member = member(play, "g");
    play.every("a member", |_| member.commit(&topic, 3));
    for (step, generation, member_id) in [
        ("nobody", -1, Some("")),
        ("an unknown member", 1, Some("nobody")),
        ("an unknown member in another generation", 7, Some("nobody")),
        ("another generation", 7, None),
        ("no generation", -1, None),
    ] {
        play.every(step, |_| OffsetCommitRequest {
            generation_id_or_member_epoch: generation,
            member_id: member_id.map_or_else(|| member.id.clone(), Str::from),
            ..member.commit(&topic, 3)
        });
    }
    play.at(7..=10, "an unknown instance", |_| OffsetCommitRequest {
        group_instance_id: Some(Str::from("nobody")),
        ..member.commit(&topic, 3)
    });
}

fn instances(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let group = group(play, "g");
    let mut request = join(&group);
    request.group_instance_id = Some(Str::from("i"));
    let member = joined(play, request);
    assert_eq!(play.quietly(5, &member.assign()).error_code, 0);
    play.every("a static member", |_| member.commit(&topic, 3));
    play.at(7..=10, "another member id", |_| OffsetCommitRequest {
        member_id: Str::from("nobody"),
        ..member.commit(&topic, 3)
    });
}

fn consumer_members(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let group = group(play, "g");
    let member = consumer_member(play, &group, "m-1", &topic, &[0]);
    for (step, epoch, member_id) in [
        ("a member", member.member_epoch, "m-1"),
        ("an older epoch", member.member_epoch - 1, "m-1"),
        ("a newer epoch", member.member_epoch + 1, "m-1"),
        ("an unknown member", member.member_epoch, "nobody"),
        ("nobody", -1, ""),
    ] {
        play.every(step, |_| OffsetCommitRequest {
            generation_id_or_member_epoch: epoch,
            member_id: Str::from(member_id),
            ..commit(&group, &topic, &[(0, 3)])
        });
    }
}
