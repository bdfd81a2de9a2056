//! The topics in which coordinators keep their state: what can't be read there is told with its place and left out, damage is
//! told and waited for, and neither ends the broker.

use std::fs;
use std::path::Path;

use ottla_protocol::api::offset_commit::OffsetCommitRequest;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{batch, keyed};
use ottla_testkit::members::wait_for_coordinator;
use ottla_testkit::wait::wait_for;

use crate::bed::{PATIENCE, PRODUCE, Topic, is_peer, produce};
use crate::check::Checks;
use crate::damage::{House, flip};
use crate::offset_commit::{commit, committed, request, row};
use crate::transactional::{Kind, Producer};

/// COORDINATOR_LOAD_IN_PROGRESS.
const LOADING: i16 = 14;

/// Where `g` keeps its offsets: its hash is 103, and there are 50 partitions.
const OFFSETS_OF_G: (&str, i32) = ("__consumer_offsets", 3);
/// Where the transactional id `x` has its state: its hash is 120.
const STATE_OF_X: (&str, i32) = ("__transaction_state", 20);

/// Puts a record there as an administrator's tool may; its offset.
fn plant(house: &House, (topic, partition): (&'static str, i32), key: &[u8], value: &[u8]) -> i64 {
    let mut tool = house.client().named(Some("__admin_client"));
    let topic = Topic { name: Str::from_static(topic), id: TopicId::ZERO };
    let row = produce(&mut tool, PRODUCE, &topic, partition, batch([keyed(key, value)]).to_bytes());
    assert_eq!(row.error_code, 0, "{row:?}");
    row.base_offset
}

#[test]
fn records_that_cannot_be_read_are_told_with_their_places_and_left_out() {
    if is_peer() {
        return;
    }
    let mut house = House::new();
    let topic = house.topic(&[]);
    let group = Str::from("g");
    wait_for_coordinator(&mut house.client(), 0, &group);
    let mut producer = Producer::with(house.broker().address(), Kind::V2, Str::from("x"), 60_000);
    producer.write(&topic, 0, 1);
    assert_eq!(commit(&mut house.client(), 9, &request(&group, &topic, vec![row(0, 5)])), [0]);
    let mut planted = Vec::new();
    for (place, key, value) in [
        // No kind; no kind of record; a key that is cut short; a value of no version, and one that is cut short.
        (OFFSETS_OF_G, &b""[..], &b"junk"[..]),
        (OFFSETS_OF_G, b"\0", b"junk"),
        (OFFSETS_OF_G, b"\0\x01\0\x05g", b"\0\x04"),
        (OFFSETS_OF_G, b"\0\x02\0\x01g", b"\x7f\xff"),
        (OFFSETS_OF_G, b"\0\x02\0\x01g", b"\0\x03\0\x08con"),
        (OFFSETS_OF_G, b"\0\x05\0\x01g\0\x01m", b"\0\0\x01"),
        (STATE_OF_X, b"", b"junk"),
        (STATE_OF_X, b"\0\0\0\x05x", b"\0\x01"),
        (STATE_OF_X, b"\0\0\0\x01x", b"\x7f\xff"),
        (STATE_OF_X, b"\0\0\0\x01x", b"\0\x01\0\0\0"),
    ] {
        planted.push((place, plant(&house, place, key, value)));
    }
    let mut checks = Checks::new();
    for round in 0..4 {
        if round % 2 == 0 {
            house.stop();
        } else {
            house.kill();
        }
        house.start();
        let mut client = house.client();
        wait_for("the group is loaded", PATIENCE, || {
            // Of a generation that the group never had.
            let stranger = OffsetCommitRequest {
                generation_id_or_member_epoch: 9,
                ..request(&group, &topic, vec![row(0, 9)])
            };
            (commit(&mut client, 9, &stranger) == [25]).then_some(())
        });
        let kept = committed(&mut client, &group, &topic, 0).committed_offset;
        checks.same(format!("round {round}: the group's offset"), kept, 5 + round);
        let codes = commit(&mut client, 9, &request(&group, &topic, vec![row(0, 6 + round)]));
        checks.same(format!("round {round}: a commit"), codes, vec![0]);
        producer.client = house.client();
        checks.same(format!("round {round}: the transaction's end"), producer.try_finish(true), 0);
        producer.write(&topic, 0, 1);
        for ((topic, partition), offset) in &planted {
            let words = [format!("{topic}-{partition}"), format!("offset={offset}"), "left out".to_owned()];
            let is_told = house.says(&[&words[0], &words[1], &words[2]]);
            checks.holds(format!("round {round}: {words:?} are told"), is_told);
        }
    }
    producer.finish(true);
    house.stop();
}

/// The byte at which a log's second batch begins.
fn second_batch(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("the log is there");
    let length: [u8; 4] = bytes[8..12].try_into().expect("four bytes");
    12 + u64::from(u32::from_be_bytes(length))
}

#[test]
fn damage_in_the_state_of_some_is_told_and_waited_for_and_keeps_nobody_else_waiting() {
    if is_peer() {
        return;
    }
    let mut house = House::new();
    let topic = house.topic(&[]);
    let (damaged, sound) = (Str::from("g"), Str::from("h"));
    let mut client = house.client();
    for group in [&damaged, &sound] {
        wait_for_coordinator(&mut client, 0, group);
        for offset in [4, 5] {
            assert_eq!(commit(&mut client, 9, &request(group, &topic, vec![row(0, offset)])), [0]);
        }
    }
    let mut other = Producer::with(house.broker().address(), Kind::V2, Str::from("y"), 60_000);
    let mut idle = Producer::with(house.broker().address(), Kind::V2, Str::from("x"), 60_000);
    assert_eq!(idle.init(4), (0, 1));
    house.stop();
    let damages = [OFFSETS_OF_G, STATE_OF_X].map(|(topic, partition)| {
        let path = house.first_segment(topic, partition);
        let second = second_batch(&path);
        flip(&path, second + 75);
        (format!("{topic}-{partition}"), second.to_string())
    });
    let mut checks = Checks::new();
    for round in 0..3 {
        house.start();
        let mut client = house.client();
        for (log, place) in &damages {
            checks.holds(format!("round {round}: {log} is told"), house.says(&[log, "can't be loaded"]));
            checks.holds(format!("round {round}: {log} {place} is told"), house.says(&[log, place]));
        }
        let codes = commit(&mut client, 9, &request(&damaged, &topic, vec![row(0, 9)]));
        checks.same(format!("round {round}: a commit of the damaged"), codes, vec![LOADING]);
        let codes = commit(&mut client, 9, &request(&sound, &topic, vec![row(0, 6 + round)]));
        checks.same(format!("round {round}: a commit of the sound"), codes, vec![0]);
        let found = committed(&mut client, &sound, &topic, 0).committed_offset;
        checks.same(format!("round {round}: the sound one's offset"), found, 6 + round);
        let found = client.request(4, &idle.init_request()).error_code;
        checks.same(format!("round {round}: the damaged id"), found, LOADING);
        other.client = house.client();
        other.write(&topic, 0, 1);
        other.finish(true);
        if round == 1 {
            house.kill();
        } else {
            house.stop();
        }
    }
}
