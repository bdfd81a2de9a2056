//! Random logs, compacted at random moments, against a model that knows only what a reader may see.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::record::Codec;
use ottla_protocol::types::Offset;
use proptest::prelude::*;

use super::model::{Row, Write, batch_of, batches, rows};
use super::{NOW, compacted};
use crate::config::CompactionConfig;
use crate::log::ends::UpperBound;
use crate::log::testing::rig::{Rig, bytes_of};
use crate::log::tests::on_machine;

#[derive(Debug, Clone)]
enum Step {
    /// By which producer (0 for none), whether in a transaction, keys with values or without, and the codec.
    Write(u8, bool, Vec<(u8, bool)>, u8),
    /// Of which producer.
    End(u8, bool),
    Roll,
    Compact(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u8, any::<bool>(), proptest::collection::vec((0..6_u8, any::<bool>()), 1..5), 0..5_u8)
            .prop_map(|(producer, transactional, keys, codec)| {
                Step::Write(producer, transactional, keys, codec)
            }),
        3 => (1..3_u8, any::<bool>()).prop_map(|(producer, committed)| Step::End(producer, committed)),
        3 => Just(Step::Roll),
        2 => (0..3_000_i64).prop_map(Step::Compact),
    ]
}

/// What a reader of committed records sees: every record by its offset, those of aborted transactions left out.
async fn committed(rig: &Rig) -> Vec<Row> {
    let mut seen = Vec::new();
    let mut from = 0;
    loop {
        let slice = rig.read_below(UpperBound::LastStableOffset, from, 400).await.expect("it can be read");
        if slice.records.is_empty() {
            return seen;
        }
        // As clients do it: aborted from its first offset to its marker.
        let mut aborted: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
        for entry in &slice.aborted {
            aborted.entry(entry.producer_id.0).or_default().insert(entry.first_offset.0);
        }
        let mut under_way: BTreeSet<i64> = BTreeSet::new();
        for batch in batches(&bytes_of(&slice.records).await) {
            let (producer, base) = (batch.header.producer_id.0, batch.header.base_offset.0);
            let of_producer = aborted.entry(producer).or_default();
            while of_producer.first().is_some_and(|first| *first <= batch.header.last_offset().0) {
                of_producer.pop_first();
                under_way.insert(producer);
            }
            if batch.header.attributes.is_control() {
                let Some(record) = batch.records(1_000).expect("records").next() else { continue };
                let key = record.expect("sound").key.expect("a key");
                if key[3] == 0 {
                    under_way.remove(&producer);
                }
                continue;
            }
            if batch.header.attributes.is_transactional() && under_way.contains(&producer) {
                continue;
            }
            let rows = rows(&batch).into_iter().filter(|row| from <= row.offset.max(base));
            seen.extend(rows);
        }
        from = slice.next_offset.0;
    }
}

fn last_values(rows: &[Row]) -> BTreeMap<String, Option<String>> {
    rows.iter().filter_map(|row| Some((row.key.clone()?, row.value.clone()))).collect()
}

struct World {
    rig: Rig,
    sequences: [i32; 3],
    open: [bool; 3],
    /// Every record that a reader could ever see committed.
    known: BTreeMap<i64, Row>,
    compacted_to: Option<Offset>,
    time: i64,
    count: u32,
}

impl World {
    async fn take(&mut self, step: &Step) {
        match step {
            Step::Write(producer, transactional, keys, codec) => {
                let producer = usize::from(*producer);
                self.count += 1;
                let values = keys.iter().map(|(_, has)| has.then(|| format!("value {}", self.count)));
                let write = Write {
                    keys: keys.iter().map(|(key, _)| (*key < 5).then(|| format!("key {key}"))).collect(),
                    values: values.collect(),
                    codec: Codec::from_id(*codec).expect("a codec"),
                    producer: (producer > 0)
                        .then(|| (i64::try_from(producer).expect("small"), self.sequences[producer])),
                    is_transactional: producer > 0 && (*transactional || self.open[producer]),
                    end: None,
                };
                self.open[producer] |= write.is_transactional;
                self.sequences[producer] += i32::try_from(keys.len()).expect("small");
                self.rig.append_durably(&batch_of(&write)).await;
            }
            Step::End(producer, is_committed) => {
                let write = Write {
                    end: Some(*is_committed),
                    producer: Some((i64::from(*producer), 0)),
                    ..super::keyed(&[])
                };
                self.open[usize::from(*producer)] = false;
                self.rig.append_durably(&batch_of(&write)).await;
            }
            Step::Roll => {
                self.rig.log.core.roll(Default::default());
                self.rig.settle().await;
            }
            Step::Compact(later) => {
                self.time += later;
                self.compact().await;
            }
        }
    }

    async fn compact(&mut self) {
        let before = committed(&self.rig).await;
        let ends = self.rig.log.core.ends();
        self.known.extend(before.iter().map(|row| (row.offset, row.clone())));
        let compaction = CompactionConfig::default();
        let to = self.rig.compact(compacted(), compaction, self.compacted_to, self.time).await;
        let to = to.expect("it can be compacted");
        let after = committed(&self.rig).await;
        assert_eq!(self.rig.log.core.ends(), ends);
        for row in &after {
            assert_eq!(self.known.get(&row.offset), Some(row), "no record changes, and none comes back");
        }
        // The newest value of each key is there; of a tombstone at least nothing older.
        let (before, now) = (last_values(&before), last_values(&after));
        for (key, value) in &before {
            let found = now.get(key);
            assert!(
                found == Some(value) || (value.is_none() && found.is_none()),
                "{key}: {value:?} {found:?}"
            );
        }
        assert!(now.keys().all(|key| before.contains_key(key)));
        let Some(to) = to else { return };
        self.compacted_to = Some(to);
        // Before its end each key is there once, and nothing without a key.
        let mut keys = BTreeSet::new();
        for row in after.iter().filter(|row| row.offset < to.0) {
            assert!(row.key.as_ref().is_some_and(|key| keys.insert(key)), "{row:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_sees_what_it_may_expect_of_a_compacted_log(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        on_machine(seed, async |machine| {
            let rig = Rig::fresh(machine, compacted()).await;
            let mut world = World {
                rig,
                sequences: [0; 3],
                open: [false; 3],
                known: BTreeMap::new(),
                compacted_to: None,
                time: NOW,
                count: 0,
            };
            for step in &steps {
                world.take(step).await;
            }
            world.compact().await;
            world.time += 10_000;
            world.compacted_to = None;
            world.compact().await;
            // What it has become is what a start finds.
            let before = committed(&world.rig).await;
            let sleeping = world.rig.hibernate().await;
            let rig = Rig::open(machine, compacted(), &sleeping).await.expect("it can be opened");
            assert_eq!(committed(&rig).await, before);
            drop(rig);
            let rig = Rig::after_crash(machine, compacted(), None).await.expect("it can be recovered");
            assert_eq!(committed(&rig).await, before);
        });
    }
}
