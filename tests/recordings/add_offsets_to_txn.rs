//! AddOffsetsToTxn: a group becomes part of a transaction.

use ottla_protocol::api::add_offsets_to_txn::AddOffsetsToTxnRequest;
use ottla_protocol::wire::Str;

use crate::groups::{Transactional, group, transactional};
use crate::player::Player;

crate::scripts![groups, mistakes];

fn add(producer: &Transactional, group: &Str) -> AddOffsetsToTxnRequest {
    AddOffsetsToTxnRequest {
        transactional_id: producer.id.clone(),
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
        group_id: group.clone(),
    }
}

fn groups(play: &mut Player) {
    let group = group(play, "g");
    let producer = transactional(play, "id");
    play.every("a group", |_| add(&producer, &group));
    play.every("a group without a name", |_| add(&producer, &Str::EMPTY));
}

fn mistakes(play: &mut Player) {
    let group = group(play, "g");
    let producer = transactional(play, "id");
    play.every("an id that isn't there", |_| add(&producer.called("nobody's"), &group));
    play.every("an empty id", |_| add(&producer.called(""), &group));
    play.every("another producer", |_| add(&producer.of_producer(9_999_999), &group));
    play.every("an older epoch", |_| add(&producer.in_epoch(producer.epoch - 1), &group));
    play.every("a newer epoch", |_| add(&producer.in_epoch(producer.epoch + 1), &group));
}
