//! Transactions in partitions: what may be written, what readers of committed records see, and who is fenced.

use std::time::Duration;

use ottla_protocol::api::delete_records::{
    DeleteRecordsRequest, DeleteRecordsRequestPartition, DeleteRecordsRequestTopic,
};
use ottla_protocol::api::fetch::FetchRequest;
use ottla_testkit::batches::counted;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{
    Bed, FETCH, PATIENCE, Topic, append_to, command, create_topic, fetch, fresh_name, is_peer, only_row,
    produce, records_of, topic_id,
};
use crate::check::Checks;
use crate::committed_reads::{
    committed_offsets, committed_request, fetch_committed, producers_of, stable_end,
    wait_for_no_open_transaction, wait_for_stable_end,
};
use crate::transactional::{
    Kind, NOT_ENOUGH_REPLICAS, Producer, in_transaction, only_produced, wait_for_state,
};

#[test]
fn committed_and_aborted_records_are_told_apart() {
    let bed = Bed::shared();
    for kind in Kind::BOTH {
        let topic = bed.topic(1, &[]);
        let mut client = bed.client();
        let (mut one, mut other) =
            (Producer::fresh(bed.address(), kind), Producer::fresh(bed.address(), kind));
        // 0..2 of one, 2 of the other, 3 of nobody; then their ends, and one more of each.
        assert_eq!(one.write(&topic, 0, 2), 0);
        assert_eq!(other.write(&topic, 0, 1), 2);
        append_to(&mut client, &topic, 0, &counted(1));
        assert_eq!(stable_end(&mut client, &topic, 0), 0);
        let row = fetch(&mut client, FETCH, &topic, 0, 0);
        assert_eq!((row.high_watermark, row.last_stable_offset, row.aborted_transactions), (4, 0, None));
        let row = fetch_committed(&mut client, &topic, 0, 0);
        assert_eq!((row.high_watermark, row.last_stable_offset), (4, 0), "{kind:?}");
        assert!(records_of(&row).is_empty());
        assert_eq!(row.aborted_transactions, Some(Vec::new()));

        one.finish(false);
        wait_for_stable_end(&mut client, &topic, 0, 2);
        other.finish(true);
        wait_for_stable_end(&mut client, &topic, 0, 6);
        let row = fetch_committed(&mut client, &topic, 0, 0);
        let aborted = row.aborted_transactions.unwrap_or_default();
        let told: Vec<(i64, i64)> = aborted.iter().map(|one| (one.producer_id, one.first_offset)).collect();
        assert_eq!(told, [(one.id, 0)], "{kind:?}");
        assert_eq!(committed_offsets(&mut client, &topic, 0), [2, 3]);
        // Behind the aborted records nothing is told of them.
        let row = fetch_committed(&mut client, &topic, 0, 5);
        assert_eq!(row.aborted_transactions, Some(Vec::new()));

        assert_eq!(one.write(&topic, 0, 1), 6);
        one.finish(true);
        wait_for_stable_end(&mut client, &topic, 0, 8);
        assert_eq!(committed_offsets(&mut client, &topic, 0), [2, 3, 6]);
    }
}

#[test]
fn a_fetch_that_waits_is_woken_by_the_end_of_a_transaction() {
    let bed = Bed::shared();
    for kind in Kind::BOTH {
        let topic = bed.topic(1, &[]);
        let mut producer = Producer::fresh(bed.address(), kind);
        producer.write(&topic, 0, 1);
        let mut reader = bed.client();
        let request = FetchRequest { max_wait_ms: 20_000, min_bytes: 1, ..committed_request(&topic, 0, 0) };
        let asked = reader.send(FETCH, &request);
        producer.write(&topic, 0, 1);
        producer.finish(true);
        #[expect(clippy::disallowed_methods, reason = "a client of a real process has a real clock")]
        let begun = std::time::Instant::now();
        let row = only_row(reader.receive::<FetchRequest>(FETCH, asked));
        assert!(begun.elapsed() < Duration::from_secs(10), "it was woken");
        assert!(!records_of(&row).is_empty(), "{kind:?}");
        assert_eq!((row.last_stable_offset, row.high_watermark), (3, 3));
    }
}

#[test]
fn what_may_not_be_written_gets_its_code() {
    let bed = Bed::shared();
    let topic = bed.topic(8, &[]);
    let mut checks = Checks::new();
    let mut client = bed.client();
    let mut one = Producer::fresh(bed.address(), Kind::V1);
    let mine =
        |one: &Producer, epoch, sequence| in_transaction(counted(1).of_producer(one.id, epoch, sequence));

    let batch = mine(&one, 0, 0);
    for version in [11, 12] {
        let row = produce(&mut client, version, &topic, 0, batch.to_bytes());
        checks.same(format!("no transactional id at {version}"), row.error_code, 53);
    }
    for (version, expected) in [(7, 48), (10, 48), (11, 120)] {
        let row = one.send_batch(version, &topic, 0, mine(&one, 0, 0));
        checks.same(
            format!("not added at {version}"),
            (row.error_code, row.log_start_offset),
            (expected, -1),
        );
    }
    assert_eq!(one.add(3, &[(&topic, 0)]), [0]);
    for (epoch, version) in [(1, 10), (1, 11), (1, 12)] {
        let row = one.send_batch(version, &topic, 0, mine(&one, epoch, 0));
        checks.same(format!("a future epoch at {version}"), (row.error_code, row.log_start_offset), (47, -1));
    }
    let stranger = one.request(&topic, 0, &mine(&one, 0, 0));
    for version in [10, 11, 12] {
        let request = ottla_protocol::api::produce::ProduceRequest {
            transactional_id: Some(fresh_name()),
            ..stranger.clone()
        };
        let row = only_produced(client.request(version, &request));
        checks.same(format!("another transactional id at {version}"), row.error_code, 49);
    }
    assert_eq!(one.add(3, &[(&topic, 3)]), [0]);
    let row = one.send_batch(11, &topic, 3, mine(&one, 0, 5));
    checks.same("a first write of the old way may begin anywhere", row.error_code, 0);
    let row = produce(&mut client, 11, &topic, 3, counted(1).of_producer(one.id, 0, 6).to_bytes());
    checks.same("a plain batch while its transaction is open", row.error_code, 48);
    let request = ottla_protocol::api::produce::ProduceRequest {
        transactional_id: Some(fresh_name()),
        ..one.request(&topic, 3, &mine(&one, 0, 6))
    };
    let row = only_produced(client.request(11, &request));
    checks.same("any transactional id once the transaction is open there", row.error_code, 0);
    one.finish(false);

    let mut new = Producer::fresh(bed.address(), Kind::V2);
    for (sequence, expected) in [(5, 45), (7, 45), (0, 0), (2, 45), (1, 0)] {
        let row = new.send_batch(12, &topic, 1, mine(&new, 0, sequence));
        checks.same(format!("sequence {sequence} of the new way"), row.error_code, expected);
    }
    new.finish(true);
    // Up to the marker the first batch would be known again.
    wait_for_stable_end(&mut client, &topic, 1, 3);
    for (epoch, expected) in [(0, 47), (1, 0)] {
        let batch = mine(&new, epoch, 0);
        let row = wait_for("the coordinator answers", PATIENCE, || {
            let row = new.send_batch(12, &topic, 1, batch.clone());
            (row.error_code != NOT_ENOUGH_REPLICAS).then_some(row)
        });
        checks.same(format!("epoch {epoch} in the second transaction"), row.error_code, expected);
    }
    new.finish(true);
}

/// The old way, and the new in which the partition is added by the write itself: right behind the end of the last
/// transaction the coordinator may not be ready yet, and the client hears nothing of it.
#[test]
fn the_next_transaction_may_begin_at_once() {
    let bed = Bed::shared();
    let topic = bed.topic(3, &[]);
    let mut producer = Producer::fresh(bed.address(), Kind::V2);
    for round in 0..20 {
        for partition in 0..3 {
            let row = producer.send_patiently(&topic, partition, 1);
            assert_eq!(row.error_code, 0, "round {round}: {row:?}");
        }
        producer.finish(round % 2 == 0);
    }
    let mut client = bed.client();
    for partition in 0..3 {
        wait_for_stable_end(&mut client, &topic, partition, 40);
        let expected: Vec<i64> = (0..40).step_by(4).collect();
        assert_eq!(committed_offsets(&mut client, &topic, partition), expected);
    }
}

/// T-40.
#[test]
fn a_zombie_writes_nothing_that_is_committed() {
    let bed = Bed::shared();
    for kind in Kind::BOTH {
        let topic = bed.topic(2, &[]);
        let mut client = bed.client();
        let mut zombie = Producer::fresh(bed.address(), kind);
        zombie.write(&topic, 0, 2);
        let mut next = Producer::with(bed.address(), kind, zombie.transactional_id.clone(), 60_000);
        assert_eq!(next.id, zombie.id);
        assert!(zombie.epoch < next.epoch);
        wait_for_stable_end(&mut client, &topic, 0, 3);
        assert_eq!(zombie.send(&topic, 0, 1).error_code, 47, "{kind:?}: where it has written");
        assert_eq!(zombie.send(&topic, 1, 1).error_code, 47, "{kind:?}: where it has not");
        assert_eq!(zombie.add(3, &[(&topic, 1)]), [90]);
        assert_eq!(zombie.try_finish(true), 90);
        next.write(&topic, 0, 1);
        assert_eq!(zombie.send(&topic, 0, 1).error_code, 47);
        assert_eq!(zombie.try_finish(false), 90);
        next.finish(true);
        wait_for_stable_end(&mut client, &topic, 0, 5);
        assert_eq!(committed_offsets(&mut client, &topic, 0), [3], "{kind:?}");
        assert_eq!(committed_offsets(&mut client, &topic, 1), [] as [i64; 0]);
    }
}

/// T-41, KAFKA-17754: what was sent in one transaction and arrives in the next.
#[test]
fn what_comes_late_from_an_older_transaction_stays_out_of_the_next() {
    let bed = Bed::shared();
    let topic = bed.topic(2, &[]);
    let mut client = bed.client();

    let mut new = Producer::fresh(bed.address(), Kind::V2);
    new.write(&topic, 0, 1);
    let (old_epoch, producer_id) = (new.epoch, new.id);
    new.finish(true);
    new.write(&topic, 0, 1);
    let late = in_transaction(counted(1).of_producer(producer_id, old_epoch, 0));
    for partition in [0, 1] {
        assert_eq!(new.send_batch(12, &topic, partition, late.clone()).error_code, 47, "{partition}");
    }
    let mut delayed = Producer::fresh(bed.address(), Kind::V2);
    delayed.transactional_id = new.transactional_id.clone();
    (delayed.id, delayed.epoch) = (producer_id, old_epoch);
    assert_eq!(delayed.add(3, &[(&topic, 1)]), [90]);
    assert_eq!(delayed.try_finish(false), 90, "an end of the first transaction doesn't end the second");
    assert_eq!(stable_end(&mut client, &topic, 0), 2);
    new.finish(true);
    wait_for_stable_end(&mut client, &topic, 0, 4);
    assert_eq!(stable_end(&mut client, &topic, 1), 0, "nothing hangs where nothing was written");

    // The old way: the epoch says nothing, but each transaction's first write is held against what was added.
    let mut old = Producer::fresh(bed.address(), Kind::V1);
    old.write(&topic, 0, 1);
    old.finish(true);
    wait_for_stable_end(&mut client, &topic, 0, 6);
    let late = in_transaction(counted(1).of_producer(old.id, old.epoch, 1));
    let code = wait_for("the transaction is complete", PATIENCE, || {
        let code = old.send_batch(11, &topic, 0, late.clone()).error_code;
        (code != NOT_ENOUGH_REPLICAS).then_some(code)
    });
    assert_eq!(code, 120);
    assert_eq!(old.send_batch(10, &topic, 0, late).error_code, 48);
    assert_eq!(stable_end(&mut client, &topic, 0), 6, "and opens nothing");
}

#[test]
fn records_may_be_deleted_under_an_open_transaction() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    let mut producer = Producer::fresh(bed.address(), Kind::V2);
    producer.write(&topic, 0, 3);
    append_to(&mut client, &topic, 0, &counted(2));
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsRequestTopic {
            name: topic.name.clone(),
            partitions: vec![DeleteRecordsRequestPartition { partition_index: 0, offset: 4 }],
        }],
        timeout_ms: 30_000,
    };
    let row = client.request(2, &request).topics.remove(0).partitions.remove(0);
    assert_eq!((row.error_code, row.low_watermark), (0, 4));
    let row = fetch_committed(&mut client, &topic, 0, 4);
    assert_eq!((row.error_code, row.log_start_offset, row.last_stable_offset), (0, 4, 4));
    producer.finish(false);
    wait_for_stable_end(&mut client, &topic, 0, 6);
    assert_eq!(committed_offsets_from(&mut client, &topic, 4), 1);
}

fn committed_offsets_from(client: &mut WireClient, topic: &Topic, from: i64) -> usize {
    let row = fetch_committed(client, topic, 0, from);
    assert_eq!(row.error_code, 0, "{row:?}");
    // One batch of nobody's and the marker; the batch that holds `from` comes whole.
    ottla_testkit::batches::read_batches(&records_of(&row))
        .iter()
        .filter(|batch| !batch.header.attributes.is_control())
        .count()
}

/// T-42: the broker dies right behind the answer to EndTxn, with some markers written or none. What it can't know to have
/// been written it writes again once it is back, so a partition may hold the marker twice.
#[test]
fn a_transaction_that_was_decided_ends_after_a_crash_everywhere_alike() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let serve = || command(directory.path().join("data")).start();
    let mut broker = serve();
    let name = fresh_name();
    create_topic(&mut WireClient::connect(broker.address()), &name, 8, &[]);
    let topic = Topic { id: topic_id(&mut WireClient::connect(broker.address()), &name), name };
    let mut expected = vec![Vec::new(); 8];
    for (round, kind) in [Kind::V1, Kind::V2, Kind::V1, Kind::V2].into_iter().enumerate() {
        let committed = round < 2;
        let mut producer = Producer::fresh(broker.address(), kind);
        for (partition, offsets) in (0..).zip(&mut expected) {
            let offset = producer.write(&topic, partition, 1);
            offsets.extend(committed.then_some(offset));
        }
        producer.finish(committed);
        broker.kill();
        broker = serve();
        let state = if committed { "CompleteCommit" } else { "CompleteAbort" };
        let mut client = WireClient::connect(broker.address());
        wait_for_state(&mut client, &producer.transactional_id, state);
        for (partition, offsets) in (0..).zip(&expected) {
            wait_for_no_open_transaction(&mut client, &topic, partition);
            let found = committed_offsets(&mut client, &topic, partition);
            assert_eq!(&found, offsets, "round {round}, partition {partition}");
        }
    }
    assert!(broker.stop().success());
}

/// T-43: a client that dies with a transaction open.
#[test]
fn a_transaction_whose_client_is_gone_ends_by_itself() {
    let bed = if is_peer() {
        return;
    } else {
        Bed::with(|command| command.set("transaction.abort.timed.out.transaction.cleanup.interval.ms", 200))
    };
    for kind in Kind::BOTH {
        let topic = bed.topic(2, &[]);
        let mut client = bed.client();
        let mut producer = Producer::with(bed.address(), kind, fresh_name(), 1_000);
        producer.write(&topic, 0, 1);
        producer.write(&topic, 1, 1);
        let open = producers_of(&mut client, &topic, 0);
        assert_eq!((open.len(), open[0].current_txn_start_offset, open[0].coordinator_epoch), (1, 0, -1));
        assert_eq!(open[0].producer_id, producer.id);
        for partition in [0, 1] {
            wait_for_stable_end(&mut client, &topic, partition, 2);
            assert_eq!(committed_offsets(&mut client, &topic, partition), [] as [i64; 0]);
        }
        let closed = producers_of(&mut client, &topic, 0);
        assert_eq!(closed[0].current_txn_start_offset, -1);
        assert!(closed[0].coordinator_epoch >= 0);
        assert!(i32::from(producer.epoch) < closed[0].producer_epoch);
        assert_eq!(producer.send(&topic, 0, 1).error_code, 47, "{kind:?}");
        assert_eq!(producer.add(3, &[(&topic, 0)]), [90], "{kind:?}");
        // In the new way the abort may be its own, of which it has not heard; a commit it was not.
        assert_eq!(producer.try_finish(true), if kind == Kind::V1 { 90 } else { 48 }, "{kind:?}");
        assert_eq!(producer.init_from(4, producer.id, 0), (0, 1), "{kind:?}: and it may begin anew");
    }
    assert!(bed.process().said().lines().all(|line| !line.contains("ERROR")), "{}", bed.process().said());
}

/// A log at rest answers readers of committed records as one that is open, before and after a restart.
#[test]
fn an_open_transaction_outlives_a_clean_stop() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let serve = || command(directory.path().join("data")).start();
    let broker = serve();
    let name = fresh_name();
    create_topic(&mut WireClient::connect(broker.address()), &name, 2, &[]);
    let topic = Topic { id: topic_id(&mut WireClient::connect(broker.address()), &name), name };
    let mut producer = Producer::fresh(broker.address(), Kind::V2);
    producer.write(&topic, 0, 2);
    append_to(&mut WireClient::connect(broker.address()), &topic, 1, &counted(3));
    assert!(broker.stop().success());
    let broker = serve();
    let mut client = WireClient::connect(broker.address());
    assert_eq!((stable_end(&mut client, &topic, 0), stable_end(&mut client, &topic, 1)), (0, 3));
    let row = fetch_committed(&mut client, &topic, 0, 0);
    assert_eq!((row.high_watermark, row.last_stable_offset), (2, 0));
    producer.client = WireClient::connect(broker.address());
    wait_for("the producer goes on", PATIENCE, || {
        (producer.send(&topic, 0, 1).error_code == 0).then_some(())
    });
    wait_for("it ends", PATIENCE, || (producer.try_finish(true) == 0).then_some(()));
    wait_for_stable_end(&mut client, &topic, 0, 4);
    assert_eq!(committed_offsets(&mut client, &topic, 0), [0, 1, 2]);
    assert!(broker.stop().success());
}
