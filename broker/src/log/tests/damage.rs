//! Damage is found before it is served, wherever it came from, and what lies before it is still served.

use ottla_protocol::types::Offset;
use ottla_runtime::disk::DiskWait as _;
use ottla_runtime::simulated::{Crash, DiskFaults, Machine, OperationKind, Rate};

use super::on_machine;
use crate::log::partition_log::AppendError;
use crate::log::reader::{ReadError, Records};
use crate::log::scrub::scrub_step;
use crate::log::sleeping::SleepingLog;
use crate::log::testing::produced;
use crate::log::testing::rig::{DIRECTORY, Rig, bytes_of, config, recovered};

async fn written(machine: &Machine) -> (Rig, Vec<u8>) {
    // A broker makes its data directory's own name durable before there is any log.
    let (disk, (data, _)) = (machine.runtime().disk, DIRECTORY.split_once('/').expect("a path"));
    disk.create_directory_wait(data.as_ref()).await.expect("it can be made");
    disk.sync_directory_wait("".as_ref()).await.expect("it can be synced");
    let mut rig = Rig::fresh(machine, config()).await;
    for number in 0..16 {
        rig.append_durably(&produced(&[number, number], 150, None)).await;
    }
    let bytes = rig.read_all(0, 1 << 20).await.expect("it can be read");
    (rig, bytes)
}

fn first_segment() -> String {
    format!("{DIRECTORY}/00000000000000000000.log")
}

/// Reads on from the beginning until an error; what came before it is a prefix of the log.
async fn read_to_damage(rig: &Rig, whole: &[u8], max_bytes: u64) -> (i64, ReadError) {
    let (mut from, mut bytes) = (0, Vec::new());
    loop {
        match rig.read(from, max_bytes).await {
            Ok(slice) => {
                assert!(!slice.records.is_empty(), "damage is never taken for the end");
                bytes.extend(bytes_of(&slice.records).await);
                from = slice.next_offset.0;
                assert!(whole.starts_with(&bytes), "damage was served");
            }
            Err(error) => return (from, error),
        }
    }
}

#[test]
fn a_flipped_bit_that_left_memory_is_found_at_every_byte() {
    on_machine(1, async |machine| {
        let (rig, whole) = written(machine).await;
        let sleeping = rig.hibernate().await;
        let length = machine.disk().read(first_segment()).expect("the log").len();
        for position in (0..length).filter(|position| !(12..16).contains(&(position % 379))) {
            for max_bytes in [400, 1 << 20] {
                let rig = Rig::open(machine, config(), &sleeping).await.expect("it can be opened");
                machine.disk().evict_all();
                machine.disk().flip_bit(first_segment(), position as u64);
                let (from, error) = read_to_damage(&rig, &whole, max_bytes).await;
                assert_eq!(from, position as i64 / 379 * 2, "byte {position}");
                let ReadError::Corrupt { place, .. } = &error else { panic!("byte {position}: {error}") };
                assert_eq!((place.offset, place.position), (Offset(from), position as u64 / 379 * 379));
                machine.disk().write(first_segment(), &whole[..length]);
                if position > 130 {
                    break;
                }
            }
        }
    });
}

#[test]
fn a_flipped_bit_is_found_though_it_was_once_read_well() {
    on_machine(1, async |machine| {
        let (rig, whole) = written(machine).await;
        rig.read_all(0, 1 << 20).await.expect("it is whole");
        machine.disk().evict_all();
        machine.disk().flip_bit(first_segment(), 400);
        let (from, _) = read_to_damage(&rig, &whole, 1 << 20).await;
        assert_eq!(from, 2);
    });
}

#[test]
fn damage_makes_a_log_read_only_and_stays_known() {
    on_machine(1, async |machine| {
        let (mut rig, whole) = written(machine).await;
        machine.disk().evict_all();
        machine.disk().flip_bit(first_segment(), 400);
        let slice = rig.read(0, 1 << 20).await.expect("the good part");
        let place = slice.damage.expect("it was found");
        assert_eq!(slice.records.len(), 379);
        rig.log.core.on_event(Default::default(), crate::log::effect::LogEvent::Damaged { place });
        let refused = rig.append(&produced(&[1], 1, None));
        assert_eq!(refused, Err(AppendError::Damaged { offset: Offset(2) }));
        let sleeping = rig.hibernate().await;
        let rig = Rig::open(machine, config(), &sleeping).await.expect("it can be opened");
        assert_eq!(read_to_damage(&rig, &whole, 1 << 20).await.0, 2);
    });
}

#[test]
fn a_batch_that_was_written_elsewhere_is_missed() {
    on_machine(3, async |machine| {
        let mut rig = Rig::fresh(machine, config()).await;
        rig.append_durably(&produced(&[1], 150, None)).await;
        machine.disk().set_faults(DiskFaults { misdirected_write: Rate::ALWAYS, ..DiskFaults::NONE });
        rig.append_durably(&produced(&[2], 150, None)).await;
        machine.disk().set_faults(DiskFaults::NONE);
        machine.disk().evict_all();
        let mut from = 0;
        let error = loop {
            match rig.read(from, 10).await {
                Ok(slice) => {
                    assert!(!slice.records.is_empty(), "damage is never taken for the end");
                    from = slice.next_offset.0;
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ReadError::Corrupt { .. }), "{error}");
        assert!(from <= 1);
    });
}

#[test]
fn the_scrubber_finds_damage_in_sealed_segments() {
    on_machine(1, async |machine| {
        let (rig, _) = written(machine).await;
        let published = &rig.log.published;
        let (mut from, mut bytes) = (None, 0);
        while let Some(next) = {
            let step = scrub_step(published, from, 500).await.expect("it can be read");
            assert_eq!(step.damage, None);
            bytes += step.bytes;
            step.next
        } {
            from = Some(next);
        }
        assert!(bytes > 3_000, "it has read the sealed segments");

        machine.disk().evict_all();
        machine.disk().flip_bit(first_segment(), 900);
        let step = scrub_step(published, None, 1 << 20).await.expect("it can be read");
        assert_eq!(step.damage.map(|place| place.offset), Some(Offset(4)));
        assert_eq!(published.damage(), step.damage);
    });
}

#[test]
fn a_failed_read_is_an_error_and_no_damage() {
    on_machine(1, async |machine| {
        let (rig, _) = written(machine).await;
        machine.disk().evict_all();
        machine.disk().fail_next(OperationKind::Read, "00.log");
        assert!(matches!(rig.read(0, 1 << 20).await, Err(ReadError::Io { .. })));
        assert!(rig.read(0, 1 << 20).await.is_ok());
        assert_eq!(rig.log.published.damage(), None);
    });
}

#[test]
fn bytes_that_this_process_wrote_are_sent_from_the_file() {
    on_machine(1, async |machine| {
        let config = crate::config::TopicConfig::default();
        let mut rig = Rig::fresh(machine, config.clone()).await;
        for number in 0..40 {
            rig.append_durably(&produced(&[number], 1_000, None)).await;
        }
        let slice = rig.read(0, 1 << 20).await.expect("it can be read");
        assert!(matches!(slice.records, Records::File(_)), "{:?}", slice.records);
        assert!(matches!(rig.read(0, 2_000).await.expect("it can be read").records, Records::Bytes(_)));
        let sleeping: SleepingLog = rig.hibernate().await;
        let rig = Rig::open(machine, config, &sleeping).await.expect("it can be opened");
        // First checked, so served from memory; after that from the file.
        assert!(matches!(rig.read(0, 1 << 20).await.expect("it can be read").records, Records::Bytes(_)));
        assert!(matches!(rig.read(0, 1 << 20).await.expect("it can be read").records, Records::File(_)));
        machine.disk().evict_all();
        assert!(matches!(rig.read(0, 1 << 20).await.expect("it can be read").records, Records::Bytes(_)));
    });
}

#[test]
fn a_log_whose_write_failed_goes_on_once_it_is_opened_anew() {
    on_machine(1, async |machine| {
        let (mut rig, whole) = written(machine).await;
        machine.disk().set_capacity(machine.disk().used_bytes());
        let mut sequence = 0;
        while rig.log.core.failure().is_none() {
            rig.append(&produced(&[1], 500, Some((1, 0, sequence)))).expect("nothing is wrong yet");
            rig.settle().await;
            sequence += 1;
        }
        assert!(matches!(rig.append(&produced(&[1], 1, None)), Err(AppendError::Storage(_))));
        let end = rig.log.core.ends().log_end;
        assert!(rig.read_all(0, 1 << 20).await.expect("it can be read").starts_with(&whole));
        let durable = rig.log.core.durable_ends();

        machine.disk().set_capacity(u64::MAX);
        rig.log.files.finished().await;
        let mut rig = Rig::after_crash(machine, config(), Some(durable)).await.expect("it can be opened");
        let again = produced(&[1], 500, Some((1, 0, sequence - 1)));
        assert_eq!(rig.append_durably(&again).await.0, end);
        assert!(rig.read_all(0, 1 << 20).await.expect("it can be read").starts_with(&whole));
    });
}

#[test]
fn nothing_is_safe_after_a_sync_that_failed() {
    on_machine(1, async |machine| {
        let (mut rig, _) = written(machine).await;
        machine.disk().fail_next(OperationKind::Sync, ".log");
        rig.append(&produced(&[1], 150, None)).expect("nothing is wrong yet");
        rig.settle().await;
        assert_eq!(rig.log.core.ends().high_watermark, Offset(32));
        let failure = rig.log.core.failure().expect("it failed").clone();
        assert_eq!(failure.trouble, crate::log::disk_state::Trouble::Failed);
    });
}

/// Such bytes count as clean in the page cache, so a sync after the restart would succeed and cover nothing.
#[test]
fn what_a_failed_sync_left_behind_is_durable_once_it_was_recovered() {
    for seed in 1..=20 {
        on_machine(seed, async |machine| {
            let (mut rig, _) = written(machine).await;
            let durable = rig.log.core.durable_ends();
            machine.disk().fail_next(OperationKind::Sync, ".log");
            rig.append(&produced(&[1], 150, None)).expect("nothing is wrong yet");
            rig.settle().await;
            drop(rig);
            machine.crash(Crash::Kill);
            machine.restart();
            let kept = recovered(machine, Some(durable)).await.expect("it can be recovered").log.ends;
            assert_eq!(kept.safe_end, Offset(33));

            machine.crash(Crash::PowerCut);
            machine.restart();
            let again = recovered(machine, Some(kept)).await.expect("it can be recovered").log;
            assert_eq!((again.ends, again.damage), (kept, None));
        });
    }
}
