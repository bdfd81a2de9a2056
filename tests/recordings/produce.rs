//! Produce: the request and its rows, and what is in the record sets.

mod idempotence;
mod record_sets;

use bytes::Bytes;
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::record::Codec;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{TRANSACTIONAL, TestBatch, batch, counted, record};

use crate::player::{Player, Raw};
use crate::requests::{Topic, fetch_partition, fetch_request, produce_request};

use idempotence::{
    a_new_epoch_fences_the_old_one, duplicates_of_the_last_five_batches, gaps_and_overlaps,
    producers_without_state, sequences_that_wrap,
};
use record_sets::{
    batches_that_are_refused, batches_that_only_look_odd, codecs, log_append_time, null_record_sets,
    records_that_are_refused, which_error_is_told_first,
};

crate::scripts![
    appending,
    topics_that_are_not_there,
    acks,
    no_answer_to_acks_0,
    rows,
    time_outs_and_nothing_to_write,
    transactions_without_an_id,
    internal_topics,
    batches_that_are_refused,
    records_that_are_refused,
    batches_that_only_look_odd,
    null_record_sets,
    codecs,
    log_append_time,
    which_error_is_told_first,
    duplicates_of_the_last_five_batches,
    gaps_and_overlaps,
    a_new_epoch_fences_the_old_one,
    producers_without_state,
    sequences_that_wrap,
];

/// The newest version that names topics.
const NEWEST: i16 = 12;

fn good() -> Bytes {
    counted(1).to_bytes()
}

fn appending(play: &mut Player) {
    for acks in [-1, 1] {
        // A topic for each version, so that each is answered with the same offset.
        let topics: Vec<Topic> =
            (0..=13).map(|version| play.topic(&format!("t{acks}.v{version}"), 1, &[])).collect();
        let topic = |version: i16| &topics[usize::try_from(version).expect("versions are small")];
        play.every(&format!("acks {acks}"), |version| produce_request(acks, topic(version), 0, good()));
        let back = fetch_request(topic(13), vec![fetch_partition(0, 0)]);
        play.until(11, &format!("acks {acks}, read back"), &back, |response| {
            response.responses[0].partitions[0].high_watermark == 1
        });
    }
    let topic = play.topic("t", 1, &[]);
    for version in [3, 6, 7] {
        let zstd = counted(1).in_codec(Codec::Zstd).to_bytes();
        play.at([version], &format!("zstd at version {version}"), |_| {
            produce_request(-1, &topic, 0, zstd.clone())
        });
    }
}

fn topics_that_are_not_there(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    let long = "x".repeat(250);
    for (step, name) in [
        ("an unknown name", "nobody-has-this-name"),
        ("an empty name", ""),
        ("a bad name", "a/b"),
        ("a name of 250 characters", &long),
        ("the metadata's own", "__cluster_metadata"),
    ] {
        let absent = Topic::absent(Str::copy_of(name));
        play.at(3..=12, step, |_| produce_request(-1, &absent, 0, good()));
    }
    for partition in [1, -1, i32::MAX, i32::MIN] {
        play.every(&format!("partition {partition}"), |_| produce_request(-1, &topic, partition, good()));
    }
    play.at([13], "an unknown id", |_| produce_request(-1, &Topic::absent(""), 0, good()));
    let no_id = Topic { name: topic.name.clone(), id: TopicId::ZERO };
    play.at([13], "no id", |_| produce_request(-1, &no_id, 0, good()));
    play.at([13], "an unknown partition of it", |_| produce_request(-1, &Topic::absent(""), -1, good()));
}

fn acks(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    for acks in [2, -2, 100, i16::MIN, i16::MAX] {
        play.every(&format!("{acks}"), |_| produce_request(acks, &topic, 0, good()));
    }
    play.at([NEWEST], "2, and an unknown topic", |_| {
        produce_request(2, &Topic::absent("nobody-has-this-name"), 0, good())
    });
}

fn no_answer_to_acks_0(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    let id = play.producer_id();
    let sequenced = |sequence| counted(1).of_producer(id, 0, sequence).to_bytes();
    let versions = [3, 7, 9, 12, 13];
    play.unanswered(versions, "good", |_| produce_request(0, &topic, 0, good()));
    play.unanswered([9], "the first of a producer", |_| produce_request(0, &topic, 0, sequenced(0)));
    play.unanswered([9], "a duplicate", |_| produce_request(0, &topic, 0, sequenced(0)));
    let absent = Topic::absent("nobody-has-this-name");
    play.unanswered(versions, "an unknown topic", |_| produce_request(0, &absent, 0, good()));
    play.unanswered(versions, "an unknown partition", |_| produce_request(0, &topic, 5, good()));
    play.unanswered([9], "no records", |_| produce_request(0, &topic, 0, Bytes::new()));
    play.unanswered([9], "a gap in the sequence", |_| produce_request(0, &topic, 0, sequenced(7)));
    let bad_crc = TestBatch { crc: Some(0), ..counted(1) }.to_bytes();
    play.unanswered([9], "a wrong CRC", |_| produce_request(0, &topic, 0, bad_crc.clone()));
    let transactional = TestBatch { attributes: TRANSACTIONAL, ..counted(1) }.of_producer(id, 0, 1);
    play.unanswered([9], "a transaction", |_| produce_request(0, &topic, 0, transactional.to_bytes()));
    let mut half = produce_request(0, &topic, 1, good());
    half.topic_data[0].partition_data.push(part(9, good()));
    play.unanswered([9], "one of two partitions is not there", |_| half.clone());
    // Five versions and a producer's first batch on one, the good half on the other.
    let back = fetch_request(&topic, vec![fetch_partition(0, 5), fetch_partition(1, 0)]);
    play.until(11, "read back", &back, |response| {
        let mut ends: Vec<(i32, i64)> = response.responses[0]
            .partitions
            .iter()
            .map(|row| (row.partition_index, row.high_watermark))
            .collect();
        ends.sort_unstable();
        ends == [(0, 6), (1, 1)]
    });
}

fn part(index: i32, records: Bytes) -> ProduceRequestPartition {
    ProduceRequestPartition { index, records: Some(records) }
}

fn rows(play: &mut Player) {
    let (topic, other) = (play.topic("t", 4, &[]), play.topic("u", 1, &[]));
    let of = |topic: &Topic, partition_data| ProduceRequestTopic {
        name: topic.name.clone(),
        topic_id: topic.id,
        partition_data,
    };
    let request =
        |topic_data| ProduceRequest { topic_data, acks: -1, timeout_ms: 30_000, ..ProduceRequest::default() };
    let bad_crc = TestBatch { crc: Some(0), ..counted(1) }.to_bytes();
    let mixed = vec![part(0, good()), part(1, Bytes::new()), part(7, good()), part(2, bad_crc)];
    play.every("good and bad partitions", |_| request(vec![of(&topic, mixed.clone())]));
    play.every("two topics", |_| {
        request(vec![of(&topic, vec![part(1, good())]), of(&other, vec![part(0, good())])])
    });
    play.every("a topic in two halves", |_| {
        request(vec![of(&topic, vec![part(0, good())]), of(&topic, vec![part(1, good())])])
    });
    let first = batch([record("first")]).to_bytes();
    let second = batch([record("second")]).to_bytes();
    let twice = vec![part(3, first), part(0, good()), part(3, second)];
    play.at([NEWEST], "a partition twice", |_| request(vec![of(&topic, twice.clone())]));
    play.one(11, "read back", &fetch_request(&topic, vec![fetch_partition(3, 0)]));
    play.every("no partitions", |_| request(vec![of(&topic, vec![])]));
}

fn time_outs_and_nothing_to_write(play: &mut Player) {
    let topic = play.topic("t", 1, &[]);
    for timeout_ms in [0, -1, i32::MIN] {
        play.at([3, 9, 13], &format!("time-out {timeout_ms}"), |_| ProduceRequest {
            timeout_ms,
            ..produce_request(-1, &topic, 0, good())
        });
    }
    play.every("nothing", |_| ProduceRequest { acks: -1, timeout_ms: 1_000, ..ProduceRequest::default() });
    play.at([9], "an empty transactional id", |_| ProduceRequest {
        transactional_id: Some(Str::EMPTY),
        ..produce_request(-1, &topic, 0, good())
    });
    // Acks, time-out, and then one topic less than announced.
    let cut = [0xff, 0xff, 0, 1, 0, 0, 0x75, 0x30, 0, 0, 0, 1];
    play.raw::<ProduceRequest>("a body that is cut", Raw::of::<ProduceRequest>(7, &cut));
    for version in 0..=2 {
        let raw = Raw { version, header_version: 1, answer_version: 3, body: &[0; 40] };
        play.raw::<ProduceRequest>(&format!("version {version}, which is advertised"), raw);
    }
}

fn transactions_without_an_id(play: &mut Player) {
    let topic = play.topic("t", 2, &[]);
    let id = play.producer_id();
    let transactional = TestBatch { attributes: TRANSACTIONAL, ..counted(1) }.of_producer(id, 0, 0);
    let mut request = produce_request(-1, &topic, 0, transactional.to_bytes());
    request.topic_data[0].partition_data.push(part(1, good()));
    play.every("a transactional batch and a plain one", |_| request.clone());
}

fn internal_topics(play: &mut Player) {
    let state = Str::from("__transaction_state");
    let creating = crate::requests::metadata_request(&[&state]);
    let creating =
        ottla_protocol::api::metadata::MetadataRequest { allow_auto_topic_creation: true, ..creating };
    play.wait_until(12, "it is there", &creating, |response| response.topics[0].error_code == 0);
    play.wait_until_led(&state, 50);
    let id = play.quietly(12, &creating).topics[0].topic_id;
    let topic = Topic { name: state, id };
    let keyed = batch([ottla_testkit::batches::keyed("key", "value")]).to_bytes();
    play.every("anybody", |_| produce_request(-1, &topic, 3, keyed.clone()));
    play.called(Some("__admin_client"));
    let nobodys = Topic { name: Str::from("__cluster_metadata"), id: TopicId::ZERO };
    play.at([12], "an administrator, to the metadata's own", |_| produce_request(-1, &nobodys, 0, good()));
}
