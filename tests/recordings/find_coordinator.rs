//! FindCoordinator, as far as it goes without groups: this node, and mistakes in keys.

use ottla_protocol::api::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::wire::Str;

use crate::player::Player;

crate::scripts![groups, transactional_ids, unknown_types, share_partitions];

/// At every version: before 4 the first key alone.
fn request(version: i16, key_type: i8, keys: &[&str]) -> FindCoordinatorRequest {
    let mut keys: Vec<Str> = keys.iter().map(|key| Str::copy_of(key)).collect();
    if version < 4 {
        return FindCoordinatorRequest { key: keys.remove(0), key_type, ..FindCoordinatorRequest::default() };
    }
    FindCoordinatorRequest { coordinator_keys: keys, key_type, ..FindCoordinatorRequest::default() }
}

fn wait_until_found(play: &mut Player, key_type: i8) {
    play.wait_until(4, "there is a coordinator", &request(4, key_type, &["x"]), |response| {
        response.coordinators[0].error_code == 0
    });
}

fn groups(play: &mut Player) {
    wait_until_found(play, 0);
    play.every("a group", |version| request(version, 0, &["group"]));
    play.every("an empty name", |version| request(version, 0, &[""]));
    play.at(4..=6, "two groups and one twice", |version| request(version, 0, &["b", "a", "b"]));
    play.at(4..=6, "no keys", |version| request(version, 0, &[]));
}

fn transactional_ids(play: &mut Player) {
    wait_until_found(play, 1);
    play.at(1..=6, "an id", |version| request(version, 1, &["id"]));
    play.at(1..=6, "an empty id", |version| request(version, 1, &[""]));
}

fn unknown_types(play: &mut Player) {
    for key_type in [3, -1, i8::MAX] {
        play.at(1..=6, &format!("{key_type}"), |version| request(version, key_type, &["x"]));
    }
}

fn share_partitions(play: &mut Player) {
    play.at(1..=5, "before their version", |version| request(version, 2, &["g:AAAAAAAAAAAAAAAAAAAAAQ:0"]));
    for (step, key) in [
        ("a key without its parts", "x"),
        ("an empty key", ""),
        ("a key of two parts", "g:AAAAAAAAAAAAAAAAAAAAAQ"),
        ("a key whose id is none", "g:nonsense:0"),
        ("a key whose partition is none", "g:AAAAAAAAAAAAAAAAAAAAAQ:x"),
    ] {
        play.at([6], step, |version| request(version, 2, &[key]));
    }
}
