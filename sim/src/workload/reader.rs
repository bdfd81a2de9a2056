//! Somebody who reads partitions from wherever, over and over, waiting at their ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::Rng;

use super::{Phase, World, choose};
use crate::client::{CallError, Client, FetchFrom, Fetched};
use crate::history::{Moment, Poll, TopicPartition};
use crate::marks::Mark;

/// How many partitions one fetch asks for at most.
const PARTITIONS_MAX: u64 = 4;

/// Reads until the run is over.
pub(crate) async fn read(world: Arc<World>, number: u32, mut rng: Rng) {
    let mut positions: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    let mut client: Option<Client> = None;
    while world.phase() != Phase::Over {
        let Some(connected) = &client else {
            client = world.connect(&mut rng).await;
            continue;
        };
        let from = choose_partitions(&world, &mut positions, &mut rng);
        if from.is_empty() {
            world.pause(Duration::from_millis(20)).await;
            continue;
        }
        let wait_ms = i32::try_from(rng.below(300)).expect("small");
        let invoked = world.history.tick();
        let began = world.runtime.clock.now();
        let answer = tokio::select! {
            biased;
            answer = connected.fetch(&from, wait_ms) => answer,
            () = world.reach(Phase::Over) => return,
        };
        let fetched = match answer {
            Ok(fetched) => fetched,
            Err(error) => {
                if let CallError::Unreadable(text) = error {
                    world.history.lock().unexpected(None, format!("fetch: {text}"));
                }
                client = None;
                continue;
            }
        };
        let waited = world.runtime.clock.now().since(began) > Duration::from_millis(20);
        if waited && fetched.iter().any(|one| !one.batches.is_empty()) {
            world.marks.hit(Mark::LongPoll);
        }
        for one in fetched {
            let asked = from.iter().find(|asked| asked.of == one.of).map_or(-1, |asked| asked.offset);
            let reset = note(&world, connected, number, invoked, asked, &one);
            if let Some(end) = one.batches.last().map(|batch| batch.end()) {
                positions.insert(one.of, end);
            }
            if reset {
                world.marks.hit(Mark::OffsetOutOfRange);
                if let Some(start) = start_of(&world, connected, one.of).await {
                    positions.insert(one.of, start);
                }
            }
        }
        world.pause(Duration::from_micros(rng.below(30_000))).await;
    }
}

fn choose_partitions(
    world: &World,
    positions: &mut BTreeMap<TopicPartition, i64>,
    rng: &mut Rng,
) -> Vec<FetchFrom> {
    let live = world.live_partitions();
    let mut from: Vec<FetchFrom> = Vec::new();
    for _ in 0..=rng.below(PARTITIONS_MAX) {
        let Some(of) = choose(&live, rng) else { break };
        if from.iter().any(|known| known.of == of) {
            continue;
        }
        let position = positions.entry(of).or_insert(0);
        // Now and then somebody looks again at what was read long ago.
        if *position > 0 && rng.chance(1, 25) {
            *position = i64::try_from(rng.below(position.unsigned_abs())).expect("an offset");
        }
        let bytes_max = 1 + i32::try_from(rng.below(400_000)).expect("small");
        from.push(FetchFrom { of, offset: *position, bytes_max });
    }
    from
}

/// Puts an answer into the history. Says whether the offset was out of range.
fn note(world: &World, client: &Client, reader: u32, invoked: Moment, asked: i64, one: &Fetched) -> bool {
    let mut history = world.history.lock();
    let completed = history.tick();
    if let Some(fault) = &one.fault {
        history.unexpected(Some(one.of), format!("fetched damaged bytes: {fault}"));
    }
    let code = ErrorCode::from_code(one.code).unwrap_or(ErrorCode::UnknownServerError);
    match code {
        ErrorCode::None => {
            history.polls.push(Poll {
                reader,
                boot: client.boot(),
                of: one.of,
                invoked,
                completed,
                asked,
                log_start: one.log_start,
                high_watermark: one.high_watermark,
                batches: one.batches.clone(),
            });
            false
        }
        ErrorCode::OffsetOutOfRange => true,
        ErrorCode::UnknownTopicId | ErrorCode::UnknownTopicOrPartition | ErrorCode::KafkaStorageError => {
            false
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::LeaderNotAvailable => false,
        other => {
            history.unexpected(Some(one.of), format!("fetch got error {other}"));
            false
        }
    }
}

/// Where a partition begins, for a reader that has lost its place; nothing if nobody can say now.
async fn start_of(world: &World, client: &Client, of: TopicPartition) -> Option<i64> {
    let name = {
        let topics = world.topics.lock();
        let topic = topics.get(&of.topic)?;
        // The request goes by name, which is another topic's once this one is gone.
        (!topic.churns).then(|| topic.plan.name.clone())
    };
    let Some(name) = name else { return Some(0) };
    let listed = client.list_offset(&name, of.index, -2).await.ok()?;
    (listed.code == ErrorCode::None.code()).then_some(listed.offset)
}
