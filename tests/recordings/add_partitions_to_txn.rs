//! AddPartitionsToTxn: what becomes part of a transaction.

use ottla_protocol::api::add_partitions_to_txn::AddPartitionsToTxnRequest;
use ottla_protocol::wire::Str;

use crate::groups::{Transactional, transactional};
use crate::player::Player;

crate::scripts![partitions, mistakes, verification];

fn verify(producer: &Transactional, topics: &[(&Str, &[i32])]) -> AddPartitionsToTxnRequest {
    let mut request = producer.add(4, topics);
    request.transactions[0].verify_only = true;
    request
}

fn partitions(play: &mut Player) {
    let topic = play.topic("t", 3, &[]);
    let other = play.topic("other", 1, &[]);
    let producer = transactional(play, "id");
    play.every("two topics", |version| producer.add(version, &[(&topic.name, &[1, 0]), (&other.name, &[0])]));
    play.every("one again, and one more", |version| producer.add(version, &[(&topic.name, &[0, 2])]));
    play.every("a partition twice", |version| producer.add(version, &[(&topic.name, &[0, 0])]));
    play.every("no topics", |version| producer.add(version, &[]));
    play.every("no partitions", |version| producer.add(version, &[(&topic.name, &[])]));
    play.at(4..=5, "no transactions", |_| AddPartitionsToTxnRequest::default());
}

fn mistakes(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let producer = transactional(play, "id");
    let name = &topic.name;
    let absent = Str::from("nobody-has-this-name");
    play.every("an id that isn't there", |version| producer.called("nobody's").add(version, &[(name, &[0])]));
    play.every("an empty id", |version| producer.called("").add(version, &[(name, &[0])]));
    play.every("another producer", |version| producer.of_producer(9_999_999).add(version, &[(name, &[0])]));
    play.every("an older epoch", |version| {
        producer.in_epoch(producer.epoch - 1).add(version, &[(name, &[0])])
    });
    play.every("a newer epoch", |version| {
        producer.in_epoch(producer.epoch + 1).add(version, &[(name, &[0])])
    });
    play.every("a topic that isn't there", |version| producer.add(version, &[(name, &[0]), (&absent, &[0])]));
    play.every("a partition that isn't there", |version| producer.add(version, &[(name, &[0, 1])]));
    let internal = Str::from("__transaction_state");
    play.every("an internal topic", |version| producer.add(version, &[(&internal, &[0])]));
}

fn verification(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    let producer = transactional(play, "id");
    let name = &topic.name;
    play.at(4..=5, "no transaction", |_| verify(&producer, &[(name, &[0])]));
    producer.begin(play, &topic, 0);
    play.at(4..=5, "one that is there and one that is not", |_| verify(&producer, &[(name, &[0, 1])]));
    play.at(4..=5, "an older epoch", |_| verify(&producer.in_epoch(producer.epoch - 1), &[(name, &[0])]));
    play.at(4..=5, "another producer", |_| verify(&producer.of_producer(9_999_999), &[(name, &[0])]));
    play.at(4..=5, "an id that isn't there", |_| verify(&producer.called("nobody's"), &[(name, &[0])]));
}
