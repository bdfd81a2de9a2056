//! Indexes, producer snapshots and leader epochs that are gone, cut, stale or anything else: the answers stay those of
//! a look at the log itself.

use ottla_protocol::types::{LeaderEpoch, Offset};
use ottla_runtime::simulated::{Machine, Simulation};

use super::on_machine;
use crate::log::ends::UpperBound;
use crate::log::leader_epochs::EpochStart;
use crate::log::lookup::{max_timestamp, offset_for_timestamp};
use crate::log::partition_log::AppendOutcome;
use crate::log::sleeping::SleepingLog;
use crate::log::testing::produced;
use crate::log::testing::rig::{DIRECTORY, Rig, config};

const BATCHES: i32 = 40;
const BUDGET: usize = 1 << 20;

/// Timestamps that rise, fall, repeat and jump; two records a batch.
fn timestamps(number: i32) -> [i64; 2] {
    let number = i64::from(number);
    let wave = (number * 7) % 11;
    [10_000 + number * 10 + wave, 10_000 + number * 10 - wave * 3]
}

async fn written(machine: &Machine) -> SleepingLog {
    let mut rig = Rig::fresh(machine, config()).await;
    for number in 0..BATCHES {
        rig.epoch = LeaderEpoch(number / 9);
        let batch = produced(&timestamps(number), 120, Some((4, 0, number * 2)));
        rig.append_durably(&batch).await;
    }
    rig.hibernate().await
}

/// Everything that the log can be asked, against what a look at every record says.
async fn check(machine: &Machine, log: &SleepingLog, context: &str) {
    let mut rig =
        Rig::open(machine, config(), log).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    let records: Vec<i64> = (0..BATCHES).flat_map(timestamps).collect();
    let bound = UpperBound::HighWatermark;
    let published = rig.log.published.clone();
    for wanted in (9_900..10_450).step_by(7) {
        let expected = records.iter().position(|timestamp| wanted <= *timestamp);
        let found =
            offset_for_timestamp(&published, wanted, bound, BUDGET).await.expect("it can be looked for");
        let found = found.map(|record| (record.offset.0, record.timestamp));
        assert_eq!(found, expected.map(|at| (at as i64, records[at])), "{context}: first at {wanted}");
    }
    let largest = *records.iter().max().expect("there are records");
    let expected = records.iter().position(|timestamp| *timestamp == largest).expect("it is one of them");
    let found = max_timestamp(&published, bound, BUDGET)
        .await
        .expect("it can be looked for")
        .expect("there are some");
    assert_eq!((found.offset.0, found.timestamp), (expected as i64, largest), "{context}: largest");

    let whole = rig.read_all(0, 1 << 20).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    for from in (0..i64::from(BATCHES) * 2).step_by(5) {
        let rest = rig.read_all(from, 450).await.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(whole.ends_with(&rest), "{context}: from {from}");
        assert_eq!(rest[..8], (from - from % 2).to_be_bytes(), "{context}: from {from}");
    }
    let starts = |epoch: i32| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(i64::from(epoch) * 18) };
    assert_eq!(rig.log.core.epochs().entries(), (0..5).map(starts).collect::<Vec<_>>(), "{context}");
    let again = rig.append(&produced(&[0, 0], 1, Some((4, 0, (BATCHES - 1) * 2))));
    assert!(matches!(again, Ok(AppendOutcome::Duplicate { .. })), "{context}: {again:?}");
    rig.epoch = LeaderEpoch(7);
    rig.append_durably(&produced(&[20_000, 20_000], 10, Some((4, 0, BATCHES * 2)))).await;
}

/// The files beside the log whose names end so.
fn side_files(machine: &Machine, end: &str) -> Vec<String> {
    let files = machine.disk().list_all().into_iter().map(|(path, _)| path);
    let found: Vec<String> = files.filter(|path| path.ends_with(end)).collect();
    assert!(!found.is_empty(), "there are files {end}");
    found
}

const ENDS: [&str; 5] = [".index", ".timeindex", ".snapshot", ".ottla-producers", "leader-epoch-checkpoint"];

/// Damages each kind of file in turn, opens the log that slept, and asks it everything.
fn check_damaged(damage: impl Fn(&Machine, &str)) {
    for end in ENDS {
        on_machine(1, async |machine| {
            let sleeping = written(machine).await;
            // The earlier batches of a producer can't be told once the file that has them is lost; the last can.
            side_files(machine, end).iter().for_each(|path| damage(machine, path));
            check(machine, &sleeping, end).await;
        });
    }
}

#[test]
fn nothing_is_lost_with_whole_files() {
    check_damaged(|_, _| ());
}

#[test]
fn deleted_files_are_made_anew() {
    check_damaged(|machine, path| machine.disk().remove(path));
}

#[test]
fn files_cut_anywhere_are_made_anew() {
    for keep in [0, 1, 8, 12, 13, 24, 40] {
        check_damaged(|machine, path| {
            let bytes = machine.disk().read(path).expect("it is there");
            machine.disk().write(path, &bytes[..bytes.len().min(keep)]);
        });
    }
}

#[test]
fn random_bytes_are_not_believed() {
    let simulation = Simulation::new(1);
    let mut rng = simulation.rng();
    for _ in 0..10 {
        let seed = rng.next_u64();
        check_damaged(|machine, path| {
            let mut rng = ottla_runtime::Rng::seeded(seed);
            let mut bytes = vec![0; machine.disk().read(path).expect("it is there").len()];
            rng.fill(&mut bytes);
            machine.disk().write(path, bytes);
        });
    }
}

#[test]
fn a_flipped_bit_misleads_nobody() {
    for part in 0..12 {
        check_damaged(|machine, path| {
            // A digit that became another one can't be told from what it was: that file has no checksum.
            if path.ends_with("leader-epoch-checkpoint") {
                return;
            }
            let mut bytes = machine.disk().read(path).expect("it is there");
            let at = bytes.len() * part / 12;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (part % 8);
            }
            machine.disk().write(path, bytes);
        });
    }
}

#[test]
fn the_files_of_another_segment_are_not_believed() {
    check_damaged(|machine, path| {
        let end = path.rsplit_once('.').map_or("", |(_, end)| end);
        if path.ends_with(end) && path.contains("00000000") {
            let others = side_files(machine, end);
            let place = others.iter().position(|other| other == path).expect("one of them");
            // Each gets the next one's bytes, the last stays.
            if let Some(other) = others.get(place + 1) {
                let bytes = machine.disk().read(other).expect("it is there");
                machine.disk().write(path, bytes);
            }
        }
    });
}

#[test]
fn leader_epochs_of_an_earlier_roll_are_completed() {
    on_machine(1, async |machine| {
        let sleeping = written(machine).await;
        machine.disk().write(format!("{DIRECTORY}/leader-epoch-checkpoint"), b"0\n2\n0 0\n1 18\n".to_vec());
        check(machine, &sleeping, "stale epochs").await;
    });
}
