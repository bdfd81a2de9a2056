//! Heartbeat: what a member of a classic group hears.

use ottla_protocol::api::heartbeat::HeartbeatRequest;
use ottla_protocol::api::join_group::JoinGroupRequest;
use ottla_protocol::wire::Str;

use crate::groups::{group, join, joined, member};
use crate::player::Player;

crate::scripts![members, mistakes, instances];

fn members(play: &mut Player) {
    let group = group(play, "g");
    let member = joined(play, join(&group));
    play.every("before the assignment", |_| member.heartbeat());
    assert_eq!(play.quietly(5, &member.assign()).error_code, 0);
    play.every("with it", |_| member.heartbeat());
    play.on("second");
    let mut other = join(&group);
    other.member_id = play.quietly(7, &other).member_id;
    let _waiting = play.early(7, &other);
    play.on("first");
    play.wait_until(4, "another one waits", &member.heartbeat(), |response| response.error_code == 27);
    play.every("while another one waits", |_| member.heartbeat());
    play.every("the other one's own", |_| HeartbeatRequest {
        member_id: other.member_id.clone(),
        ..member.heartbeat()
    });
    play.every("another generation while another one waits", |_| HeartbeatRequest {
        generation_id: 7,
        ..member.heartbeat()
    });
}

fn mistakes(play: &mut Player) {
    let nowhere = group(play, "nowhere");
    let member = member(play, "g");
    play.every("a group that isn't there", |_| HeartbeatRequest {
        group_id: nowhere.clone(),
        ..member.heartbeat()
    });
    play.every("an empty group id", |_| HeartbeatRequest { group_id: Str::EMPTY, ..member.heartbeat() });
    for generation_id in [-1, 0, 2] {
        play.every(&format!("generation {generation_id}"), |_| HeartbeatRequest {
            generation_id,
            ..member.heartbeat()
        });
    }
    for (step, member_id) in [("an unknown member", "nobody"), ("no member id", "")] {
        play.every(step, |_| HeartbeatRequest { member_id: Str::from(member_id), ..member.heartbeat() });
    }
    play.every("an unknown member in another generation", |_| HeartbeatRequest {
        member_id: Str::from("nobody"),
        generation_id: 7,
        ..member.heartbeat()
    });
    let mut pending = join(&member.group);
    pending.member_id = play.quietly(7, &pending).member_id;
    play.every("a member that was only told its id", |_| HeartbeatRequest {
        member_id: pending.member_id.clone(),
        ..member.heartbeat()
    });
}

fn instances(play: &mut Player) {
    let group = group(play, "g");
    let request = JoinGroupRequest { group_instance_id: Some(Str::from("i")), ..join(&group) };
    let member = joined(play, request);
    assert_eq!(play.quietly(5, &member.assign()).error_code, 0);
    play.every("a static member", |_| member.heartbeat());
    for (step, member_id, instance) in [
        ("another member id", "nobody", Some("i")),
        ("no member id", "", Some("i")),
        ("another instance", "nobody", Some("other")),
    ] {
        play.at(3..=4, step, |_| HeartbeatRequest {
            member_id: Str::from(member_id),
            group_instance_id: instance.map(Str::from),
            ..member.heartbeat()
        });
    }
    play.at(3..=4, "its id without the instance", |_| HeartbeatRequest {
        group_instance_id: None,
        ..member.heartbeat()
    });
    play.at(3..=4, "its id with another instance", |_| HeartbeatRequest {
        group_instance_id: Some(Str::from("other")),
        ..member.heartbeat()
    });
}
