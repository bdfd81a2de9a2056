//! InitProducerId for producers that are only idempotent.

use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::wire::Str;

use crate::player::{Player, Raw};
use crate::requests::init_producer_id_request;

crate::scripts![ids, ids_that_the_producer_has, mistakes];

fn ids(play: &mut Player) {
    play.every("each is another", |_| init_producer_id_request());
    for transaction_timeout_ms in [0, -1, i32::MAX, i32::MIN] {
        play.every(&format!("time-out {transaction_timeout_ms}"), |_| InitProducerIdRequest {
            transaction_timeout_ms,
            ..init_producer_id_request()
        });
    }
}

fn ids_that_the_producer_has(play: &mut Player) {
    let id = play.producer_id();
    for (step, producer_id, producer_epoch) in [
        ("both", id, 0),
        ("an epoch that it never had", id, 7),
        ("an id that was never given", 1_000_000_000_000, 3),
        ("an id alone", id, -1),
        ("an epoch alone", -1, 0),
        ("an id below -1", -2, 0),
        ("an epoch below -1", id, -2),
        ("both below -1", -5, -5),
        ("the largest epoch", id, i16::MAX),
    ] {
        play.at(3..=5, step, |_| InitProducerIdRequest {
            producer_id,
            producer_epoch,
            ..init_producer_id_request()
        });
    }
}

fn mistakes(play: &mut Player) {
    play.every("an empty transactional id", |_| InitProducerIdRequest {
        transactional_id: Some(Str::EMPTY),
        ..init_producer_id_request()
    });
    for version in [0, 2] {
        let step = format!("no body at version {version}");
        play.raw::<InitProducerIdRequest>(&step, Raw::of::<InitProducerIdRequest>(version, &[]));
    }
}
