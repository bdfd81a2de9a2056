//! ListConfigResources: what has configs.

use ottla_protocol::api::list_config_resources::ListConfigResourcesRequest;

use crate::player::Player;

crate::scripts![types, unknown_types];

fn types(play: &mut Player) {
    play.topic("t", 1, &[("flush.ms", "7")]);
    play.topic_with("without-configs", 1, &[]);
    play.own().at([0], "version 0", |_| ListConfigResourcesRequest::default());
    for (step, types) in [
        ("all", &[][..]),
        ("topics", &[2]),
        ("brokers", &[4]),
        ("loggers", &[8]),
        ("subscriptions", &[16]),
        ("groups", &[32]),
        ("topics and brokers", &[2, 4]),
        ("topics twice", &[2, 2]),
    ] {
        play.own().at([1], step, |_| ListConfigResourcesRequest { resource_types: types.to_vec() });
    }
    // Brokers and loggers have numbers for names, which belong to nobody's script.
    for (step, types) in [("brokers of the cluster", &[4][..]), ("loggers of the cluster", &[8])] {
        play.at([1], step, |_| ListConfigResourcesRequest { resource_types: types.to_vec() });
    }
}

fn unknown_types(play: &mut Player) {
    for (step, types) in [("0", &[0][..]), ("99", &[99]), ("-1", &[-1]), ("one beside topics", &[2, 99])] {
        play.own().at([1], step, |_| ListConfigResourcesRequest { resource_types: types.to_vec() });
    }
}
