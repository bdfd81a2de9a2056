//! Crashing at every operation of a piece of work.

use super::{create, durable, sync_directory, write};
use crate::Runtime;
use crate::disk::DiskWait as _;
use crate::simulated::{Crash, CrashPoint, Simulation};

/// Replaces `file` by way of another name, as a checkpoint is written.
async fn replace(runtime: Runtime) {
    let disk = &runtime.disk;
    durable(disk, "file", b"old").await;
    let new = create(disk, "file.tmp").await;
    write(&new, 0, b"new!").await;
    disk.sync_file_wait(&new).await.unwrap();
    disk.rename_wait("file.tmp".as_ref(), "file".as_ref()).await.unwrap();
    sync_directory(disk, "/").await;
}

/// The operations of [`replace`], which are the same under every seed.
const OPERATIONS: u64 = 9;

/// From this one on `file` exists durably.
const OLD_IS_DURABLE: u64 = 4;

fn crash_at(seed: u64, point: CrashPoint, crash: Crash) -> Option<Vec<u8>> {
    let simulation = Simulation::new(seed);
    let machine = simulation.machine("one");
    machine.disk().crash_at(point, crash);
    let runtime = machine.runtime();
    drop(runtime.spawner.spawn("replace", replace(runtime.clone())));
    simulation.block_on(machine.wait_until_down());
    let (CrashPoint::Submitted(number) | CrashPoint::Completed(number)) = point;
    assert_eq!(machine.disk().submitted_count(), number, "nothing is submitted after the crash");
    let completed = number - u64::from(point == CrashPoint::Submitted(number));
    assert_eq!(machine.disk().completed_count(), completed);
    machine.disk().read("file")
}

#[test]
fn a_replaced_file_is_old_or_new_wherever_the_machine_crashes() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..20 {
        for crash in [Crash::PowerCut, Crash::Kill] {
            for number in 1..=OPERATIONS {
                for point in [CrashPoint::Submitted(number), CrashPoint::Completed(number)] {
                    let left = crash_at(seed, point, crash);
                    if number <= OLD_IS_DURABLE {
                        continue;
                    }
                    let left = left.unwrap_or_else(|| panic!("seed {seed}, {point:?}: lost"));
                    assert!(left == b"old" || left == b"new!", "seed {seed}, {point:?}: {left:?}");
                    old += u64::from(left == b"old");
                    new += u64::from(left == b"new!");
                    assert!(point != CrashPoint::Completed(OPERATIONS) || left == b"new!");
                }
            }
        }
    }
    assert!(0 < old && 0 < new);
}

#[test]
fn a_machine_that_does_not_crash_counts_the_same_operations() {
    for seed in 0..5 {
        let simulation = Simulation::new(seed);
        let machine = simulation.machine("one");
        simulation.block_on(replace(machine.runtime()));
        assert_eq!(machine.disk().submitted_count(), OPERATIONS);
        assert_eq!(machine.disk().completed_count(), OPERATIONS);
    }
}

#[test]
fn nobody_hears_of_the_operation_at_which_the_machine_crashed() {
    for point in [CrashPoint::Submitted(1), CrashPoint::Completed(1)] {
        let simulation = Simulation::new(3);
        let machine = simulation.machine("one");
        machine.disk().crash_at(point, Crash::Kill);
        let runtime = machine.runtime();
        let created = runtime.disk.create_directory_wait("d".as_ref());
        let heard = simulation.block_on(async {
            machine.wait_until_down().await;
            futures_util::FutureExt::now_or_never(created)
        });
        assert!(heard.is_none_or(|result| result.is_err()), "{point:?}");
    }
}
