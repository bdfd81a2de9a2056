//! JoinGroup: who gets in, and with whom.

use bytes::Bytes;
use ottla_protocol::api::join_group::JoinGroupRequest;
use ottla_protocol::wire::Str;

use crate::groups::{assigned, group, join, joined, member, protocol};
use crate::player::Player;

crate::scripts![
    first_members,
    mistakes,
    protocols,
    two_members,
    members_that_come_back,
    static_members,
    names_of_clients,
];

fn first_members(play: &mut Player) {
    for version in 0..=9 {
        let group = group(play, &format!("g{version}"));
        let mut request = join(&group);
        let answer = play.one(version, &format!("at version {version}"), &request).expect("an answer");
        if answer.error_code == 79 {
            request.member_id = answer.member_id;
            play.one(version, &format!("at version {version}, with its id"), &request);
        }
    }
}

fn mistakes(play: &mut Player) {
    let group = group(play, "g");
    play.every("an empty group id", |_| join(&Str::EMPTY));
    for session_timeout_ms in [-1, 0, 5_999, 1_800_001] {
        play.every(&format!("session time-out {session_timeout_ms}"), |_| JoinGroupRequest {
            session_timeout_ms,
            ..join(&group)
        });
    }
    play.every("no protocols", |_| JoinGroupRequest { protocols: Vec::new(), ..join(&group) });
    play.every("no protocol type", |_| JoinGroupRequest { protocol_type: Str::EMPTY, ..join(&group) });
    play.every("a member id in a group that isn't there", |_| JoinGroupRequest {
        member_id: Str::from("nobody"),
        ..join(&group)
    });
    let other = member(play, "other");
    play.every("a member id that the group doesn't know", |_| JoinGroupRequest {
        member_id: Str::from("nobody"),
        ..join(&other.group)
    });
    play.at(5..=9, "an instance id with an unknown member id", |_| JoinGroupRequest {
        member_id: Str::from("nobody"),
        group_instance_id: Some(Str::from("i")),
        ..join(&other.group)
    });
}

fn protocols(play: &mut Player) {
    let member = member(play, "g");
    play.every("another protocol type", |_| JoinGroupRequest {
        protocol_type: Str::from("connect"),
        ..join(&member.group)
    });
    play.every("no protocol in common", |_| JoinGroupRequest {
        protocols: vec![protocol("sticky")],
        ..join(&member.group)
    });
    play.every("no protocols", |_| JoinGroupRequest { protocols: Vec::new(), ..join(&member.group) });
    let group = group(play, "connectors");
    let connector = JoinGroupRequest {
        protocol_type: Str::from("connect"),
        protocols: vec![protocol("sessioned"), protocol("compatible")],
        ..join(&group)
    };
    let connector = joined(play, connector);
    play.one(7, "a consumer among connectors", &join(&connector.group));
}

fn two_members(play: &mut Player) {
    let mut first = member(play, "g");
    play.on("second");
    let mut request =
        JoinGroupRequest { protocols: vec![protocol("roundrobin"), protocol("range")], ..join(&first.group) };
    request.member_id = play.one(7, "another one comes", &request).expect("an answer").member_id;
    let waiting = play.early(7, &request);
    play.on("first");
    play.until(4, "the first hears of it", &first.heartbeat(), |response| response.error_code == 27);
    play.one(5, "and can't ask for its assignment", &first.sync());
    let again = play.one(7, "the first joins again", &first.rejoin()).expect("an answer");
    play.on("second");
    let second = play.late::<JoinGroupRequest>(7, "the second is in", waiting).expect("an answer");
    first.generation = again.generation_id;
    let mut other = first.clone();
    other.id = second.member_id;
    play.on("first");
    play.one(4, "a heartbeat before the assignment", &first.heartbeat());
    let mut assign = first.sync();
    assign.protocol_name = again.protocol_name;
    assign.assignments =
        vec![assigned(&first.id, b"one"), assigned(&other.id, b"two"), assigned(&Str::from("nobody"), b"x")];
    play.one(5, "the leader assigns", &assign);
    let mut sync = other.sync();
    sync.protocol_name = assign.protocol_name.clone();
    play.on("second").one(5, "the second asks", &sync);
    let same = JoinGroupRequest { member_id: other.id.clone(), ..request.clone() };
    play.one(7, "the follower joins again with the same", &same);
    let waiting =
        play.early(7, &JoinGroupRequest { protocols: vec![crate::groups::protocol("range")], ..same });
    play.on("first");
    play.until(4, "the first hears of another", &first.heartbeat(), |response| response.error_code == 27);
    play.one(7, "the first joins once more", &first.rejoin());
    play.on("second").late::<JoinGroupRequest>(7, "the follower is in with less", waiting);
}

fn members_that_come_back(play: &mut Player) {
    let member = member(play, "g");
    for version in [0, 4, 9] {
        let rejoin = member.rejoin();
        play.one(version, &format!("the leader, at version {version}"), &rejoin);
        play.one(version, &format!("again, at version {version}, before it assigned"), &rejoin);
    }
    let changed = JoinGroupRequest {
        protocols: vec![ottla_protocol::api::join_group::JoinGroupRequestProtocol {
            name: Str::from("range"),
            metadata: Bytes::from_static(b"else"),
        }],
        ..member.rejoin()
    };
    play.one(9, "with other metadata", &changed);
}

fn static_members(play: &mut Player) {
    let group = group(play, "g");
    let request = JoinGroupRequest { group_instance_id: Some(Str::from("i")), ..join(&group) };
    let mut first = joined(play, request.clone());
    assert_eq!(play.quietly(5, &first.assign()).error_code, 0);
    for version in 5..=9 {
        let step = format!("it starts again, at version {version}");
        let answer = play.one(version, &step, &request).expect("an answer");
        let old = first.clone();
        first.id = answer.member_id;
        play.one(4, &format!("its former self is fenced ({version})"), &old.heartbeat());
        play.one(7, &format!("also where it joins ({version})"), &old.rejoin());
        play.one(4, &format!("it goes on ({version})"), &first.heartbeat());
        first.generation = answer.generation_id;
        if play.quietly(4, &first.heartbeat()).error_code == 0 {
            play.one(5, &format!("what it is assigned ({version})"), &first.sync());
        }
    }
    let mut other = first.rejoin();
    other.group_instance_id = Some(Str::from("other"));
    play.one(7, "its id with another instance", &other);
}

fn names_of_clients(play: &mut Player) {
    for (number, client_id) in [None, Some(""), Some("a b/ö")].into_iter().enumerate() {
        play.called(client_id);
        let group = group(play, &format!("g{number}"));
        play.one(7, &format!("{client_id:?}"), &join(&group));
        let named = JoinGroupRequest { group_instance_id: Some(Str::from("instance")), ..join(&group) };
        play.one(7, &format!("{client_id:?}, an instance"), &named);
    }
}
