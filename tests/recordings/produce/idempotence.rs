//! Idempotent producers: duplicates, gaps, epochs.

use ottla_testkit::batches::{TestBatch, batch, counted, record};

use crate::player::Player;
use crate::requests::{Topic, fetch_partition, fetch_request, produce_request};

use super::NEWEST;

/// Sends a producer's batch, as a step of this name.
fn send(play: &mut Player, topic: &Topic, step: &str, batch: &TestBatch) {
    play.at([NEWEST], step, |_| produce_request(-1, topic, 0, batch.to_bytes()));
}

/// Sends `count` records of a producer's, by epoch and sequence.
fn send_all(play: &mut Player, topic: &Topic, id: i64, cases: &[(&str, i16, i32, usize)]) {
    for (step, epoch, sequence, count) in cases {
        send(play, topic, step, &counted(*count).of_producer(id, *epoch, *sequence));
    }
}

pub(super) fn duplicates_of_the_last_five_batches(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let id = play.producer_id();
    for number in 0..6 {
        let batch = counted(2).at(1_000).of_producer(id, 0, 2 * number);
        send(play, &topic, &format!("batch {number}"), &batch);
    }
    for number in (0..6).rev() {
        let batch = counted(2).at(1_000).of_producer(id, 0, 2 * number);
        send(play, &topic, &format!("batch {number} again"), &batch);
    }
    let other = batch([record("x"), record("y")]).at(5_000).of_producer(id, 0, 10);
    send(play, &topic, "the last with other records", &other);
    play.one(11, "read back", &fetch_request(&topic, vec![fetch_partition(0, 8)]));
}

pub(super) fn gaps_and_overlaps(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let id = play.producer_id();
    send_all(
        play,
        &topic,
        id,
        &[
            ("the first three", 0, 0, 3),
            ("a gap of one", 0, 4, 1),
            ("the largest gap", 0, i32::MAX, 1),
            ("an overlap", 0, 2, 2),
            ("a part of the last batch", 0, 0, 2),
            ("the last batch and more", 0, 0, 4),
            ("inside the last batch", 0, 1, 1),
            ("what comes next", 0, 3, 1),
        ],
    );
}

pub(super) fn a_new_epoch_fences_the_old_one(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let id = play.producer_id();
    send_all(
        play,
        &topic,
        id,
        &[
            ("the first", 0, 0, 1),
            ("a new epoch that goes on with the sequence", 1, 1, 1),
            ("a new epoch", 1, 0, 1),
            ("the old epoch", 0, 1, 1),
            ("a duplicate of the old epoch", 0, 0, 1),
            ("an epoch far ahead", 5, 0, 1),
            ("what comes next", 5, 1, 1),
            ("the largest epoch", i16::MAX, 0, 1),
        ],
    );
}

pub(super) fn producers_without_state(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let id = play.producer_id();
    send_all(
        play,
        &topic,
        id,
        &[("from the middle", 3, 17, 2), ("a gap after it", 3, 20, 1), ("what comes next", 3, 19, 1)],
    );
    send_all(
        play,
        &topic,
        1_000_000_000_000,
        &[("an id that was never given", 0, 0, 1), ("a gap after it too", 0, 5, 1)],
    );
}

pub(super) fn sequences_that_wrap(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let id = play.producer_id();
    send_all(
        play,
        &topic,
        id,
        &[
            ("the largest sequence ends a batch", 0, i32::MAX - 1, 2),
            ("then comes 0", 0, 0, 2),
            ("a duplicate from before", 0, i32::MAX - 1, 2),
        ],
    );
    let id = play.producer_id();
    send_all(
        play,
        &topic,
        id,
        &[
            ("it wraps within a batch", 0, i32::MAX, 3),
            ("a gap", 0, 1, 1),
            ("a gap of one record more", 0, 2, 1),
            ("a duplicate that wraps", 0, i32::MAX, 3),
        ],
    );
}
