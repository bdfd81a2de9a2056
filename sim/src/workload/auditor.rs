//! Reads partitions whole while nobody writes to them.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::Rng;

use super::World;
use crate::client::{CallError, Client, FetchFrom, Fetched};
use crate::history::{Audit, Poll, TopicPartition};

/// The reader's number in the history.
const AUDITOR: u32 = u32::MAX;

/// Reads each partition whole, and puts what was found into the history. Error: the connection was lost, or a partition
/// does not get read; the text says more. Partitions that are deleted meanwhile are left out.
pub(crate) async fn audit(
    world: &World,
    partitions: Vec<TopicPartition>,
    settled: bool,
    rng: &mut Rng,
) -> Result<(), String> {
    let Some(client) = world.connect(rng).await else { return Err("the run is over".to_owned()) };
    for of in partitions {
        if let Some(audit) = read_whole(world, &client, of, settled).await? {
            world.history.lock().audits.push(audit);
        }
    }
    Ok(())
}

async fn read_whole(
    world: &World,
    client: &Client,
    of: TopicPartition,
    settled: bool,
) -> Result<Option<Audit>, String> {
    let invoked = world.history.tick();
    let mut audit = Audit {
        boot: client.boot(),
        of,
        invoked,
        log_start: 0,
        end: 0,
        settled,
        values: BTreeMap::new(),
        bytes: 0,
    };
    let mut position = 0;
    let mut attempts = 0;
    loop {
        let asked = world.history.tick();
        let from = FetchFrom { of, offset: position, bytes_max: 1024 * 1024 };
        let fetched = client.fetch(&[from], 0).await;
        let fetched = fetched.map_err(|error: CallError| format!("{of} from {position}: {error}"))?;
        let Some(one) = fetched.into_iter().next() else { return Err(format!("{of}: no answer")) };
        match ErrorCode::from_code(one.code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::OffsetOutOfRange) if attempts < 50 => {
                attempts += 1;
                position = start_of(world, client, of).await?;
                audit.values.clear();
                audit.bytes = 0;
                continue;
            }
            _ if !world.is_live(of.topic) => return Ok(None),
            _ if attempts < 50 => {
                attempts += 1;
                world.pause(Duration::from_millis(100)).await;
                continue;
            }
            _ => return Err(format!("{of} from {position}: error {}", one.code)),
        }
        let end = one.high_watermark.ok_or_else(|| format!("{of}: no high watermark"))?;
        if audit.values.is_empty() {
            audit.log_start = position;
        }
        audit.end = end;
        let read_to = take(&mut audit, &one);
        note(world, client, asked, position, one);
        match read_to {
            Some(next) if next > position => position = next,
            _ if position >= end => return Ok(Some(audit)),
            _ if attempts < 50 => {
                attempts += 1;
                world.pause(Duration::from_millis(100)).await;
            }
            _ => return Err(format!("{of} gives nothing from {position}, and ends at {end}")),
        }
    }
}

/// Takes over what was read; the offset behind it.
fn take(audit: &mut Audit, one: &Fetched) -> Option<i64> {
    for batch in &one.batches {
        for (offset, value) in (batch.base_offset..).zip(&batch.records) {
            if let Ok(value) = value {
                audit.values.insert(offset, *value);
            }
        }
    }
    audit.bytes += one.bytes;
    one.batches.last().map(|batch| batch.end())
}

fn note(world: &World, client: &Client, invoked: crate::history::Moment, asked: i64, one: Fetched) {
    let mut history = world.history.lock();
    if let Some(fault) = one.fault {
        history.unexpected(Some(one.of), format!("fetched damaged bytes: {fault}"));
    }
    let completed = history.tick();
    history.polls.push(Poll {
        reader: AUDITOR,
        boot: client.boot(),
        of: one.of,
        invoked,
        completed,
        asked,
        log_start: one.log_start,
        high_watermark: one.high_watermark,
        batches: one.batches,
    });
}

async fn start_of(world: &World, client: &Client, of: TopicPartition) -> Result<i64, String> {
    let name = world.topics.lock().get(&of.topic).map(|topic| topic.plan.name.clone());
    let name = name.ok_or_else(|| format!("{of} is no topic of ours"))?;
    let listed = client.list_offset(&name, of.index, -2).await.map_err(|error| error.to_string())?;
    if listed.code == ErrorCode::None.code() {
        return Ok(listed.offset);
    }
    Err(format!("{of}: ListOffsets got error {}", listed.code))
}
