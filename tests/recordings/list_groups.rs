//! ListGroups: which groups there are.

use ottla_protocol::api::list_groups::ListGroupsRequest;
use ottla_protocol::wire::Str;

use crate::groups::{commit, consumer_member, group, member};
use crate::player::Player;

crate::scripts![groups];

fn asked(states: &[&'static str], types: &[&'static str]) -> ListGroupsRequest {
    ListGroupsRequest {
        states_filter: states.iter().copied().map(Str::from).collect(),
        types_filter: types.iter().copied().map(Str::from).collect(),
    }
}

fn groups(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let offsets = group(play, "offsets");
    play.quietly(8, &commit(&offsets, &topic, &[(0, 1)]));
    member(play, "classic");
    let consumers = group(play, "consumers");
    consumer_member(play, &consumers, "m-1", &topic, &[0]);
    play.own().every("all", |_| ListGroupsRequest::default());
    for state in ["Stable", "stable", "EMPTY", "PreparingRebalance", "Nonsense", ""] {
        play.own().at(4..=5, &format!("state {state:?}"), |_| asked(&[state], &[]));
    }
    play.own().at(4..=5, "two states", |_| asked(&["Empty", "Stable"], &[]));
    for group_type in ["classic", "CONSUMER", "share", "Nonsense", ""] {
        play.own().at([5], &format!("type {group_type:?}"), |_| asked(&[], &[group_type]));
    }
    play.own().at([5], "a type and a state", |_| asked(&["Stable"], &["classic"]));
}
