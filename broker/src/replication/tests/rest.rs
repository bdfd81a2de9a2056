//! Logs that are put to rest and opened again.

use ottla_runtime::simulated::Simulation;

use crate::replication::ack_queue::Acks;
use crate::replication::testing::{Rig, on_shard, outcome, produced};

#[test]
fn a_log_that_nobody_uses_rests_and_is_opened_again_by_an_append_or_a_reader() {
    on_shard(async |mut rig| {
        let partition = rig.partition("t").await;
        for offset in 0..3 {
            assert_eq!(rig.produce(&partition, Acks::All).await, Ok(offset));
        }
        for reopening in 0..4 {
            rig.wait_until("it rests", || partition.log().is_none()).await;
            assert!(!rig.machine.disk().list_all().is_empty());
            if reopening % 2 == 0 {
                assert_eq!(rig.produce(&partition, Acks::All).await, Ok(3 + reopening / 2));
            } else {
                rig.shards.log_of(&partition).await.expect("it can be opened");
            }
            assert_eq!(partition.high_watermark().0, 4 + reopening / 2);
        }
        rig.close().await;
    });
}

/// The space that was reserved for it is given back by cutting the file to its length, and appends come again just then.
/// Operations on a file have no order among themselves: the cut takes longer than the writes that follow it.
#[test]
fn appends_that_come_while_a_log_is_put_to_rest_are_kept() {
    for after_ms in [0, 1, 5, 20, 40] {
        on_shard(async |mut rig| {
            let partition = rig.partition("t").await;
            let mut bytes = 0;
            for _ in 0..3 {
                let large = produced(&[1], 500_000, None);
                bytes += large.total_size();
                rig.produce_batch(&partition, Acks::All, large).await.expect("it works");
                rig.sleep(1_000).await;
            }
            let disk = rig.machine.disk();
            assert!(bytes < usize::try_from(disk.used_bytes()).expect("small"), "space is reserved");
            rig.sleep(5_000).await;
            rig.set_latency(30, 30);
            let before = disk.submitted_count();
            while disk.submitted_count() == before {
                rig.sleep(1).await;
            }
            rig.set_latency(1, 1);
            rig.sleep(after_ms).await;
            for _ in 0..3 {
                let small = produced(&[1], 100, None);
                bytes += small.total_size();
                rig.produce_batch(&partition, Acks::All, small).await.expect("it works");
            }
            rig.sleep(1_000).await;
            assert_eq!(rig.first_segment(&partition).len(), bytes, "after {after_ms} ms");
            rig.close().await;
        });
    }
}

#[test]
fn more_logs_than_may_be_open_take_turns() {
    let simulation = Simulation::new(3);
    let machine = simulation.machine("broker");
    simulation.block_on(async {
        let mut rig = Rig::start(machine, 0, 2).await;
        let mut partitions = Vec::new();
        for number in 0..8 {
            partitions.push(rig.partition(&format!("t{number}")).await);
        }
        for offset in 0..5 {
            let mut pending = Vec::new();
            for partition in partitions.iter().chain(&partitions) {
                pending.push(rig.append(partition, Acks::All, produced(&[1], 10, None)).await);
            }
            for (place, pending) in pending.iter().enumerate() {
                let again = i64::from(partitions.len() <= place);
                assert_eq!(outcome(pending).await, Ok(2 * offset + again));
            }
        }
        let resting = rig.close().await;
        assert!(resting.iter().all(|(_, log)| log.ends.safe_end.0 == 10));
        assert_eq!(resting.len(), 8);
    });
}
