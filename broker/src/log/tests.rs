//! The log as a whole, on the simulated disk.

mod compaction;
mod compaction_crashes;
mod crash_points;
mod damage;
mod gaps;
mod side_files;
mod thinning;
mod torn_tail;
mod transactions;

use ottla_protocol::types::{LeaderEpoch, Offset};
use ottla_runtime::simulated::{Crash, Machine, Simulation};

use super::partition_log::AppendOutcome;
use super::testing::produced;
use super::testing::rig::{Rig, config, recovered};

/// Runs a test on a fresh machine.
fn on_machine<T>(seed: u64, test: impl AsyncFnOnce(&Machine) -> T) -> T {
    let simulation = Simulation::new(seed);
    let machine = simulation.machine("node");
    simulation.block_on(async { test(&machine).await })
}

#[test]
fn what_is_appended_is_read_back() {
    on_machine(1, async |machine| {
        let mut rig = Rig::fresh(machine, config()).await;
        for batch in 0..20_i64 {
            let count = usize::try_from(1 + batch % 3).expect("small");
            let batch = produced(&vec![1_000 + batch; count], 50, None);
            rig.append_durably(&batch).await;
        }
        let ends = rig.log.core.ends();
        assert_eq!(ends.high_watermark, ends.log_end);
        assert!(rig.log.core.segments().count() > 1, "it has rolled");
        let whole = rig.read_all(0, 1 << 20).await.expect("it can be read");
        let pieces = rig.read_all(0, 300).await.expect("it can be read");
        assert_eq!(whole, pieces);
        assert_eq!(
            whole.len() as u64,
            rig.log.core.segments().filter_map(|segment| segment.size).sum::<u64>()
        );
    });
}

#[test]
fn a_log_that_slept_is_as_it_was() {
    on_machine(2, async |machine| {
        let mut rig = Rig::fresh(machine, config()).await;
        rig.epoch = LeaderEpoch(3);
        for sequence in 0..10 {
            rig.append_durably(&produced(&[5_000 + i64::from(sequence)], 300, Some((9, 0, sequence)))).await;
        }
        let before = rig.read_all(0, 1 << 20).await.expect("it can be read");
        let sleeping = rig.hibernate().await;
        assert_eq!(sleeping.ends.safe_end, Offset(10));
        assert_eq!(machine.disk().open_count(), 0, "a sleeping log has no open file");

        let mut rig = Rig::open(machine, config(), &sleeping).await.expect("it can be opened");
        assert_eq!(rig.read_all(0, 1 << 20).await.expect("it can be read"), before);
        for sequence in 5..10 {
            let again = rig.append(&produced(&[0], 1, Some((9, 0, sequence)))).expect("a duplicate");
            assert!(
                matches!(again, AppendOutcome::Duplicate { base_offset, .. } if base_offset.0 == i64::from(sequence))
            );
        }
        assert!(rig.append(&produced(&[0], 1, Some((9, 0, 4)))).is_err());
        assert_eq!(rig.log.core.epochs().latest().map(|latest| latest.epoch), Some(LeaderEpoch(3)));
        rig.append_durably(&produced(&[6_000], 10, Some((9, 0, 10)))).await;
    });
}

#[test]
fn a_killed_log_is_recovered_to_its_last_whole_batch() {
    let simulation = Simulation::new(3);
    let machine = simulation.machine("node");
    let safe = simulation.block_on(async {
        let mut rig = Rig::fresh(&machine, config()).await;
        for timestamp in 0..12 {
            rig.append_durably(&produced(&[timestamp], 200, None)).await;
        }
        rig.log.core.durable_ends()
    });
    machine.crash(Crash::Kill);
    machine.restart();
    simulation.block_on(async {
        let recovered = recovered(&machine, Some(safe)).await.expect("it can be recovered");
        assert_eq!((recovered.log.ends.safe_end, recovered.cut), (Offset(12), None));
        // Without a checkpoint everything is looked at, to the same end.
        let rig = Rig::after_crash(&machine, config(), None).await.expect("it can be opened");
        assert_eq!(rig.log.core.ends().log_end, Offset(12));
        assert_eq!(rig.read(11, 10).await.expect("it can be read").next_offset, Offset(12));
    });
}
