//! Idempotent producers: duplicates, gaps, epochs, and what of them a restart remembers.

use ottla_protocol::api::produce::ProduceResponsePartition;
use ottla_protocol::record::Codec;
use ottla_testkit::batches::{TestBatch, batch, counted, record};
use ottla_testkit::process::BrokerProcess;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, PATIENCE, PRODUCE, Topic, append, command, create_topic, fresh_name, is_peer, now_ms, produce,
    producer_id, topic_id, values,
};
use crate::check::{Checks, kafka, ours};

/// A producer's side of one partition: sends batches of its id and reads what became of them.
struct Producer<'a> {
    client: &'a mut WireClient,
    topic: Topic,
    id: i64,
}

impl Producer<'_> {
    fn send(&mut self, epoch: i16, sequence: i32, count: usize) -> (i16, i64) {
        let row = self.send_row(counted(count).of_producer(self.id, epoch, sequence));
        (row.error_code, row.base_offset)
    }

    fn send_row(&mut self, batch: TestBatch) -> ProduceResponsePartition {
        produce(self.client, PRODUCE, &self.topic, 0, batch.to_bytes())
    }
}

fn with_producer(test: impl FnOnce(Producer<'_>)) {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let id = producer_id(&mut client);
    test(Producer { client: &mut client, topic, id });
}

#[test]
fn the_last_five_batches_are_known_again() {
    with_producer(|mut producer| {
        for number in 0..6 {
            assert_eq!(producer.send(0, 2 * number, 2), (0, i64::from(2 * number)));
        }
        for number in (1..6).rev() {
            assert_eq!(producer.send(0, 2 * number, 2), (0, i64::from(2 * number)), "batch {number}");
        }
        assert_eq!(producer.send(0, 0, 2), (45, -1), "six batches back");
        assert_eq!(values(producer.client, &producer.topic).len(), 12, "nothing was written twice");
        assert_eq!(producer.send(0, 12, 1), (0, 12));
    });
}

#[test]
fn a_duplicate_is_answered_as_its_original_was() {
    with_producer(|mut producer| {
        let now = now_ms();
        let sent = batch([record("a"), record("b").after(4)]).at(now).of_producer(producer.id, 0, 0);
        assert_eq!(producer.send_row(sent.clone()).base_offset, 0);
        // Only producer, epoch and sequences are compared: other bytes change nothing.
        for again in [
            sent.clone(),
            sent.in_codec(Codec::Gzip),
            batch([record("x"), record("y")]).at(now).of_producer(producer.id, 0, 0),
        ] {
            let row = producer.send_row(again);
            assert_eq!((row.error_code, row.base_offset, row.log_start_offset), (0, 0, 0));
            assert_eq!(row.log_append_time_ms, now + 4, "the original's timestamp");
        }
        assert_eq!(values(producer.client, &producer.topic), ["a", "b"]);
    });
}

#[test]
fn sequences_go_on_without_gaps_or_overlaps() {
    with_producer(|mut producer| {
        assert_eq!(producer.send(0, 0, 3), (0, 0));
        let mut checks = Checks::new();
        for (case, sequence, count) in [
            ("a gap of one", 4, 1),
            ("a large gap", 1000, 1),
            ("the largest gap", i32::MAX, 1),
            ("an overlap", 2, 2),
            ("a part of the last batch", 0, 2),
            ("the last batch and more", 0, 4),
            ("inside the last batch", 1, 1),
        ] {
            checks.same(case, producer.send(0, sequence, count), (45, -1));
        }
        let row = producer.send_row(counted(1).of_producer(producer.id, 0, 9));
        checks.same("an error of the log comes with its start", row.log_start_offset, 0);
        checks.same("what comes next", producer.send(0, 3, 1), (0, 3));
    });
}

#[test]
fn a_new_epoch_starts_at_0_and_fences_the_old_one() {
    with_producer(|mut producer| {
        assert_eq!(producer.send(0, 0, 1), (0, 0));
        assert_eq!(producer.send(1, 1, 1), (45, -1), "a new epoch does not go on where the old one was");
        assert_eq!(producer.send(1, 0, 1), (0, 1));
        assert_eq!(producer.send(0, 1, 1), (47, -1), "the old epoch");
        assert_eq!(producer.send(0, 0, 1), (47, -1), "a duplicate of the old epoch");
        let row = producer.send_row(counted(1).of_producer(producer.id, 0, 1));
        assert_eq!(row.log_start_offset, 0, "an error of the log comes with its start");
        assert_eq!(producer.send(5, 0, 1), (0, 2), "epochs may be passed over");
        assert_eq!(producer.send(5, 1, 1), (0, 3));
        assert_eq!(producer.send(i16::MAX, 0, 1), (0, 4), "the largest epoch");
    });
}

#[test]
fn a_producer_without_state_may_start_anywhere() {
    with_producer(|mut producer| {
        assert_eq!(producer.send(3, 17, 2), (0, 0));
        assert_eq!(producer.send(3, 20, 1), (45, -1));
        assert_eq!(producer.send(3, 19, 1), (0, 2));
    });
    // Ids that were never given are as good.
    with_producer(|mut producer| {
        producer.id += 1_000_000_000;
        assert_eq!(producer.send(0, 0, 1), (0, 0));
        assert_eq!(producer.send(0, 5, 1), (45, -1));
    });
}

#[test]
fn sequences_wrap_to_0() {
    with_producer(|mut producer| {
        assert_eq!(producer.send(0, i32::MAX - 1, 2), (0, 0));
        assert_eq!(producer.send(0, 0, 2), (0, 2), "after the largest comes 0");
        assert_eq!(producer.send(0, i32::MAX - 1, 2), (0, 0), "a duplicate from before");
    });
    with_producer(|mut producer| {
        assert_eq!(producer.send(0, i32::MAX, 3), (0, 0), "inside a batch");
        assert_eq!(producer.send(0, 1, 1), (45, -1));
        assert_eq!(producer.send(0, 2, 1), (0, 3));
        assert_eq!(producer.send(0, i32::MAX, 3), (0, 0));
    });
}

#[test]
fn producers_and_partitions_do_not_know_of_each_other() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();
    let (one, other) = (producer_id(&mut client), producer_id(&mut client));
    assert_ne!(one, other);
    for partition in [0, 1] {
        for id in [one, other] {
            let row =
                produce(&mut client, PRODUCE, &topic, partition, counted(1).of_producer(id, 0, 0).to_bytes());
            assert_eq!(row.error_code, 0);
        }
        append(&mut client, &topic, &counted(1));
    }
}

#[test]
fn a_lost_answer_and_a_pipeline_of_five_still_write_once() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let id = producer_id(&mut bed.client());
    let batches: Vec<TestBatch> =
        (0..5).map(|number| batch([record(number.to_string())]).of_producer(id, 0, number)).collect();
    for _ in 0..3 {
        // Five in flight, the connection lost before any answer was read, all five sent again.
        let mut client = bed.client();
        for batch in &batches {
            client.send(9, &crate::bed::produce_request(-1, &topic, 0, batch.to_bytes()));
        }
        client.reset();
    }
    let mut client = bed.client();
    for (batch, offset) in batches.iter().zip(0..) {
        let row = produce(&mut client, PRODUCE, &topic, 0, batch.to_bytes());
        assert_eq!((row.error_code, row.base_offset), (0, offset));
    }
    assert_eq!(values(&mut client, &topic), ["0", "1", "2", "3", "4"]);
}

/// Writes nine batches of a producer, ends the broker by `end`, starts it again, and looks what it remembers.
fn restarted(configs: &[(&'static str, &str)], end: impl Fn(BrokerProcess)) {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let name = fresh_name();
    create_topic(&mut client, &name, 1, configs);
    let topic = Topic { id: topic_id(&mut client, &name), name };
    let ids = [producer_id(&mut client), producer_id(&mut client)];
    for number in 0..9 {
        for id in ids {
            let sent = batch([record("x".repeat(200_000))]).of_producer(id, 3, number);
            append(&mut client, &topic, &sent);
        }
    }
    let written = values(&mut client, &topic).len();
    end(broker);

    for _ in 0..2 {
        let broker = command(directory.path()).start();
        let mut client = WireClient::connect(broker.address());
        for (id, place) in ids.into_iter().zip(0..) {
            let mut producer = Producer { client: &mut client, topic: topic.clone(), id };
            for number in (4..9).rev() {
                assert_eq!(producer.send(3, number, 1), (0, i64::from(2 * number) + place), "batch {number}");
            }
            assert_eq!(producer.send(3, 3, 1), (45, -1), "six batches back");
            assert_eq!(producer.send(3, 10, 1), (45, -1), "a gap");
            assert_eq!(producer.send(2, 9, 1), (47, -1), "an old epoch");
        }
        assert_eq!(values(&mut client, &topic).len(), written, "nothing was written twice");
        let fresh = producer_id(&mut client);
        assert!(!ids.contains(&fresh), "ids are given once");
        end(broker);
    }
    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let mut producer = Producer { client: &mut client, topic, id: ids[0] };
    assert_eq!(producer.send(3, 9, 1), (0, 18), "and on it goes");
}

#[test]
fn all_five_batches_are_known_after_a_clean_stop() {
    restarted(&[], |broker| assert!(broker.stop().success()));
}

#[test]
fn all_five_batches_are_known_after_a_kill() {
    restarted(&[], BrokerProcess::kill);
}

#[test]
fn all_five_batches_are_known_across_segments() {
    restarted(&[("segment.bytes", "1048576")], |broker| assert!(broker.stop().success()));
    restarted(&[("segment.bytes", "1048576")], BrokerProcess::kill);
}

#[test]
fn a_producer_that_was_silent_for_too_long_may_start_anywhere() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| {
        command.set("producer.id.expiration.ms", 100).set("producer.id.expiration.check.interval.ms", 10)
    });
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let id = producer_id(&mut client);
    let mut producer = Producer { client: &mut client, topic, id };
    assert_eq!(producer.send(3, 5, 1), (0, 0));
    // Not even its epoch is known any more.
    wait_for("it is forgotten", PATIENCE, || (producer.send(2, 77, 1).0 == 0).then_some(()));
    assert_eq!(values(producer.client, &producer.topic).len(), 2);
}

#[test]
fn an_epoch_of_minus_one_is_not_idempotent_by_mistake() {
    with_producer(|mut producer| {
        // Kafka takes such a batch, and so do we; what matters is that it disturbs nobody.
        let (first, _) = producer.send(-1, 0, 1);
        assert_eq!(first, ours(0, kafka(0)));
        assert_eq!(producer.send(0, 0, 1).0, 0);
    });
}
