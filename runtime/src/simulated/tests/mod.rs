//! How the simulated world behaves, seen as a test of the broker sees it.

mod crash_points;
mod disk_faults;
mod execution;
mod kill;
mod network;
mod power_cut;

use std::collections::BTreeMap;
use std::future::Future;

use bytes::Bytes;

use super::{Crash, Simulation};
use crate::disk::{DiskWait as _, FileRef, FileWait as _, OpenMode};
use crate::{DiskRef, Runtime};

/// What was on a disk after a crash, and how many seeds left it so.
type Outcomes = BTreeMap<Vec<(String, Vec<u8>)>, u64>;

/// Lets `scenario` run to its end on a machine of each of `seeds` seeds, crashes that, and counts what is left.
fn outcomes<F, S>(seeds: u64, crash: Crash, scenario: S) -> Outcomes
where
    S: Fn(Runtime) -> F,
    F: Future<Output = ()>,
{
    let mut outcomes = Outcomes::new();
    for seed in 0..seeds {
        let simulation = Simulation::new(seed);
        let machine = simulation.machine("one");
        simulation.block_on(scenario(machine.runtime()));
        machine.crash(crash);
        let left = machine.disk().clone_image().files.into_iter().collect();
        *outcomes.entry(left).or_default() += 1;
    }
    outcomes
}

/// The contents of the only file that scenarios of one file leave; nothing where it is lost.
fn contents(outcomes: &Outcomes) -> Vec<Option<&[u8]>> {
    outcomes.keys().map(|files| files.first().map(|(_, bytes)| bytes.as_slice())).collect()
}

/// The names that are left, over all seeds.
fn name_sets(outcomes: &Outcomes) -> Vec<Vec<&str>> {
    let mut sets: Vec<Vec<&str>> = Vec::new();
    for files in outcomes.keys() {
        sets.push(files.iter().map(|(name, _)| name.as_str()).collect());
    }
    sets.sort_unstable();
    sets.dedup();
    sets
}

async fn create(disk: &DiskRef, path: &str) -> FileRef {
    disk.open_wait(path.as_ref(), OpenMode::Create).await.unwrap()
}

async fn write(file: &FileRef, position: u64, bytes: &[u8]) {
    file.write_at_wait(position, vec![Bytes::copy_from_slice(bytes)]).await.unwrap();
}

async fn sync(disk: &DiskRef, file: &FileRef) {
    disk.sync_file_wait(file).await.unwrap();
}

async fn sync_directory(disk: &DiskRef, path: &str) {
    disk.sync_directory_wait(path.as_ref()).await.unwrap();
}

/// A file with a durable name and these durable bytes.
async fn durable(disk: &DiskRef, path: &str, bytes: &[u8]) -> FileRef {
    let file = create(disk, path).await;
    write(&file, 0, bytes).await;
    sync(disk, &file).await;
    sync_directory(disk, "/").await;
    file
}
