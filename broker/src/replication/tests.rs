//! A shard on the simulated disk: what producers and readers are told, whatever the disk does.

mod opening;
mod removal;
mod rest;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::types::Offset;
use ottla_runtime::simulated::OperationKind;

use super::ack_queue::Acks;
use super::testing::{on_shard, outcome, produced};
use crate::log::ends::EndPlace;

/// What the disk is slow with decides when a producer is answered.
#[test]
fn each_ack_level_is_answered_at_its_own_end() {
    on_shard(async |mut rig| {
        let (group, os) = (rig.partition("group").await, rig.partition_under_os("os").await);
        for (partition, acks, waits_for_the_sync) in [
            (&group, Acks::Leader, false),
            (&group, Acks::All, true),
            (&os, Acks::Leader, false),
            (&os, Acks::All, false),
        ] {
            rig.produce(partition, Acks::All).await.expect("it works");
            rig.sleep(500).await;
            rig.set_latency(1, 200);
            let began = rig.clock.now();
            rig.produce(partition, acks).await.expect("it works");
            let took = rig.clock.now().since(began).as_millis();
            assert_eq!(200 <= took, waits_for_the_sync, "{partition:?} {acks:?}: {took} ms");
            rig.set_latency(1, 1);
        }
        rig.close().await;
    });
}

#[test]
fn batches_that_wait_while_the_shard_closes_are_answered_and_kept() {
    on_shard(async |mut rig| {
        let partition = rig.partition("t").await;
        rig.set_latency(20, 50);
        let mut pending = Vec::new();
        for acks in [Acks::All, Acks::Leader, Acks::All] {
            pending.push(rig.append(&partition, acks, produced(&[1], 10, None)).await);
        }
        let resting = rig.close().await;
        for (offset, pending) in (0..).zip(pending) {
            assert_eq!(outcome(&pending).await, Ok(offset));
        }
        let ends: Vec<Offset> = resting.iter().map(|(_, log)| log.ends.safe_end).collect();
        assert_eq!(ends, [Offset(3)]);
    });
}

#[test]
fn a_write_that_fails_fails_its_producers_and_the_directory() {
    on_shard(async |mut rig| {
        let (partition, other) = (rig.partition("t").await, rig.partition("u").await);
        rig.produce(&partition, Acks::All).await.expect("it works");
        rig.machine.disk().fail_next(OperationKind::Write, "t-0/0");
        assert_eq!(rig.produce(&partition, Acks::Leader).await, Err(ErrorCode::KafkaStorageError));
        assert!(rig.directory.failed().await.contains("t-0"));
        assert_eq!(rig.produce(&other, Acks::All).await, Err(ErrorCode::KafkaStorageError));
        assert_eq!(rig.close().await.len(), 1, "the other one rests");
    });
}

#[test]
fn a_sync_that_fails_fails_whoever_waits_for_it_and_the_directory() {
    on_shard(async |mut rig| {
        let partition = rig.partition("t").await;
        rig.produce(&partition, Acks::All).await.expect("it works");
        rig.machine.disk().fail_next(OperationKind::Sync, "t-0");
        assert_eq!(rig.produce(&partition, Acks::All).await, Err(ErrorCode::KafkaStorageError));
        assert!(rig.directory.failed().await.contains("sync"));
        rig.close().await;
    });
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room() {
    on_shard(async |mut rig| {
        let partition = rig.partition("t").await;
        rig.produce(&partition, Acks::All).await.expect("it works");
        let disk = rig.machine.disk();
        disk.set_capacity(disk.used_bytes());
        assert_eq!(rig.produce_large(&partition, Acks::All).await, Err(ErrorCode::KafkaStorageError));
        assert_eq!(rig.produce(&partition, Acks::All).await, Err(ErrorCode::KafkaStorageError));
        disk.set_capacity(1 << 40);
        rig.wait_until("there is room", || rig.directory.is_writable()).await;
        assert_eq!(rig.produce(&partition, Acks::All).await, Ok(1));
        assert_eq!(rig.close().await.len(), 1);
    });
}

#[test]
fn no_append_succeeds_once_the_directory_has_failed_however_little_it_asked_for() {
    for under_os in [false, true] {
        on_shard(async |mut rig| {
            let partition =
                if under_os { rig.partition_under_os("t").await } else { rig.partition("t").await };
            let failing = rig.partition("u").await;
            for partition in [&partition, &failing] {
                rig.produce(partition, Acks::All).await.expect("it works");
            }
            rig.machine.disk().fail_next(OperationKind::Sync, "u-0");
            rig.set_latency(1, 10);
            let fails = rig.append(&failing, Acks::All, produced(&[1], 10, None)).await;
            rig.sleep(5).await;
            rig.set_latency(50, 10);
            let late = rig.append(&partition, Acks::Leader, produced(&[1], 10, None)).await;
            assert_eq!(outcome(&fails).await, Err(ErrorCode::KafkaStorageError));
            assert_eq!(outcome(&late).await, Err(ErrorCode::KafkaStorageError), "os: {under_os}");
            rig.close().await;
        });
    }
}

#[test]
fn damage_is_remembered_whatever_its_log_is_doing_when_it_is_reported() {
    for state in ["open", "settling", "resting", "opening"] {
        on_shard(async |mut rig| {
            let partition = rig.partition("t").await;
            for _ in 0..3 {
                rig.produce(&partition, Acks::All).await.expect("it works");
            }
            if state != "open" {
                rig.set_latency(20, 20);
                rig.wait_until("it rests", || partition.log().is_none()).await;
            }
            if matches!(state, "resting" | "opening") {
                rig.sleep(500).await;
            }
            let waiting = match state {
                "opening" => Some(rig.append(&partition, Acks::All, produced(&[1], 10, None)).await),
                _ => None,
            };
            rig.sleep(u64::from(state == "opening")).await;
            let place = EndPlace { offset: Offset(1), ..EndPlace::default() };
            rig.shards.report_damage(&partition, place).await;
            if let Some(waiting) = waiting {
                // It was there first.
                outcome(&waiting).await.expect("it works");
            }
            let refused = rig.produce(&partition, Acks::All).await;
            assert_eq!(refused, Err(ErrorCode::KafkaStorageError), "{state}");
            rig.close().await;
        });
    }
}
