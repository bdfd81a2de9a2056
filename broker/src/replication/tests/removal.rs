//! Topics that are deleted while something of their logs is under way.

use std::path::Path;
use std::sync::Arc;

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::disk::DiskWait as _;

use crate::replication::ack_queue::Acks;
use crate::replication::partition::{Partition, PartitionState};
use crate::replication::testing::{Rig, on_shard, outcome, produced};

/// Does what follows the removal of a partition: its directory goes.
async fn delete_directory(rig: &Rig, partition: &Partition) {
    let (from, to) = (rig.directory_of(partition), format!("{}.deleted", rig.directory_of(partition)));
    let disk = rig.machine.runtime().disk;
    disk.rename_wait(Path::new(&from), Path::new(&to)).await.expect("there is one");
    disk.remove_directory_wait(Path::new(&to)).await.expect("it was just renamed");
}

async fn remove(rig: &Rig, partition: &Arc<Partition>) {
    rig.remove(partition).await.await.expect("it is removed");
    assert_eq!(partition.state(), PartitionState::Deleted);
}

/// The mark of a log that a full disk broke is still waiting for its round when the topic is deleted. It names the
/// partition's directory, and a sync of a directory that is gone fails the data directory for good.
#[test]
fn removal_waits_for_the_syncs_that_a_broken_log_has_asked_for() {
    on_shard(async |mut rig| {
        let (slow, broken) = (rig.partition("slow").await, rig.partition("broken").await);
        rig.produce(&slow, Acks::All).await.expect("it works");
        rig.set_latency(1, 300);
        // A round that takes long: the marks of the other log wait for the next.
        let waiting = rig.append(&slow, Acks::All, produced(&[1], 10, None)).await;
        rig.sleep(50).await;
        rig.set_latency(1, 1);
        assert_eq!(rig.produce(&broken, Acks::Leader).await, Ok(0));
        let disk = rig.machine.disk();
        disk.set_capacity(disk.used_bytes());
        assert_eq!(rig.produce_large(&broken, Acks::Leader).await, Err(ErrorCode::KafkaStorageError));
        disk.set_capacity(1 << 40);
        remove(&rig, &broken).await;
        delete_directory(&rig, &broken).await;
        assert_eq!(outcome(&waiting).await, Ok(1));
        rig.wait_until("there is room", || rig.directory.is_writable()).await;
        rig.sleep(1_000).await;
        assert!(!rig.directory.has_failed());
        assert_eq!(rig.produce(&slow, Acks::All).await, Ok(2));
        rig.close().await;
    });
}

#[test]
fn removal_fails_the_producers_that_wait_and_writes_nothing_more() {
    on_shard(async |mut rig| {
        let partition = rig.partition("t").await;
        rig.produce(&partition, Acks::All).await.expect("it works");
        rig.set_latency(50, 50);
        let under_way = rig.append(&partition, Acks::All, produced(&[1], 10, None)).await;
        let queued = rig.append(&partition, Acks::Leader, produced(&[1], 10, None)).await;
        remove(&rig, &partition).await;
        for pending in [under_way, queued] {
            assert_eq!(outcome(&pending).await, Err(ErrorCode::UnknownTopicOrPartition));
        }
        let late = rig.produce(&partition, Acks::All).await;
        assert_eq!(late, Err(ErrorCode::UnknownTopicOrPartition));
        let submitted = rig.machine.disk().submitted_count();
        rig.sleep(500).await;
        assert_eq!(rig.machine.disk().submitted_count(), submitted, "nothing is under way");
        delete_directory(&rig, &partition).await;
        rig.close().await;
    });
}

#[test]
fn removal_of_many_partitions_in_use_takes_no_longer_than_what_is_under_way() {
    on_shard(async |mut rig| {
        let mut partitions = Vec::new();
        for number in 0..12 {
            partitions.push(rig.partition(&format!("t{number}")).await);
        }
        for _ in 0..3 {
            for partition in &partitions {
                let large = produced(&[1], 300_000, Some((7, 0, 0)));
                rig.append(partition, Acks::All, large).await;
            }
            rig.sleep(1_000).await;
        }
        let began = rig.clock.now();
        let mut removed = Vec::new();
        for partition in &partitions {
            removed.push(rig.remove(partition).await);
        }
        for removed in removed {
            removed.await.expect("it is removed");
        }
        assert!(rig.clock.now().since(began).as_millis() < 100, "{:?}", rig.clock.now().since(began));
        rig.close().await;
    });
}

#[test]
fn removal_while_the_log_is_being_opened_waits_for_that() {
    on_shard(async |mut rig| {
        let partition = rig.partition("t").await;
        rig.produce(&partition, Acks::All).await.expect("it works");
        rig.wait_until("it rests", || partition.log().is_none()).await;
        rig.set_latency(50, 50);
        let waiting = rig.append(&partition, Acks::All, produced(&[1], 10, None)).await;
        rig.sleep(10).await;
        remove(&rig, &partition).await;
        assert_eq!(outcome(&waiting).await, Err(ErrorCode::UnknownTopicOrPartition));
        let submitted = rig.machine.disk().submitted_count();
        rig.sleep(400).await;
        assert_eq!(rig.machine.disk().submitted_count(), submitted, "nothing is under way");
        delete_directory(&rig, &partition).await;
        rig.close().await;
    });
}
