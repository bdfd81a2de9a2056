//! What the log keeps, how it groups, and what it does when the disk does not.

use futures_util::future::{join, join_all};
use ottla_protocol::types::BrokerId;
use ottla_runtime::simulated::{DiskImage, OperationKind, Simulation};

use super::super::frame::{FILE_HEADER_LEN, frame_at};
use super::super::{Metadata, OpenError, OpenOptions, ProposeError};
use super::{create, disk_after, names_in, numbered, opened_on, options};

#[test]
fn what_was_changed_is_there_after_a_restart_with_and_without_snapshots() {
    for snapshot_after_bytes in [1, 700, 4 << 20] {
        let simulation = Simulation::new(3);
        let machine = simulation.machine("one");
        simulation.block_on(async {
            let runtime = machine.runtime();
            let open = || Metadata::open(&runtime, options(snapshot_after_bytes));
            let metadata = open().await.expect("a new directory");
            for n in 0..30 {
                create(&metadata, &[&format!("t{n}")]).await.expect("a working disk");
                metadata.allocate_producer_ids().await.expect("a working disk").expect("there are more");
            }
            let before = metadata.image();
            metadata.close().await;
            let metadata = open().await.expect("our directory");
            let after = metadata.image();
            assert_eq!(names_in(&after), names_in(&before));
            assert_eq!(after.next_producer_id(), before.next_producer_id());
            assert_eq!(after.offset().index, before.offset().index + 1);
            // But for the restart itself the two are equal.
            let changes = after.changes_since(&before);
            assert!(changes.topics.is_empty() && changes.configs.is_empty() && changes.brokers);
            metadata.close().await;
        });
    }
}

#[test]
fn snapshots_let_old_segments_go_and_two_of_them_stay() {
    let image = snapshotted_disk();
    let count = |ending: &str| image.files.keys().filter(|path| path.ends_with(ending)).count();
    assert_eq!(count(".snapshot"), 2);
    assert!(count(".log") <= 3, "{:?}", image.files.keys());
    assert!(!image.files.contains_key(&numbered(1, "log")));
    assert_eq!(count(".tmp"), 0);
}

/// A disk on which several snapshots were taken.
fn snapshotted_disk() -> DiskImage {
    disk_after(|runtime| async move {
        let metadata = Metadata::open(&runtime, options(700)).await.expect("a new directory");
        for n in 0..30 {
            create(&metadata, &[&format!("t{n:02}")]).await.expect("a working disk");
        }
        metadata.close().await;
    })
}

fn snapshots_of(image: &DiskImage) -> Vec<String> {
    image.files.keys().filter(|path| path.ends_with(".snapshot")).cloned().collect()
}

#[test]
fn a_damaged_snapshot_is_set_aside_and_the_one_before_it_used() {
    let image = snapshotted_disk();
    let whole = opened_on(&image).0.expect("our directory");
    let newest = snapshots_of(&image).pop().expect("there are two");
    for place in (0..image.files[&newest].len()).step_by(7) {
        let mut damaged = image.clone();
        damaged.files.get_mut(&newest).expect("it is there")[place] ^= 1;
        let (opened, after) = opened_on(&damaged);
        assert_eq!(names_in(&opened.expect("there is another")), names_in(&whole));
        assert!(after.files.contains_key(&format!("{newest}.damaged")));
        assert!(!after.files.contains_key(&newest));
    }
}

#[test]
fn without_any_sound_snapshot_a_log_that_begins_late_is_refused() {
    let mut image = snapshotted_disk();
    for path in snapshots_of(&image) {
        image.files.get_mut(&path).expect("it is there")[40] ^= 1;
    }
    let (opened, after) = opened_on(&image);
    let error = opened.expect_err("transactions are missing");
    assert!(matches!(error, OpenError::Gap { expected: 1, .. }), "{error}");
    assert_eq!(snapshots_of(&after), snapshots_of(&image), "a refused start changes nothing");
}

#[test]
fn a_segment_lost_in_the_middle_is_refused() {
    let mut image = snapshotted_disk();
    let snapshots = snapshots_of(&image);
    image.files.remove(&snapshots[1]);
    let segments: Vec<_> = image.files.keys().filter(|path| path.ends_with(".log")).cloned().collect();
    image.files.remove(&segments[segments.len() - 2]);
    let error = opened_on(&image).0.expect_err("transactions are missing");
    assert!(matches!(error, OpenError::Gap { .. }), "{error}");
}

#[test]
fn a_snapshot_that_was_not_finished_is_removed() {
    let mut image = snapshotted_disk();
    image.files.insert(format!("{}.tmp", numbered(999, "snapshot")), b"half".to_vec());
    let (opened, after) = opened_on(&image);
    opened.expect("our directory");
    assert!(after.files.keys().all(|path| !path.ends_with(".tmp")));
}

#[test]
fn proposals_that_wait_together_are_made_safe_together() {
    let simulation = Simulation::new(4);
    let machine = simulation.machine("one");
    simulation.block_on(async {
        let metadata = Metadata::open(&machine.runtime(), options(4 << 20)).await.expect("a new directory");
        let blocks = join_all((0..100).map(|_| metadata.allocate_producer_ids())).await;
        let mut firsts: Vec<_> = blocks
            .into_iter()
            .map(|block| block.expect("a working disk").expect("there are more").first.0)
            .collect();
        firsts.sort_unstable();
        assert_eq!(firsts, (0..100).map(|n| n * 1000).collect::<Vec<_>>());
        metadata.close().await;
    });
    let bytes = machine.disk().read(numbered(1, "log")).expect("the log");
    let (mut frames, mut position) = (0, FILE_HEADER_LEN);
    while let Ok(Some((_, next))) = frame_at(&bytes, position) {
        (frames, position) = (frames + 1, next);
    }
    assert!(frames < 10, "{frames} frames for 100 proposals");
}

#[test]
fn two_who_create_one_topic_at_once_are_told_apart() {
    let simulation = Simulation::new(5);
    let machine = simulation.machine("one");
    simulation.block_on(async {
        let metadata = Metadata::open(&machine.runtime(), options(4 << 20)).await.expect("a new directory");
        let create = || {
            let topics = vec![super::topic("a", 1, 1)];
            metadata.create_topics(super::CreateTopics { topics, ..super::request() })
        };
        let rows = join_all([create(), create(), create()]).await;
        let mut codes: Vec<_> =
            rows.into_iter().map(|rows| super::code_of(&rows.expect("a working disk")[0].1)).collect();
        codes.sort_unstable();
        assert_eq!(codes, [0, 36, 36]);
    });
}

#[test]
fn followers_see_a_change_no_later_than_its_proposer_hears_of_it() {
    let simulation = Simulation::new(6);
    let machine = simulation.machine("one");
    simulation.block_on(async {
        let metadata = Metadata::open(&machine.runtime(), options(4 << 20)).await.expect("a new directory");
        let mut follower = metadata.follow();
        let mut waiting = metadata.follow();
        create(&metadata, &["a"]).await.expect("a working disk");
        assert_eq!(names_in(follower.current()), ["a"]);
        assert!(waiting.seen().topic("a").is_none());
        assert_eq!(names_in(waiting.next().await.expect("the log is open")), ["a"]);
        metadata.close().await;
        waiting.next().await.expect_err("there will be no other");
        assert_eq!(names_in(follower.current()), ["a"]);
        assert_eq!(create(&metadata, &["b"]).await, Err(ProposeError::Closed));
    });
}

#[test]
fn a_failed_sync_or_write_is_final_and_shows_nothing() {
    for kind in [OperationKind::Sync, OperationKind::Write] {
        let simulation = Simulation::new(7);
        let machine = simulation.machine("one");
        simulation.block_on(async {
            let metadata =
                Metadata::open(&machine.runtime(), options(4 << 20)).await.expect("a new directory");
            create(&metadata, &["a"]).await.expect("a working disk");
            machine.disk().fail_next(kind, ".log");
            let error = create(&metadata, &["b"]).await.expect_err("the disk failed");
            assert!(matches!(error, ProposeError::Failed(_)), "{error}");
            let again = create(&metadata, &["c"]).await.expect_err("it stays failed");
            assert_eq!(again, error);
            assert_eq!(ProposeError::Failed(metadata.failed().await), error);
            assert_eq!(names_in(&metadata.image()), ["a"]);
            metadata.close().await;

            let metadata = Metadata::open(&machine.runtime(), options(4 << 20)).await.expect("our directory");
            assert!(metadata.image().topic("a").is_some());
            assert!(metadata.image().topic("c").is_none());
        });
    }
}

#[test]
fn a_full_disk_refuses_changes_until_there_is_room() {
    let simulation = Simulation::new(8);
    let machine = simulation.machine("one");
    simulation.block_on(async {
        let metadata = Metadata::open(&machine.runtime(), options(600)).await.expect("a new directory");
        create(&metadata, &["a"]).await.expect("a working disk");
        for round in 0..20 {
            machine.disk().set_capacity(machine.disk().used_bytes() + 10 * round);
            let full = create(&metadata, &[&format!("full-{round}")]).await;
            machine.disk().set_capacity(u64::MAX);
            if let Err(error) = full {
                assert_eq!(error, ProposeError::DiskFull);
                assert!(metadata.image().topic(&format!("full-{round}")).is_none());
            }
            create(&metadata, &[&format!("room-{round}")]).await.expect("there is room again");
        }
        let names = names_in(&metadata.image());
        metadata.close().await;
        let metadata = Metadata::open(&machine.runtime(), options(600)).await.expect("our directory");
        assert_eq!(names_in(&metadata.image()), names);
    });
}

#[test]
fn a_change_that_is_too_large_is_refused_alone() {
    let simulation = Simulation::new(9);
    let machine = simulation.machine("one");
    simulation.block_on(async {
        let metadata = Metadata::open(&machine.runtime(), options(4 << 20)).await.expect("a new directory");
        let mut large = super::topic("large", 1, 1);
        large.configs = Ok([("retention.ms".to_owned(), "9".repeat(33 << 20))].into());
        let request = super::CreateTopics { topics: vec![large], ..super::request() };
        let (large, small) = join(metadata.create_topics(request), create(&metadata, &["a"])).await;
        assert!(matches!(large, Err(ProposeError::TooLarge(_))), "{large:?}");
        small.expect("the other is not in its way");
        assert_eq!(names_in(&metadata.image()), ["a"]);
    });
}

#[test]
fn the_machines_own_disk_keeps_it_too() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let data = directory.path().join("deep").join("data");
    ottla_runtime::real::block_on(None, |runtime| async move {
        let open = || {
            let options = OpenOptions { snapshot_after_bytes: 700, ..OpenOptions::new(&data, BrokerId(1)) };
            Metadata::open(&runtime, options)
        };
        let metadata = open().await.expect("a new directory");
        assert!(matches!(open().await.err(), Some(OpenError::InUse(_))));
        for n in 0..30 {
            create(&metadata, &[&format!("t{n:02}")]).await.expect("a working disk");
        }
        let names = names_in(&metadata.image());
        metadata.close().await;
        let metadata = open().await.expect("our directory");
        assert_eq!(names_in(&metadata.image()), names);
        metadata.close().await;
    })
    .expect("a runtime");
}
