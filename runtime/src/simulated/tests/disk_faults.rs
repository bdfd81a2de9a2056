//! Disks that fail, fill up, lie or are slow.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{create, durable, sync, write};
use crate::DiskRef;
use crate::disk::{DiskWait as _, FileWait as _, OpenMode, Residency};
use crate::simulated::{Crash, DiskFaults, Machine, OperationKind, Rate, Simulation};

/// Runs `scenario` on one machine for each of some seeds.
fn check(scenario: impl AsyncFn(&Machine, &DiskRef)) {
    for seed in 0..50 {
        let simulation = Simulation::new(seed);
        let machine = simulation.machine("one");
        let disk = machine.runtime().disk;
        simulation.block_on(scenario(&machine, &disk));
    }
}

#[test]
fn a_failure_that_is_asked_for_hits_once_and_by_path() {
    check(async |machine, disk| {
        let (one, two) = (durable(disk, "one", b"1").await, durable(disk, "two", b"2").await);
        for kind in [OperationKind::Read, OperationKind::Write, OperationKind::Sync] {
            machine.disk().fail_next(kind, "two");
        }
        assert_eq!(one.read_at_wait(0, 1).await.unwrap(), "1");
        assert_eq!(two.read_at_wait(0, 1).await.unwrap_err().raw_os_error(), Some(libc::EIO));
        assert_eq!(two.read_at_wait(0, 1).await.unwrap(), "2");
        let parts = || vec![Bytes::from_static(b"xyz")];
        assert_eq!(two.write_at_wait(0, parts()).await.unwrap_err().raw_os_error(), Some(libc::EIO));
        assert!(matches!(&two.read_at_wait(0, 3).await.unwrap()[..], b"2" | b"x" | b"xy" | b"xyz"));
        two.write_at_wait(0, parts()).await.unwrap();
        let results = disk.sync_wait(vec![one, two]).await;
        assert!(results[0].is_ok() && results[1].is_err(), "each file has a result of its own");
    });
}

#[test]
fn faults_come_at_their_rate() {
    check(async |machine, disk| {
        let file = durable(disk, "file", b"bytes").await;
        machine.disk().set_faults(DiskFaults { read_error: Rate::one_in(4), ..DiskFaults::NONE });
        let mut failed = 0;
        for _ in 0..200 {
            failed += u32::from(file.read_at_wait(0, 5).await.is_err());
        }
        assert!((20..90).contains(&failed), "{failed}");
        machine.disk().set_faults(DiskFaults { name_error: Rate::ALWAYS, ..DiskFaults::NONE });
        assert!(disk.create_directory_wait("d".as_ref()).await.is_err());
        assert!(disk.sync_directory_wait("/".as_ref()).await.is_err());
        machine.disk().set_faults(DiskFaults::NONE);
        assert!(disk.list_wait("d".as_ref()).await.is_err(), "what failed did not happen");
    });
}

#[test]
fn what_a_failed_sync_should_have_covered_is_covered_by_no_later_one() {
    let mut lost = 0;
    for seed in 0..100 {
        let simulation = Simulation::new(seed);
        let machine = simulation.machine("one");
        let disk = machine.runtime().disk;
        simulation.block_on(async {
            let file = durable(&disk, "file", &[0; 1024]).await;
            write(&file, 0, &[1; 512]).await;
            machine.disk().fail_next(OperationKind::Sync, "file");
            assert!(disk.sync_file_wait(&file).await.is_err());
            write(&file, 512, &[2; 512]).await;
            sync(&disk, &file).await;
            assert_eq!(file.read_at_wait(0, 1).await.unwrap()[0], 1, "a reader notices nothing");
        });
        machine.crash(Crash::PowerCut);
        let left = machine.disk().read("file").unwrap();
        assert!(left[512..] == [2; 512], "what the second sync covered survives");
        lost += u32::from(left[..512] == [0; 512]);
    }
    assert!((50..100).contains(&lost), "{lost}");
}

#[test]
fn a_full_disk_refuses_until_there_is_room_again() {
    check(async |machine, disk| {
        let file = create(disk, "file").await;
        machine.disk().set_capacity(8192);
        file.preallocate_wait(0..4096).await.unwrap();
        assert_eq!(machine.disk().used_bytes(), 4096);
        let error = file.preallocate_wait(0..8193).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let error = file.write_at_wait(0, vec![Bytes::from(vec![1; 10_000])]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(file.len_wait().await.unwrap(), 8192, "what had room was written");
        write(&file, 0, &[2; 8192]).await;
        let refused = disk.open_wait("other".as_ref(), OpenMode::Create).await;
        assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::StorageFull));
        let space = disk.space_wait("/".as_ref()).await.unwrap();
        assert_eq!((space.free, space.total), (0, 8192));
        machine.disk().set_capacity(1 << 20);
        write(&file, 8192, &[3; 5]).await;
        assert_eq!(disk.space_wait("/".as_ref()).await.unwrap().free, (1 << 20) - 3 * 4096);
    });
}

#[test]
fn room_comes_back_with_truncation_and_with_the_last_handle() {
    check(async |machine, disk| {
        let used = || machine.disk().used_bytes();
        let file = create(disk, "file").await;
        write(&file, 0, &[1; 100_000]).await;
        file.preallocate_wait(0..200_000).await.unwrap();
        assert_eq!(used(), 200_704);
        file.truncate_wait(100_000).await.unwrap();
        assert_eq!(used(), 102_400, "a truncation gives up what was preallocated");
        disk.remove_file_wait("file".as_ref()).await.unwrap();
        assert_eq!(used(), 102_400, "somebody may still read it");
        drop(file);
        assert_eq!(used(), 0);
    });
}

#[test]
fn a_machine_can_run_out_of_descriptors() {
    check(async |machine, disk| {
        machine.disk().set_descriptor_limit(2);
        let (one, _two) = (create(disk, "one").await, create(disk, "two").await);
        let refused = disk.open_wait("one".as_ref(), OpenMode::Read).await;
        assert_eq!(refused.err().and_then(|error| error.raw_os_error()), Some(libc::EMFILE));
        drop(one);
        create(disk, "three").await;
        assert_eq!(machine.disk().open_count(), 1);
    });
}

#[test]
fn a_flipped_bit_shows_once_its_page_has_left_memory() {
    check(async |machine, disk| {
        let file = durable(disk, "file", &[7; 10_000]).await;
        machine.disk().flip_bit("file", 5_000);
        assert_eq!(file.read_at_wait(5_000, 1).await.unwrap()[0], 7);
        machine.disk().evict("file");
        let shown = file.read_at_wait(0, 10_000).await.unwrap();
        assert_eq!((shown[5_000] ^ 7).count_ones(), 1);
        assert_eq!(shown.iter().filter(|byte| **byte != 7).count(), 1);
        machine.disk().evict("file");
        machine.disk().flip_bit("file", 9_999);
        assert_ne!(file.read_at_wait(9_999, 1).await.unwrap()[0], 7, "at once where it is not in memory");
    });
}

#[test]
fn cold_pages_are_not_resident_until_they_are_read() {
    check(async |machine, disk| {
        let file = durable(disk, "file", &[7; 10_000]).await;
        assert_eq!(file.residency(0..10_000), Residency::Resident, "what was written here is in memory");
        machine.disk().evict("file");
        let mut into = BytesMut::new();
        assert!(!file.read_resident(0..10, &mut into));
        assert_eq!(file.residency(4_000..5_000), Residency::Absent);
        file.read_at_wait(100, 100).await.unwrap();
        assert!(file.read_resident(0..4096, &mut into), "a whole page is read");
        assert!(!file.read_resident(0..4097, &mut into));
        assert_eq!(into.len(), 4096);
    });
}

#[test]
fn a_misdirected_write_reads_well_until_memory_is_gone() {
    check(async |machine, disk| {
        let (file, other) =
            (durable(disk, "file", &[1; 8192]).await, durable(disk, "other", &[2; 8192]).await);
        let faults = DiskFaults { misdirected_write: Rate::ALWAYS, ..DiskFaults::NONE };
        machine.disk().set_faults(faults);
        write(&file, 4096, &[9; 4096]).await;
        assert!(file.read_at_wait(4096, 4096).await.unwrap() == [9; 4096][..]);
        assert!(other.read_at_wait(0, 8192).await.unwrap() == [2; 8192][..]);
        machine.disk().evict_all();
        let (file, other) =
            (file.read_at_wait(0, 9_000).await.unwrap(), other.read_at_wait(0, 9_000).await.unwrap());
        assert_eq!((file.len(), other.len()), (8192, 8192));
        assert!(file[4096..] == [1; 4096][..] || file[4096..] == [9; 4096][..]);
        let found = [&file, &other].map(|bytes| bytes.iter().filter(|byte| **byte == 9).count());
        assert!([4096, 0].contains(&found.iter().sum()), "{found:?}");
    });
}

#[test]
fn operations_that_do_not_wait_complete_in_any_order() {
    let mut orders = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let simulation = Simulation::new(seed);
        let disk = simulation.machine("one").runtime().disk;
        simulation.block_on(async {
            let file = create(&disk, "file").await;
            let writes = [b"a", b"b", b"c"].map(|byte| file.write_at_wait(0, vec![Bytes::from_static(byte)]));
            for result in futures_util::future::join_all(writes).await {
                result.unwrap();
            }
            orders.insert(file.read_at_wait(0, 1).await.unwrap());
        });
    }
    assert_eq!(orders.len(), 3, "the last one to complete stands");
}

#[test]
fn the_first_pages_of_a_long_write_may_be_seen_before_the_others() {
    let mut lens = std::collections::BTreeSet::new();
    for seed in 0..2000 {
        let simulation = Simulation::new(seed);
        let disk = simulation.machine("one").runtime().disk;
        simulation.block_on(async {
            let file = create(&disk, "file").await;
            let writing = file.write_at_wait(0, vec![Bytes::from(vec![1; 10_000])]);
            let seen = file.read_at_wait(0, 10_000).await.unwrap();
            assert!(seen.iter().all(|byte| *byte == 1));
            lens.insert(seen.len());
            writing.await.unwrap();
            assert_eq!(file.len_wait().await.unwrap(), 10_000);
        });
    }
    assert_eq!(lens.into_iter().collect::<Vec<_>>(), [0, 4096, 8192, 10_000]);
}

#[test]
fn spikes_make_operations_slow() {
    check(async |machine, disk| {
        let clock = machine.runtime().clock;
        let file = create(disk, "file").await;
        let spike_max = Duration::from_secs(5);
        machine.disk().set_faults(DiskFaults { spike: Rate::one_in(5), spike_max, ..DiskFaults::NONE });
        let (mut slow, began) = (0, clock.now());
        for _ in 0..100 {
            let before = clock.now();
            write(&file, 0, b"x").await;
            slow += u32::from(clock.now().since(before) > Duration::from_millis(20));
        }
        assert!((3..50).contains(&slow), "{slow}");
        assert!(clock.now().since(began) < spike_max * 50);
    });
}
