//! EndTxn: transactions are committed and aborted.

use ottla_protocol::api::end_txn::EndTxnRequest;

use crate::groups::{Transactional, transactional};
use crate::player::Player;

crate::scripts![outcomes, repeats, mistakes, epochs_of_version_5];

fn end(producer: &Transactional, committed: bool) -> EndTxnRequest {
    EndTxnRequest {
        transactional_id: producer.id.clone(),
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
        committed,
    }
}

fn outcomes(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    for version in 0..=5 {
        for committed in [true, false] {
            let producer = transactional(play, &format!("id{version}{committed}"));
            producer.begin(play, &topic, i32::from(committed));
            play.one(version, &format!("{committed} at version {version}"), &end(&producer, committed));
        }
    }
}

fn repeats(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    for version in [1, 4] {
        let producer = transactional(play, &format!("id{version}"));
        producer.begin(play, &topic, 0);
        play.quietly(version, &end(&producer, true));
        play.until(version, &format!("the same at version {version}"), &end(&producer, true), |response| {
            response.error_code != 51
        });
        play.one(version, &format!("the other at version {version}"), &end(&producer, false));
    }
}

fn mistakes(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let producer = transactional(play, "id");
    for committed in [true, false] {
        play.at(0..=4, &format!("nothing began, {committed}"), |_| end(&producer, committed));
    }
    producer.begin(play, &topic, 0);
    play.every("an id that isn't there", |_| end(&producer.called("nobody's"), true));
    play.every("an empty id", |_| end(&producer.called(""), true));
    play.every("another producer", |_| end(&producer.of_producer(9_999_999), true));
    play.every("an older epoch", |_| end(&producer.in_epoch(producer.epoch - 1), true));
    play.every("a newer epoch", |_| end(&producer.in_epoch(producer.epoch + 1), true));
}

fn epochs_of_version_5(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let producer = transactional(play, "id");
    play.one(5, "a commit of nothing", &end(&producer, true));
    let aborted = play.one(5, "an abort of nothing", &end(&producer, false)).expect("an answer");
    play.until(5, "the abort again", &end(&producer, false), |response| response.error_code != 51);
    let next = producer.in_epoch(aborted.producer_epoch);
    next.begin(play, &topic, 0);
    let committed = play.one(5, "a commit", &end(&next, true)).expect("an answer");
    play.until(5, "the commit again", &end(&next, true), |response| response.error_code != 51);
    play.one(5, "an abort after it", &end(&next, false));
    play.one(
        5,
        "a commit of nothing in the next epoch",
        &end(&next.in_epoch(committed.producer_epoch), true),
    );
    play.one(5, "two epochs ago", &end(&producer, true));
}
