//! What recovery does with an end that a crash tore: cut anywhere, followed by garbage or by zeros.

use ottla_protocol::types::{LeaderEpoch, Offset};
use ottla_runtime::simulated::{Crash, Machine, Simulation};

use super::on_machine;
use crate::config::{FlushPolicy, TopicConfig};
use crate::log::ends::EndPlace;
use crate::log::recovery::{RecoverError, Recovered};
use crate::log::safe_ends::PartitionEnds;
use crate::log::testing::rig::{DIRECTORY, Rig, config, recovered};
use crate::log::testing::{batch, log_bytes, produced};

const RECORDS: [i32; 5] = [2, 1, 3, 1, 2];

fn log_path(base: i64) -> String {
    format!("{DIRECTORY}/{base:020}.log")
}

/// The positions and offsets at which batches end.
fn ends() -> Vec<(usize, i64)> {
    (0..=RECORDS.len())
        .map(|count| {
            let records = RECORDS.get(..count).expect("in range");
            (log_bytes(0, records).len(), records.iter().map(|count| i64::from(*count)).sum())
        })
        .collect()
}

fn safe_at(position: usize, offset: i64) -> PartitionEnds {
    PartitionEnds {
        log_start: Offset(0),
        safe_end: Offset(offset),
        active_base: Offset(0),
        safe_position: u32::try_from(position).expect("small"),
        leader_epoch: LeaderEpoch(0),
    }
}

/// Recovers `bytes`, and checks that what is kept ends at `end`, that the rest lies beside it, and that the log goes on
/// from there.
async fn check(machine: &Machine, bytes: &[u8], safe: Option<PartitionEnds>, end: (usize, i64)) -> Recovered {
    machine.disk().write(log_path(0), bytes);
    machine
        .disk()
        .write(format!("{DIRECTORY}/00000000000000000000.log.cut"), b"of an earlier crash".to_vec());
    let recovered = recovered(machine, safe).await.expect("it can be recovered");
    let (position, offset) = end;
    let place = EndPlace { offset: Offset(offset), base: Offset(0), position: position as u64 };
    assert_eq!(recovered.log.end_place(), place);
    assert_eq!(recovered.log.damage, None);
    match &recovered.cut {
        Some(cut) => {
            assert_eq!(cut.bytes as usize, bytes.len() - position);
            let kept = machine.disk().read(&cut.kept_in[0]).expect("it is kept");
            assert_eq!(kept, bytes[position..]);
        }
        None => assert_eq!(position, bytes.len()),
    }
    assert_eq!(machine.disk().read(log_path(0)).expect("the log"), bytes[..position]);

    let mut rig = Rig::open(machine, config(), &recovered.log).await.expect("it can be opened");
    assert_eq!(rig.read_all(0, 1 << 20).await.expect("it can be read"), bytes[..position]);
    let (base_offset, _) = rig.append_durably(&produced(&[9_000], 10, None)).await;
    assert_eq!(base_offset, Offset(offset));
    assert_eq!(rig.read_all(offset, 1 << 20).await.expect("it can be read")[..8], offset.to_be_bytes());
    recovered
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_three_batches_keeps_its_whole_ones() {
    let bytes = log_bytes(0, &RECORDS);
    let ends = ends();
    for length in ends[2].0..=bytes.len() {
        let kept = *ends.iter().rev().find(|(position, _)| *position <= length).expect("0 at least");
        on_machine(length as u64, async |machine| {
            check(machine, &bytes[..length], None, kept).await;
            check(machine, &bytes[..length], Some(safe_at(ends[2].0, ends[2].1)), kept).await;
        });
    }
}

#[test]
fn a_tail_of_zeros_or_garbage_is_no_batch() {
    let ends = ends();
    let bytes = log_bytes(0, &RECORDS);
    on_machine(1, async |machine| {
        for tail in [vec![0; 1], vec![0; 61], vec![0; 70_000], vec![0xff; 500], vec![2; 500]] {
            let torn = [bytes.as_slice(), &tail].concat();
            let recovered = check(machine, &torn, Some(safe_at(ends[1].0, ends[1].1)), ends[5]).await;
            assert_eq!(recovered.cut.map(|cut| cut.whole_batches), Some(0));
            // A whole segment of it, too.
            check(machine, &tail, None, (0, 0)).await;
        }
    });
}

#[test]
fn whole_batches_behind_a_torn_one_are_cut_too_and_counted() {
    let ends = ends();
    on_machine(1, async |machine| {
        let mut bytes = log_bytes(0, &RECORDS);
        bytes[ends[2].0 + 70] ^= 1;
        let recovered = check(machine, &bytes, Some(safe_at(ends[2].0, ends[2].1)), ends[2]).await;
        let cut = recovered.cut.expect("it was cut");
        assert_eq!(cut.whole_batches, 2);
        assert!(cut.reason.contains("CRC"), "{}", cut.reason);
    });
}

#[test]
fn a_batch_of_another_place_ends_the_log() {
    let ends = ends();
    on_machine(1, async |machine| {
        let bytes = [log_bytes(0, &RECORDS), batch(40, 1)].concat();
        let recovered = check(machine, &bytes, None, ends[5]).await;
        assert_eq!(recovered.cut.expect("it was cut").whole_batches, 1);
    });
}

#[test]
fn later_segments_go_with_a_torn_one() {
    let ends = ends();
    on_machine(1, async |machine| {
        let bytes = log_bytes(0, &RECORDS);
        let disk = machine.disk();
        disk.write(log_path(0), &bytes[..bytes.len() - 3]);
        disk.write(log_path(9), log_bytes(9, &[1, 1]));
        disk.write(log_path(11), Vec::new());
        disk.write(format!("{DIRECTORY}/00000000000000000009.snapshot"), b"stale".to_vec());
        disk.write(format!("{DIRECTORY}/00000000000000000011.index"), b"orphaned".to_vec());
        let safe = safe_at(ends[1].0, ends[1].1);
        let recovered = recovered(machine, Some(safe)).await.expect("it can be recovered");
        assert_eq!(recovered.log.ends.safe_end, Offset(7));
        assert_eq!(recovered.log.segment_count, 1);
        assert_eq!(recovered.cut.expect("it was cut").whole_batches, 2);
        let names: Vec<String> = disk.list_all().into_iter().map(|(path, _)| path).collect();
        let name = |end: &str| format!("{DIRECTORY}/000000000000000000{end}");
        assert_eq!(
            names,
            [
                name("00.log"),
                name("00.log.cut"),
                name("09.log.cut"),
                format!("{DIRECTORY}/partition.metadata")
            ]
        );
    });
}

/// Segments that were begun before any sync: a power cut may take the name of each.
#[test]
fn a_power_cut_leaves_no_log_without_its_first_segment() {
    let mut rolled = 0;
    for seed in 0..3_000 {
        let simulation = Simulation::new(seed);
        let machine = simulation.machine("node");
        machine.disk().write("data/lock", Vec::new());
        simulation.block_on(async {
            let config = TopicConfig { flush_policy: FlushPolicy::Os, ..config() };
            let mut rig = Rig::fresh(&machine, config).await;
            for _batch in 0..14 {
                rig.append(&produced(&[1_000], 300, None)).expect("it can be appended");
            }
            rig.carry_out();
            rig.settle_some(simulation.rng().below(6)).await;
        });
        machine.crash(Crash::PowerCut);
        machine.restart();
        simulation.block_on(async {
            let rig = Rig::after_crash(&machine, config(), None).await.expect("it can be recovered");
            let ends = rig.log.core.ends();
            assert_eq!((ends.log_start, rig.log.core.damage()), (Offset(0), None), "seed {seed}");
            rolled += usize::from(rig.log.core.segments().count() > 1);
        });
    }
    assert!(rolled > 10, "later segments were often kept: {rolled}");
}

#[test]
fn nothing_below_the_safe_end_is_ever_cut() {
    let ends = ends();
    let bytes = log_bytes(0, &RECORDS);
    on_machine(1, async |machine| {
        // Shorter than what was safe.
        machine.disk().write(log_path(0), &bytes[..ends[4].0 - 1]);
        let recovered =
            recovered(machine, Some(safe_at(ends[4].0, ends[4].1))).await.expect("it can be recovered");
        let damage = recovered.log.damage.clone().expect("damage");
        assert_eq!((damage.offset.0, damage.position as usize), (ends[3].1, ends[3].0));
        assert_eq!(machine.disk().read(log_path(0)).expect("the log").len(), ends[4].0 - 1);
        let mut rig = Rig::open(machine, config(), &recovered.log).await.expect("it can be opened");
        assert_eq!(rig.read(0, 1 << 20).await.expect("the good part").records.len(), ends[3].0 as u64);
        assert!(rig.read(ends[3].1, 1 << 20).await.is_err());
        assert!(rig.append(&produced(&[1], 1, None)).is_err());
    });
}

#[test]
fn a_partition_whose_files_are_gone_is_damaged_and_not_empty() {
    on_machine(1, async |machine| {
        let recovered = recovered(machine, Some(safe_at(100, 9))).await.expect("it can be recovered");
        let mut rig = Rig::open(machine, config(), &recovered.log).await.expect("it can be opened");
        assert!(rig.read(0, 1).await.is_err());
        assert!(rig.append(&produced(&[1], 1, None)).is_err());
    });
}

#[test]
fn old_messages_and_other_topics_are_refused_by_name() {
    on_machine(1, async |machine| {
        let body = [&[1_u8, 0][..], &[0; 8], &[0xff; 4], &[0, 0, 0, 1, b'v']].concat();
        let mut old = 0_i64.to_be_bytes().to_vec();
        old.extend((body.len() as i32 + 4).to_be_bytes());
        old.extend(crc32fast::hash(&body).to_be_bytes());
        old.extend(&body);
        machine.disk().write(log_path(0), old.repeat(4));
        let refused = recovered(machine, None).await.expect_err("it is refused");
        assert!(matches!(refused, RecoverError::OldFormat { magic: 1, position: 0, .. }), "{refused}");

        machine.disk().write(log_path(0), log_bytes(0, &[1]));
        let metadata = b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA".to_vec();
        machine.disk().write(format!("{DIRECTORY}/partition.metadata"), metadata);
        let refused = recovered(machine, None).await.expect_err("it is refused");
        assert!(matches!(refused, RecoverError::OtherTopic { .. }), "{refused}");
    });
}

#[test]
fn bytes_of_any_kind_end_in_a_prefix_of_the_log() {
    let whole = log_bytes(0, &RECORDS);
    for seed in 0..3_000 {
        on_machine(seed, async |machine| {
            let mut rng = ottla_runtime::Rng::seeded(seed);
            let mut bytes = whole.clone();
            for _ in 0..1 + rng.below(3) {
                let from = usize::try_from(rng.below(bytes.len() as u64)).expect("small");
                let to = bytes.len().min(from + usize::try_from(rng.below(80)).expect("small"));
                match rng.below(3) {
                    0 => rng.fill(&mut bytes[from..to]),
                    1 => drop(bytes.drain(from..to)),
                    _ => drop(
                        bytes.splice(from..from, whole[from.min(whole.len())..to.min(whole.len())].to_vec()),
                    ),
                }
            }
            machine.disk().write(log_path(0), bytes.clone());
            let recovered = recovered(machine, None).await.expect("it can be recovered");
            let kept = machine.disk().read(log_path(0)).expect("the log");
            assert!(bytes.starts_with(&kept), "seed {seed}");
            assert_eq!(kept.len() as u64, recovered.log.end_place().position);
            // The leader epoch is under no checksum; nothing else may differ.
            let differs = |at: &usize| whole.get(*at) != kept.get(*at);
            let starts = ends();
            let is_epoch = |at: usize| starts.iter().any(|(start, _)| (start + 12..start + 16).contains(&at));
            assert!((0..kept.len()).filter(differs).all(is_epoch), "seed {seed}");
        });
    }
}
