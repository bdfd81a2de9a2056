//! The one who writes to a partition of a compacted topic: one batch after another, overwriting and deleting keys.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::{BatchBuilder, Codec, Compression, NewRecord};
use ottla_protocol::types::{ProducerEpoch, ProducerId};
use ottla_runtime::Rng;

use super::committer::report;
use crate::client::{Client, VALUE_ID_HEADER, value_id_bytes};
use crate::history::{KeyedSend, TopicPartition, ValueId};
use crate::marks::Mark;
use crate::payload;
use crate::workload::{Phase, World};

/// How many keys a partition has.
pub(super) const KEYS: u64 = 12;

/// Adds a record with a key.
pub(super) fn push_keyed(
    builder: &mut BatchBuilder,
    timestamp: i64,
    to: TopicPartition,
    key: u32,
    value: ValueId,
    is_tombstone: bool,
) {
    let payload = payload::encode(value, to, 80);
    let id = value_id_bytes(value);
    let headers = [(VALUE_ID_HEADER, Some(id.as_slice()))];
    builder.push(NewRecord {
        timestamp,
        key: Some(&key.to_be_bytes()),
        value: Some(payload.as_slice()).filter(|_| !is_tombstone),
        headers: if is_tombstone { &headers } else { &[] },
    });
}

/// Writes to `to` until the run drains and everything is acknowledged.
pub(super) async fn write_keys(world: Arc<World>, to: TopicPartition, pause_max: Duration, mut rng: Rng) {
    let number = world.next_producer();
    let mut next_value = 0;
    let mut session: Option<(i64, i16)> = None;
    let mut sequence = 0;
    let mut client: Option<Client> = None;
    while world.phase() == Phase::Running {
        let Some(connected) = &client else {
            client = world.connect(&mut rng).await;
            continue;
        };
        let Some((id, epoch)) = session else {
            match connected.init_producer_id().await {
                Ok((0, id, epoch)) => {
                    session = Some((id, epoch));
                    sequence = 0;
                }
                Ok(_) => world.pause(Duration::from_millis(20)).await,
                Err(error) => {
                    report(&world, error);
                    client = None;
                }
            }
            continue;
        };
        let count = 1 + rng.below(5);
        let mut builder = BatchBuilder::new(Compression::of(Codec::None)).producer(
            ProducerId(id),
            ProducerEpoch(epoch),
            sequence,
        );
        sequence += i32::try_from(count).expect("a few");
        let timestamp = world.runtime.clock.wall().0;
        let first = {
            let mut history = world.history.lock();
            let invoked = history.tick();
            let first = history.keyed.len();
            for _ in 0..count {
                let value = ValueId { producer: number, number: next_value };
                next_value += 1;
                let (key, is_tombstone) = (rng.below(KEYS) as u32, rng.chance(1, 5));
                push_keyed(&mut builder, timestamp, to, key, value, is_tombstone);
                history.keyed.push(KeyedSend {
                    to,
                    key,
                    value,
                    is_tombstone,
                    transaction: None,
                    invoked,
                    acknowledged: None,
                });
            }
            first..history.keyed.len()
        };
        let batch = builder.build().expect("a small batch can be built").to_bytes();
        loop {
            let Some(connected) = &client else {
                client = world.connect(&mut rng).await;
                if world.phase() == Phase::Over {
                    return;
                }
                continue;
            };
            match connected.produce_keyed(to, batch.clone()).await {
                Ok((0, base_offset)) => {
                    let mut history = world.history.lock();
                    let at = history.tick();
                    for (index, offset) in first.zip(base_offset..).filter(|_| base_offset >= 0) {
                        history.keyed[index].acknowledged = Some((offset, at));
                    }
                    drop(history);
                    world.marks.hit(Mark::KeysWritten);
                    break;
                }
                Ok((code, _)) if ErrorCode::from_code(code).is_some_and(ErrorCode::is_retriable) => {
                    world.pause(Duration::from_millis(5 + rng.below(50))).await;
                }
                Ok((code, _)) => {
                    // Under `os` a power cut may have taken what came before it.
                    if !world.history.lock().coordinators_under_os {
                        let text = format!("a batch with keys got error {code}");
                        world.history.lock().unexpected(Some(to), text);
                    }
                    session = None;
                    break;
                }
                Err(error) => {
                    report(&world, error);
                    client = None;
                }
            }
        }
        world.pause(Duration::from_micros(rng.below(pause_max.as_micros() as u64 + 1))).await;
    }
}
