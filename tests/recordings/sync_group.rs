//! SyncGroup: assignments are handed in and out.

use ottla_protocol::api::sync_group::SyncGroupRequest;
use ottla_protocol::wire::Str;

use crate::groups::{assigned, group, join, joined, member};
use crate::player::Player;

crate::scripts![assignments, mistakes, leaders_that_assign_nothing];

fn assignments(play: &mut Player) {
    for version in 0..=5 {
        let group = group(play, &format!("g{version}"));
        let member = joined(play, join(&group));
        play.one(version, &format!("the leader's, at version {version}"), &member.assign());
        play.one(version, &format!("once more, at version {version}"), &member.sync());
        let mut other = member.sync();
        other.assignments = vec![assigned(&member.id, b"other")];
        play.one(version, &format!("another one comes too late, at version {version}"), &other);
    }
}

fn mistakes(play: &mut Player) {
    let nowhere = group(play, "nowhere");
    let member = member(play, "g");
    play.every("a group that isn't there", |_| SyncGroupRequest {
        group_id: nowhere.clone(),
        ..member.sync()
    });
    play.every("an empty group id", |_| SyncGroupRequest { group_id: Str::EMPTY, ..member.sync() });
    for generation_id in [-1, 0, 2] {
        play.every(&format!("generation {generation_id}"), |_| SyncGroupRequest {
            generation_id,
            ..member.sync()
        });
    }
    for (step, member_id) in [("an unknown member", "nobody"), ("no member id", "")] {
        play.every(step, |_| SyncGroupRequest { member_id: Str::from(member_id), ..member.sync() });
    }
    play.every("an unknown member in another generation", |_| SyncGroupRequest {
        member_id: Str::from("nobody"),
        generation_id: 7,
        ..member.sync()
    });
    play.at(3..=5, "an unknown instance", |_| SyncGroupRequest {
        group_instance_id: Some(Str::from("nobody")),
        ..member.sync()
    });
    for (step, protocol_type, protocol_name) in [
        ("another type", Some("connect"), Some("range")),
        ("another name", Some("consumer"), Some("roundrobin")),
        ("no type", None, Some("range")),
        ("no name", Some("consumer"), None),
        ("neither", None, None),
    ] {
        play.at([5], step, |_| SyncGroupRequest {
            protocol_type: protocol_type.map(Str::from),
            protocol_name: protocol_name.map(Str::from),
            ..member.sync()
        });
    }
}

fn leaders_that_assign_nothing(play: &mut Player) {
    let group = group(play, "g");
    let member = joined(play, join(&group));
    play.one(5, "no assignments", &member.sync());
    play.one(5, "once more", &member.sync());
}
