//! What `kill -9` leaves: all that was written, and any part of what was in flight.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{contents, create, durable, name_sets, outcomes, write};
use crate::disk::{DiskWait as _, FileWait as _, OpenMode, Residency};
use crate::simulated::{Crash, Simulation};

const SEEDS: u64 = 200;

#[test]
fn all_that_was_written_stays_without_any_sync() {
    let outcomes = outcomes(SEEDS, Crash::Kill, |runtime| async move {
        let file = create(&runtime.disk, "file").await;
        write(&file, 0, &[9; 5_000]).await;
        create(&runtime.disk, "other").await;
        runtime.disk.rename_wait("other".as_ref(), "renamed".as_ref()).await.unwrap();
    });
    assert_eq!(outcomes.len(), 1);
    assert_eq!(contents(&outcomes), [Some(&[9; 5_000][..])]);
    assert_eq!(name_sets(&outcomes), [["file", "renamed"]]);
}

#[test]
fn a_write_in_flight_happens_whole_in_part_or_not_at_all() {
    let outcomes = outcomes(SEEDS, Crash::Kill, |runtime| async move {
        let file = durable(&runtime.disk, "file", b"").await;
        drop(file.write_at_wait(0, vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def")]));
    });
    let left: BTreeSet<_> = contents(&outcomes).into_iter().flatten().collect();
    let prefixes: BTreeSet<_> = (0..=6).map(|len| &b"abcdef"[..len]).collect();
    assert_eq!(left, prefixes);
}

#[test]
fn names_in_flight_happen_or_not() {
    let outcomes = outcomes(SEEDS, Crash::Kill, |runtime| async move {
        create(&runtime.disk, "old").await;
        drop(runtime.disk.rename_wait("old".as_ref(), "renamed".as_ref()));
        drop(runtime.disk.open_wait("new".as_ref(), OpenMode::Create));
    });
    let expected = [vec!["new", "old"], vec!["new", "renamed"], vec!["old"], vec!["renamed"]];
    assert_eq!(name_sets(&outcomes), expected);
}

#[test]
fn memory_outlives_the_process_and_what_it_did_not_sync_can_still_be_lost() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let simulation = Simulation::new(seed);
        let machine = simulation.machine("one");
        let runtime = machine.runtime();
        simulation.block_on(async {
            let file = durable(&runtime.disk, "file", b"").await;
            write(&file, 0, b"unsynced").await;
        });
        machine.crash(Crash::Kill);
        let disk = machine.restart().disk;
        simulation.block_on(async {
            let file = disk.open_wait("file".as_ref(), OpenMode::Write).await.unwrap();
            assert_eq!(file.residency(0..8), Residency::Resident);
            assert_eq!(file.read_at_wait(0, 8).await.unwrap(), "unsynced");
        });
        machine.crash(Crash::PowerCut);
        lost += u64::from(machine.disk().read("file").unwrap() != b"unsynced");
    }
    assert!(0 < lost && lost < SEEDS, "{lost}");
}
