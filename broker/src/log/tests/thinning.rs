//! Retention: whole segments, oldest first, still readable by those who hold them, and gone after a while.

use std::time::Duration;

use ottla_protocol::types::Offset;
use ottla_runtime::disk::FileWait as _;
use ottla_runtime::{MonotonicTime, WallTime};

use super::on_machine;
use crate::config::TopicConfig;
use crate::log::effect::LogEvent;
use crate::log::lookup::summarize;
use crate::log::reader::{ReadError, Records};
use crate::log::removal::{list_directories, remove_partition};
use crate::log::retention::RetentionPolicy;
use crate::log::testing::produced;
use crate::log::testing::rig::{DIRECTORY, Rig, config, place};

async fn written(machine: &ottla_runtime::simulated::Machine, config: TopicConfig) -> Rig {
    let mut rig = Rig::fresh(machine, config).await;
    for number in 0..16 {
        rig.append_durably(&produced(&[number * 1_000], 300, None)).await;
    }
    rig
}

#[test]
fn segments_past_their_time_go_and_their_files_later() {
    on_machine(1, async |machine| {
        let mut rig = written(machine, config()).await;
        let before = rig.read(0, 1 << 20).await.expect("it can be read");
        let policy = RetentionPolicy { max_age_ms: Some(5_000), max_bytes: None };
        let sealed = rig.log.core.segments().count() - 1;
        let expired =
            rig.log.core.expire(MonotonicTime(0), policy, Some(WallTime(15_000))).expect("all is known");
        assert!(0 < expired.segments && expired.segments < sealed);
        rig.settle().await;
        let log_start = rig.log.core.ends().log_start;
        assert!(
            matches!(rig.read(0, 1).await, Err(ReadError::OutOfRange { log_start: start, .. }) if start == log_start)
        );
        assert!(!rig.read(log_start.0, 1).await.expect("it can be read").records.is_empty());
        // Those who hold a range of a file go on.
        if let Records::File(range) = &before.records {
            assert_eq!(range.file.read_at_wait(0, 8).await.expect("it is open"), vec![0; 8]);
        }
        let deleted =
            || machine.disk().list_all().iter().filter(|(path, _)| path.ends_with(".log.deleted")).count();
        assert_eq!(deleted(), expired.segments);
        let due = rig.log.core.next_deadline().expect("they wait to be removed");
        assert!(due >= MonotonicTime(0).after(Duration::from_secs(60)));
        rig.log.core.on_time(due.after(Duration::from_secs(1)));
        rig.hibernate().await;
        machine.runtime().clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(deleted(), 0);
    });
}

#[test]
fn a_log_that_is_wholly_expired_keeps_its_end() {
    on_machine(1, async |machine| {
        let mut rig = written(machine, config()).await;
        let policy = RetentionPolicy { max_age_ms: Some(1), max_bytes: None };
        let expired =
            rig.log.core.expire(MonotonicTime(0), policy, Some(WallTime(1_000_000))).expect("all is known");
        assert!(expired.roll_first);
        rig.settle().await;
        let ends = rig.log.core.ends();
        assert_eq!(
            (ends.log_start, ends.log_end, rig.log.core.segments().count()),
            (Offset(16), Offset(16), 1)
        );
        let due = rig.log.core.next_deadline().expect("they wait to be removed");
        rig.log.core.on_time(due.after(Duration::from_secs(1)));
        let sleeping = rig.hibernate().await;
        let mut rig = Rig::open(machine, config(), &sleeping).await.expect("it can be opened");
        assert_eq!(rig.append_durably(&produced(&[1], 1, None)).await.0, Offset(16));
    });
}

#[test]
fn segments_of_an_earlier_run_are_looked_at_first() {
    on_machine(1, async |machine| {
        let rig = written(machine, config()).await;
        let sleeping = rig.hibernate().await;
        let mut rig = Rig::open(machine, config(), &sleeping).await.expect("it can be opened");
        let policy = RetentionPolicy { max_age_ms: Some(5_000), max_bytes: Some(1 << 20) };
        let wall = Some(WallTime(15_000));
        let unknown = rig.log.core.expire(MonotonicTime(0), policy, wall).expect_err("not all is known");
        for base in unknown {
            let summary =
                summarize(&rig.log.published, base).await.expect("it can be read").expect("it is there");
            rig.log.core.on_event(MonotonicTime(0), LogEvent::Summary(summary));
        }
        let expired = rig.log.core.expire(MonotonicTime(0), policy, wall).expect("all is known");
        assert!(expired.by_age > 0);
        rig.settle().await;
    });
}

#[test]
fn a_removed_partition_leaves_its_name_free() {
    on_machine(1, async |machine| {
        drop(written(machine, config()).await);
        let disk = machine.runtime().disk;
        let data = std::path::Path::new("data");
        let listed = list_directories(&disk, data).await.expect("it can be listed");
        assert_eq!(listed.partitions.len(), 1);
        let partition = ottla_protocol::types::PartitionIndex(0);
        for _ in 0..2 {
            remove_partition(&disk, data, "orders", partition, place().topic_id)
                .await
                .expect("it can be removed");
        }
        assert!(machine.disk().list_all().iter().all(|(path, _)| !path.starts_with(DIRECTORY)));
        let listed = list_directories(&disk, data).await.expect("it can be listed");
        assert_eq!(listed, Default::default());
    });
}
