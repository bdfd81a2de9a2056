//! LeaveGroup: members go.

use ottla_protocol::api::join_group::JoinGroupRequest;
use ottla_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupRequestMember};
use ottla_protocol::wire::Str;

use crate::groups::{group, join, joined, member};
use crate::player::Player;

crate::scripts![members, mistakes, many_at_once, instances];

/// At every version: before 3 the first member alone.
fn leave(version: i16, group: &Str, members: &[(&Str, Option<&'static str>)]) -> LeaveGroupRequest {
    if version < 3 {
        let member_id = members[0].0.clone();
        return LeaveGroupRequest { group_id: group.clone(), member_id, ..LeaveGroupRequest::default() };
    }
    let row = |(member_id, instance): &(&Str, Option<&'static str>)| LeaveGroupRequestMember {
        member_id: (*member_id).clone(),
        group_instance_id: instance.map(Str::from),
        reason: None,
    };
    let members = members.iter().map(row).collect();
    LeaveGroupRequest { group_id: group.clone(), members, ..LeaveGroupRequest::default() }
}

fn members(play: &mut Player) {
    for version in 0..=5 {
        let member = member(play, &format!("g{version}"));
        let request = leave(version, &member.group, &[(&member.id, None)]);
        play.one(version, &format!("at version {version}"), &request);
        play.one(version, &format!("again, at version {version}"), &request);
        play.one(4, &format!("a heartbeat afterwards ({version})"), &member.heartbeat());
    }
    let group = group(play, "pending");
    let pending = play.quietly(7, &join(&group)).member_id;
    play.one(5, "a member that was only told its id", &leave(5, &group, &[(&pending, None)]));
}

fn mistakes(play: &mut Player) {
    let nowhere = group(play, "nowhere");
    let member = member(play, "g");
    let nobody = Str::from("nobody");
    play.every("a group that isn't there", |version| leave(version, &nowhere, &[(&nobody, None)]));
    play.every("an empty group id", |version| leave(version, &Str::EMPTY, &[(&nobody, None)]));
    play.every("an unknown member", |version| leave(version, &member.group, &[(&nobody, None)]));
    play.every("no member id", |version| leave(version, &member.group, &[(&Str::EMPTY, None)]));
    play.at(3..=5, "nobody", |version| leave(version, &member.group, &[]));
    play.at(3..=5, "nobody in a group that isn't there", |version| leave(version, &nowhere, &[]));
}

fn many_at_once(play: &mut Player) {
    let member = member(play, "g");
    let nobody = Str::from("nobody");
    let members = [(&nobody, None), (&member.id, None), (&member.id, None)];
    play.one(5, "one that isn't there and one twice", &leave(5, &member.group, &members));
}

fn instances(play: &mut Player) {
    for version in 3..=5 {
        let group = group(play, &format!("g{version}"));
        let request = JoinGroupRequest { group_instance_id: Some(Str::from("i")), ..join(&group) };
        let member = joined(play, request);
        let (nobody, empty) = (Str::from("nobody"), Str::EMPTY);
        for (step, id, instance) in [
            ("another member id", &nobody, Some("i")),
            ("another instance", &empty, Some("other")),
            ("its id with another instance", &member.id, Some("other")),
            ("by its instance", &empty, Some("i")),
        ] {
            let step = format!("{step}, at version {version}");
            play.one(version, &step, &leave(version, &group, &[(id, instance)]));
        }
    }
}
