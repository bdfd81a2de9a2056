//! What compaction leaves of a topic, as clients see it.

use std::fs;

use ottla_testkit::batches::{batch, keyed, read_records};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, FETCH, PATIENCE, Topic, append, command, create_topic, delete_topic, fetch, fresh_name, is_peer,
    list_offset, records_of, topic_id,
};

const COMPACTED: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.bytes", "1048576"), ("min.cleanable.dirty.ratio", "0")];

#[test]
fn the_newest_record_of_each_key_stays_at_its_offset() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("log.cleaner.backoff.ms", 20));
    let mut client = bed.client();
    let topic = bed.topic(1, &COMPACTED);
    // Two to a segment; the last is in the active one, which is left alone.
    for number in 0..9_i64 {
        let record = keyed(format!("key {}", number % 3), "x".repeat(400_000));
        assert_eq!(append(&mut client, &topic, &batch([record]).at(1_000 * (1 + number))), number);
    }
    wait_for("it is compacted", PATIENCE, || {
        let row = fetch(&mut client, FETCH, &topic, 0, 0);
        let first = read_records(&records_of(&row)).first().map(|record| record.offset);
        (first == Some(5)).then_some(())
    });
    let (mut offsets, mut next) = (Vec::new(), 0);
    while next < 9 {
        let row = fetch(&mut client, FETCH, &topic, 0, next);
        assert_eq!((row.error_code, row.high_watermark, row.log_start_offset), (0, 9, 0));
        for record in read_records(&records_of(&row)).iter().filter(|record| next <= record.offset) {
            offsets.push(record.offset);
        }
        next = offsets.last().expect("there are records") + 1;
    }
    assert_eq!(offsets, [5, 6, 7, 8]);
    // Offsets and times of what is gone find what follows.
    for (timestamp, offset, found) in
        [(-2, 0, -1), (-1, 9, -1), (0, 5, 6_000), (1_500, 5, 6_000), (7_000, 6, 7_000), (-3, 8, 9_000)]
    {
        let row = list_offset(&mut client, &topic.name, 0, timestamp);
        assert_eq!((row.error_code, row.offset, row.timestamp), (0, offset, found), "{timestamp}");
    }
}

/// Nine records of one key, two to a segment.
fn append_nine(client: &mut WireClient, topic: &Topic) {
    for number in 0..9_i64 {
        assert_eq!(append(client, topic, &batch([keyed("key", "x".repeat(400_000))])), number);
    }
}

/// Until nothing before the active segment is there but the newest record.
fn wait_until_compacted(client: &mut WireClient, topic: &Topic) {
    wait_for("it is compacted", PATIENCE, || {
        let row = fetch(client, FETCH, topic, 0, 0);
        let first = read_records(&records_of(&row)).first().map(|record| record.offset);
        (first == Some(7)).then_some(())
    });
}

#[test]
fn a_topic_that_takes_the_name_of_a_compacted_one_is_compacted_after_a_kill() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let started = |backoff_ms: u64| {
        command(directory.path().join("data")).set("log.cleaner.backoff.ms", backoff_ms).start()
    };
    let broker = started(20);
    let mut client = WireClient::connect(broker.address());
    let name = fresh_name();
    create_topic(&mut client, &name, 1, &COMPACTED);
    let topic = Topic { id: topic_id(&mut client, &name), name: name.clone() };
    append_nine(&mut client, &topic);
    wait_until_compacted(&mut client, &topic);
    let noted = |name: &str| fs::read_to_string(directory.path().join("data").join(name)).unwrap_or_default();
    let expected = |topic: &str| format!("0\n1\n{topic} 0 8\n");
    wait_for("it is noted", PATIENCE, || {
        (noted("cleaner-offset-checkpoint") == expected(&name)).then_some(())
    });
    broker.kill();
    // Now nothing is noted for ten minutes after the first look.
    let broker = started(600_000);
    let mut client = WireClient::connect(broker.address());
    delete_topic(&mut client, &name);
    create_topic(&mut client, &name, 1, &COMPACTED);
    let topic = Topic { id: topic_id(&mut client, &name), name };
    append_nine(&mut client, &topic);
    broker.kill();
    let broker = started(20);
    let mut client = WireClient::connect(broker.address());
    wait_until_compacted(&mut client, &topic);
}
