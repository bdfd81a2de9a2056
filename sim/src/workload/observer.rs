//! Somebody who asks for metadata, configs and offsets all the time, and now and then has records deleted where
//! retention takes them sooner or later anyway.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::Rng;

use super::{Phase, Topic, World, choose};
use crate::client::{CallError, Client};
use crate::history::{ConfigsSeen, Deletion, MetadataSeen, Poll, TopicPartition};
use crate::marks::Mark;

/// The reader's number in the history.
const OBSERVER: u32 = u32::MAX - 1;

/// Looks until the run is over.
pub(crate) async fn observe(world: Arc<World>, mut rng: Rng) {
    let mut client: Option<Client> = None;
    while world.phase() != Phase::Over {
        let Some(connected) = &client else {
            client = world.connect(&mut rng).await;
            continue;
        };
        let looked = tokio::select! {
            biased;
            looked = look(&world, connected, &mut rng) => looked,
            () = world.reach(Phase::Over) => return,
        };
        if let Err(error) = looked {
            if let CallError::Unreadable(text) = error {
                world.history.lock().unexpected(None, text);
            }
            client = None;
        }
        world.pause(Duration::from_millis(rng.below(150))).await;
    }
}

async fn look(world: &World, client: &Client, rng: &mut Rng) -> Result<(), CallError> {
    let invoked = world.history.tick();
    let topics = client.metadata().await?;
    {
        let mut history = world.history.lock();
        let completed = history.tick();
        history.metadata.push(MetadataSeen { boot: client.boot(), invoked, completed, topics });
    }
    let live: Vec<_> = world.live_partitions();
    let Some(of) = choose(&live, rng) else { return Ok(()) };
    let Some(topic) = world.topics.lock().get(&of.topic).cloned() else { return Ok(()) };
    look_at_configs(world, client, &topic).await?;
    if !topic.churns {
        let (start, end) = look_at_ends(world, client, &topic, of).await?;
        if topic.plan.configs.contains_key("retention.ms")
            && let Some(records) = start.zip(end).and_then(|(start, end)| u64::try_from(end - start).ok())
            && 0 < records
            && rng.chance(1, 4)
        {
            let before = end.unwrap_or(0) - i64::try_from(rng.below(records)).unwrap_or(0);
            delete_before(world, client, &topic, of, before).await?;
        }
    }
    Ok(())
}

async fn look_at_configs(world: &World, client: &Client, topic: &Topic) -> Result<(), CallError> {
    let invoked = world.history.tick();
    let name = topic.plan.name.clone();
    let described = client.describe_topic(&name).await?;
    let mut history = world.history.lock();
    let completed = history.tick();
    match ErrorCode::from_code(described.code) {
        Some(ErrorCode::None) => {
            history.configs.push(ConfigsSeen { invoked, completed, name, overrides: described.overrides });
        }
        Some(ErrorCode::UnknownTopicOrPartition) if topic.churns => {}
        _ => history.unexpected(None, format!("DescribeConfigs of {name} got error {}", described.code)),
    }
    Ok(())
}

async fn look_at_ends(
    world: &World,
    client: &Client,
    topic: &Topic,
    of: TopicPartition,
) -> Result<(Option<i64>, Option<i64>), CallError> {
    let invoked = world.history.tick();
    let start = client.list_offset(&topic.plan.name, of.index, -2).await?;
    let end = client.list_offset(&topic.plan.name, of.index, -1).await?;
    let mut history = world.history.lock();
    let completed = history.tick();
    let told = |code: i16, offset: i64| (code == ErrorCode::None.code()).then_some(offset);
    history.polls.push(Poll {
        reader: OBSERVER,
        boot: client.boot(),
        of,
        invoked,
        completed,
        asked: -1,
        log_start: told(start.code, start.offset),
        high_watermark: told(end.code, end.offset),
        batches: Vec::new(),
    });
    Ok((told(start.code, start.offset), told(end.code, end.offset)))
}

async fn delete_before(
    world: &World,
    client: &Client,
    topic: &Topic,
    of: TopicPartition,
    before: i64,
) -> Result<(), CallError> {
    let deleted = client.delete_records(&topic.plan.name, of.index, before).await?;
    let mut history = world.history.lock();
    let completed = history.tick();
    match ErrorCode::from_code(deleted.code) {
        Some(ErrorCode::None) if before <= deleted.offset => {
            history.deletions.push(Deletion { of, completed, log_start: deleted.offset });
            drop(history);
            world.marks.hit(Mark::RecordsDeleted);
        }
        // Under `os` a power cut may have taken what was there.
        Some(ErrorCode::OffsetOutOfRange) if !topic.plan.flushes() => {}
        Some(code) if code.is_retriable() => {}
        _ => {
            let text = format!("deleting before {before} got {deleted:?}");
            history.unexpected(Some(of), text);
        }
    }
    Ok(())
}
