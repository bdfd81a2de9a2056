//! InitProducerId, with a transactional id and without.

use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::wire::Str;

use crate::groups::{Transactional, init, transactional};
use crate::player::{Player, Raw};
use crate::requests::init_producer_id_request;

crate::scripts![
    ids,
    ids_that_the_producer_has,
    mistakes,
    transactional_ids,
    transactional_producers_that_recover,
    open_transactions,
];

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

fn transactional_ids(play: &mut Player) {
    let _warm = transactional(play, "warm");
    for version in 0..=5 {
        let id = play.name(&format!("id{version}"));
        for step in ["first", "second"] {
            play.wait_until(4, "no other is on its way", &init(&play.name("warm")), |it| it.error_code == 0);
            play.one(version, &format!("{step} at version {version}"), &init(&id));
        }
    }
    let id = play.name("time-outs");
    for transaction_timeout_ms in [0, -1, 900_001, i32::MAX] {
        play.every(&format!("time-out {transaction_timeout_ms}, of a transactional id"), |_| {
            InitProducerIdRequest { transaction_timeout_ms, ..init(&id) }
        });
    }
}

/// With the id and the epoch that the producer has.
fn recover(producer: &Transactional, producer_id: i64, producer_epoch: i16) -> InitProducerIdRequest {
    InitProducerIdRequest { producer_id, producer_epoch, ..init(&producer.id) }
}

fn transactional_producers_that_recover(play: &mut Player) {
    let producer = transactional(play, "id");
    let (id, epoch) = (producer.producer_id, producer.epoch);
    for (step, producer_id, producer_epoch) in [
        ("another producer", id + 1_000_000, epoch),
        ("a newer epoch", id, epoch + 3),
        ("an id alone", id, -1),
        ("an epoch alone", -1, epoch),
    ] {
        play.at(3..=5, step, |_| recover(&producer, producer_id, producer_epoch));
    }
    play.one(4, "it recovers", &recover(&producer, id, epoch));
    play.one(4, "again, with the same", &recover(&producer, id, epoch));
    play.one(4, "with the epoch that it got", &recover(&producer, id, epoch + 1));
    for version in 3..=5 {
        play.one(version, &format!("two epochs ago, at version {version}"), &recover(&producer, id, epoch));
    }
    let fresh = Transactional { id: play.name("fresh"), ..producer };
    play.one(4, "a transactional id that isn't there yet", &recover(&fresh, id, epoch));
}

fn open_transactions(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let producer = transactional(play, "id");
    producer.begin(play, &topic, 0);
    play.one(4, "it is aborted", &init(&producer.id));
    play.until(4, "and then there is an epoch", &init(&producer.id), |response| response.error_code != 51);
}
