//! Logs that can't be opened, and readers that ask for one that goes.

use std::sync::Arc;

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::simulated::{OperationKind, Simulation};
use ottla_runtime::{MonotonicTime, TaskEnd};

use crate::config::TopicConfig;
use crate::replication::ack_queue::Acks;
use crate::replication::partition::{Partition, PartitionState};
use crate::replication::testing::{Rig, on_shard, outcome, produced};

/// A log of two records that rests, and that the disk refuses to show from now on, so many times.
async fn unreadable(rig: &mut Rig, times: usize) -> Arc<Partition> {
    let partition = rig.partition("t").await;
    for _ in 0..2 {
        rig.produce(&partition, Acks::All).await.expect("it works");
    }
    rig.wait_until("it rests", || partition.log().is_none()).await;
    (0..times).for_each(|_| rig.machine.disk().fail_next(OperationKind::Look, "t-0"));
    partition
}

#[test]
fn a_log_that_cannot_be_opened_is_tried_again_ever_more_rarely_and_then_serves() {
    on_shard(async |mut rig| {
        let partition = unreadable(&mut rig, 4).await;
        let disk = rig.machine.disk();
        let mut tried_at: Vec<MonotonicTime> = Vec::new();
        loop {
            let before = disk.submitted_count();
            let read = rig.shards.log_of(&partition).await.map(drop);
            if before < disk.submitted_count() {
                tried_at.push(rig.clock.now());
            }
            if read.is_ok() {
                break;
            }
            assert_eq!(read, Err(ErrorCode::KafkaStorageError));
            let append = rig.produce(&partition, Acks::All).await;
            assert_eq!(append, Err(ErrorCode::KafkaStorageError));
            rig.sleep(100).await;
        }
        let waits: Vec<u128> =
            tried_at.windows(2).map(|pair| (pair[1].since(pair[0]).as_millis() + 50) / 1_000).collect();
        assert_eq!(waits, [1, 2, 4, 8]);
        assert!(!rig.directory.has_failed());
        assert_eq!(rig.produce(&partition, Acks::All).await, Ok(2));
        rig.close().await;
    });
}

#[test]
fn a_partition_that_the_start_made_no_sense_of_comes_online_when_it_is_used() {
    on_shard(async |mut rig| {
        let found = rig.partition_with("t", TopicConfig::default(), Err(None)).await;
        found.set_state(PartitionState::Offline);
        rig.shards.log_of(&found).await.expect("it can be opened");
        assert_eq!(found.state(), PartitionState::Online);
        assert_eq!(rig.produce(&found, Acks::All).await, Ok(0));
        rig.close().await;
    });
}

#[test]
fn a_reader_of_a_partition_that_is_deleted_meanwhile_hears_that_it_is_gone() {
    on_shard(async |mut rig| {
        let partition = unreadable(&mut rig, 0).await;
        rig.set_latency(50, 50);
        let (read, removed) =
            futures_util::future::join(rig.shards.log_of(&partition), rig.remove(&partition)).await;
        assert_eq!(read.map(drop), Err(ErrorCode::UnknownTopicOrPartition));
        removed.await.expect("it is removed");
        let late = rig.shards.log_of(&partition).await.map(drop);
        assert_eq!(late, Err(ErrorCode::UnknownTopicOrPartition));
        rig.close().await;
    });
}

/// With one place for two logs, each is put to rest as soon as it is open.
#[test]
fn a_reader_gets_its_log_even_if_that_is_put_to_rest_at_once() {
    let simulation = Simulation::new(5);
    let machine = simulation.machine("broker");
    simulation.block_on(async {
        let mut rig = Rig::start(machine, 0, 1).await;
        let (one, other) = (rig.partition("one").await, rig.partition("other").await);
        for round in 0..20 {
            let pending = rig.append(&other, Acks::All, produced(&[1], 10, None)).await;
            let (first, second) =
                futures_util::future::join(rig.shards.log_of(&one), rig.shards.log_of(&other)).await;
            assert!(first.is_ok() && second.is_ok());
            assert_eq!(outcome(&pending).await, Ok(round));
        }
        rig.close().await;
    });
}

#[test]
fn a_bug_in_a_task_that_logs_wait_on_ends_the_shard() {
    let simulation = Simulation::new(6);
    simulation.expect_panics();
    let machine = simulation.machine("broker");
    let end = simulation.block_on(async { Rig::start_with_a_bug(machine, "an index out of range").await });
    assert!(matches!(&end, TaskEnd::Panicked(why) if why.contains("an index out of range")), "{end:?}");
}
