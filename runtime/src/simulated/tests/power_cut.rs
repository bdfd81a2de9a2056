//! What a power cut leaves: each promise of a sync, and each loss without one.

use bytes::Bytes;

use super::{contents, create, durable, name_sets, outcomes, sync, sync_directory, write};
use crate::disk::{DiskWait as _, FileWait as _, OpenMode, Residency};
use crate::simulated::{Crash, DiskImage, Simulation};

const SEEDS: u64 = 300;

/// Writes `bytes` without a sync over `before`, which is durable, and returns each content that was left, over so many
/// seeds.
fn left_of_a_write(seeds: u64, before: &'static [u8], position: u64, bytes: &'static [u8]) -> Vec<Vec<u8>> {
    let outcomes = outcomes(seeds, Crash::PowerCut, |runtime| async move {
        let file = durable(&runtime.disk, "file", before).await;
        write(&file, position, bytes).await;
    });
    contents(&outcomes).into_iter().map(|content| content.expect("the name is durable").to_vec()).collect()
}

#[test]
fn what_was_synced_with_its_name_survives() {
    let outcomes = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        durable(&runtime.disk, "file", &[7; 10_000]).await;
    });
    assert_eq!(contents(&outcomes), [Some(&[7; 10_000][..])]);
}

#[test]
fn a_synced_file_without_a_synced_name_may_be_lost_whole() {
    let outcomes = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        let file = create(&runtime.disk, "file").await;
        write(&file, 0, b"synced").await;
        sync(&runtime.disk, &file).await;
    });
    assert_eq!(contents(&outcomes), [None, Some(&b"synced"[..])]);
}

#[test]
fn a_synced_name_does_not_keep_unsynced_bytes() {
    let outcomes = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        let file = create(&runtime.disk, "file").await;
        write(&file, 0, b"never synced").await;
        sync_directory(&runtime.disk, "/").await;
    });
    let contents = contents(&outcomes);
    assert!(contents.contains(&Some(b"")) && contents.contains(&Some(b"never synced")), "{contents:?}");
    assert!(!contents.contains(&None));
}

#[test]
fn an_unsynced_growth_is_kept_lost_or_zeros() {
    let left = left_of_a_write(SEEDS, b"old", 3, b"new");
    assert_eq!(left, [b"old".to_vec(), b"old\0\0\0".to_vec(), b"oldnew".to_vec()]);
}

#[test]
fn an_unsynced_overwrite_in_one_sector_is_kept_or_lost_whole() {
    assert_eq!(
        left_of_a_write(SEEDS, b"0123456789", 2, b"abc"),
        [b"0123456789".to_vec(), b"01abc56789".to_vec()]
    );
}

#[test]
fn an_unsynced_write_tears_at_sectors_and_pages() {
    static BEFORE: [u8; 16_384] = [1; 16_384];
    static AFTER: [u8; 16_384] = [2; 16_384];
    let left = left_of_a_write(1_000, &BEFORE, 0, &AFTER);
    let mut torn_in_a_page = 0;
    for content in &left {
        assert_eq!(content.len(), BEFORE.len(), "no length was in doubt");
        let sectors: Vec<u8> = content.chunks(512).map(|sector| sector[0]).collect();
        assert!(content.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        torn_in_a_page +=
            usize::from(!sectors.chunks(8).all(|page| page.iter().all(|byte| *byte == page[0])));
    }
    assert!(left.contains(&BEFORE.to_vec()) && left.contains(&AFTER.to_vec()));
    // Four pages can be left in 16 ways. Each of the eight that are a front or a back of the write comes up some ten times
    // in so many seeds, however the dice fall.
    let whole_pages = left.len() - torn_in_a_page;
    assert!((8..=16).contains(&whole_pages) && 50 < torn_in_a_page, "{whole_pages}, {torn_in_a_page}");
}

#[test]
fn a_later_write_may_survive_without_an_earlier_one() {
    let outcomes = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        let file = durable(&runtime.disk, "file", b"").await;
        for (position, bytes) in [(0, [b'a'; 512]), (512, [b'b'; 512]), (1024, [b'c'; 512])] {
            write(&file, position, &bytes).await;
        }
    });
    let sector = |byte: u8| [byte; 512];
    for expected in [
        [sector(b'a'), sector(b'b'), sector(b'c')].concat(),
        [sector(0), sector(0), sector(b'c')].concat(),
        [sector(0), sector(b'b')].concat(),
        [sector(b'a'), sector(0), sector(b'c')].concat(),
        sector(b'a').to_vec(),
        Vec::new(),
    ] {
        assert!(contents(&outcomes).contains(&Some(&expected[..])), "{:?}", &expected.len());
    }
}

#[test]
fn a_sync_covers_what_was_written_before_it_and_no_more() {
    let outcomes = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        let file = durable(&runtime.disk, "file", &[]).await;
        write(&file, 0, b"before").await;
        let later = file.write_at_wait(6, vec![Bytes::from_static(b"beside")]);
        sync(&runtime.disk, &file).await;
        later.await.unwrap();
    });
    for content in contents(&outcomes) {
        assert!(content.unwrap().starts_with(b"before"));
    }
    assert!(contents(&outcomes).contains(&Some(b"before")), "the write beside it is not covered");
    assert!(contents(&outcomes).contains(&Some(b"beforebeside")));
}

#[test]
fn a_truncation_is_durable_once_synced() {
    let unsynced = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        durable(&runtime.disk, "file", b"0123456789").await.truncate_wait(4).await.unwrap();
    });
    assert_eq!(contents(&unsynced), [Some(&b"0123"[..]), Some(b"0123456789")]);
    let synced = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        let file = durable(&runtime.disk, "file", b"0123456789").await;
        file.truncate_wait(4).await.unwrap();
        sync(&runtime.disk, &file).await;
    });
    assert_eq!(contents(&synced), [Some(&b"0123"[..])]);
}

#[test]
fn names_of_a_directory_survive_as_a_prefix() {
    let outcomes = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        for name in ["c", "a", "b"] {
            create(&runtime.disk, name).await;
        }
    });
    assert_eq!(name_sets(&outcomes), [vec![], vec!["a", "b", "c"], vec!["a", "c"], vec!["c"]]);
}

#[test]
fn names_of_several_directories_survive_apart() {
    let outcomes = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        for directory in ["d", "e"] {
            runtime.disk.create_directory_wait(directory.as_ref()).await.unwrap();
            create(&runtime.disk, &format!("{directory}/file")).await;
        }
        sync_directory(&runtime.disk, "/").await;
    });
    assert_eq!(name_sets(&outcomes), [vec![], vec!["d/file"], vec!["d/file", "e/file"], vec!["e/file"]]);
}

#[test]
fn a_synced_file_is_lost_with_an_unsynced_directory_above_it() {
    let outcomes = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        runtime.disk.create_directory_wait("d".as_ref()).await.unwrap();
        create(&runtime.disk, "d/file").await;
        sync_directory(&runtime.disk, "d").await;
    });
    assert_eq!(name_sets(&outcomes), [vec![], vec!["d/file"]]);
}

#[test]
fn a_rename_replaces_in_one_step_or_not_at_all() {
    let scenario = |is_synced: bool| {
        outcomes(SEEDS, Crash::PowerCut, move |runtime| async move {
            durable(&runtime.disk, "new", b"new").await;
            durable(&runtime.disk, "target", b"old").await;
            runtime.disk.rename_wait("new".as_ref(), "target".as_ref()).await.unwrap();
            if is_synced {
                sync_directory(&runtime.disk, "/").await;
            }
        })
    };
    let file = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    let (before, after) = (vec![file("new", b"new"), file("target", b"old")], vec![file("target", b"new")]);
    assert_eq!(scenario(false).into_keys().collect::<Vec<_>>(), [before, after.clone()]);
    assert_eq!(scenario(true).into_keys().collect::<Vec<_>>(), [after]);
}

#[test]
fn a_rename_between_directories_never_loses_both_names() {
    let outcomes = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        for directory in ["d", "e"] {
            runtime.disk.create_directory_wait(directory.as_ref()).await.unwrap();
        }
        create(&runtime.disk, "d/file").await;
        sync_directory(&runtime.disk, "/").await;
        sync_directory(&runtime.disk, "d").await;
        runtime.disk.rename_wait("d/file".as_ref(), "e/file".as_ref()).await.unwrap();
    });
    assert_eq!(name_sets(&outcomes), [vec!["d/file"], vec!["d/file", "e/file"], vec!["e/file"]]);
}

#[test]
fn a_removed_name_may_come_back_with_its_durable_bytes() {
    let outcomes = outcomes(SEEDS, Crash::PowerCut, |runtime| async move {
        durable(&runtime.disk, "file", b"durable").await;
        runtime.disk.remove_file_wait("file".as_ref()).await.unwrap();
    });
    assert_eq!(contents(&outcomes), [None, Some(&b"durable"[..])]);
}

#[test]
fn a_machine_comes_back_to_what_was_left_and_goes_on() {
    for seed in 0..20 {
        let simulation = Simulation::new(seed);
        let machine = simulation.machine("one");
        let runtime = machine.runtime();
        let file = simulation.block_on(durable(&runtime.disk, "file", &[5; 9_000]));
        let guard = simulation.block_on(runtime.disk.lock_wait("lock".as_ref())).unwrap();
        machine.crash(Crash::PowerCut);
        let disk = machine.restart().disk;
        simulation.block_on(async {
            let again = disk.open_wait("file".as_ref(), OpenMode::Read).await.unwrap();
            assert_eq!(again.residency(0..1), Residency::Absent, "memory is empty after a power cut");
            assert_eq!(again.read_at_wait(0, 20_000).await.unwrap().len(), 9_000);
            assert_eq!(again.residency(0..9_000), Residency::Resident);
            let held = disk.lock_wait("lock".as_ref()).await.expect("the crash has released it");
            drop(guard);
            assert!(disk.lock_wait("lock".as_ref()).await.is_err(), "an old guard releases nothing");
            drop(held);
            drop(file);
            assert_eq!(machine.disk().open_count(), 1, "an old handle counts for nothing");
        });
    }
}

#[test]
fn a_disk_can_be_looked_at_damaged_and_exchanged_while_its_machine_is_down() {
    let simulation = Simulation::new(1);
    let machine = simulation.machine("one");
    machine.crash(Crash::PowerCut);
    let disk = machine.disk();
    disk.write("/data/a/file", b"written by the test");
    assert_eq!(disk.read("data/a/file").unwrap(), b"written by the test");
    assert_eq!(disk.list_all(), [("data/a/file".to_owned(), 19)]);
    assert_eq!(disk.used_bytes(), 4096);
    disk.flip_bit("data/a/file", 3);
    assert_ne!(disk.read("data/a/file").unwrap(), b"written by the test");
    let image = disk.clone_image();
    machine.restart();
    machine.crash(Crash::PowerCut);
    assert_eq!(disk.clone_image(), image, "what a test writes is durable");
    disk.load_image(&DiskImage::default());
    assert_eq!((disk.list_all(), disk.used_bytes()), (vec![], 0));
    disk.load_image(&image);
    disk.remove("data/a/file");
    assert_eq!(disk.read("data/a/file"), None);
}

#[test]
fn a_large_file_of_small_writes_costs_little() {
    let simulation = Simulation::new(1);
    let machine = simulation.machine("one");
    let runtime = machine.runtime();
    simulation.block_on(async {
        let file = durable(&runtime.disk, "file", b"").await;
        let chunk = Bytes::from(vec![3; 1024]);
        for number in 0..8 * 1024 {
            file.write_at_wait(number * 1024, vec![chunk.clone()]).await.unwrap();
            if number % 16 == 0 {
                sync(&runtime.disk, &file).await;
            }
        }
        sync(&runtime.disk, &file).await;
    });
    machine.crash(Crash::PowerCut);
    assert!(machine.disk().read("file").unwrap() == vec![3; 8 * 1024 * 1024]);
}

#[test]
fn what_a_power_cut_cannot_take_is_told_and_there() {
    for seed in 0..50 {
        let simulation = Simulation::new(seed);
        let machine = simulation.machine("one");
        simulation.block_on(async {
            let disk = machine.runtime().disk;
            let file = durable(&disk, "kept", b"safe").await;
            write(&file, 4, b", not safe").await;
            write(&create(&disk, "unnamed").await, 0, b"x").await;
        });
        assert_eq!(machine.disk().safe_at_power_cut(), None);
        machine.crash(Crash::PowerCut);
        let safe = machine.disk().safe_at_power_cut().unwrap();
        assert_eq!(safe.files.into_iter().collect::<Vec<_>>(), [("kept".to_owned(), b"safe".to_vec())]);
        assert!(machine.disk().read("kept").unwrap().starts_with(b"safe"));
    }
}
