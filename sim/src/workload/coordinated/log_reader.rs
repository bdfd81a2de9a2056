//! Reads logs with transactions and compaction from some offset up to their end, with either isolation.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::error_code::ErrorCode;
use ottla_runtime::Rng;

use super::Use;
use super::committer::{committed, report};
use crate::client::{CallError, Client};
use crate::history::{Isolation, LogRead, TopicPartition};
use crate::marks::Mark;
use crate::workload::{Phase, World, choose};

const OUT_OF_RANGE: &str = "its offset is out of range";

/// How often a read tries again where nothing comes, or an error does.
const ATTEMPTS_MAX: u32 = 60;

/// Reads here and there, and asks what groups have committed, until the run is over.
pub(super) async fn read_logs(world: Arc<World>, groups: Vec<String>, pause_max: Duration, mut rng: Rng) {
    let mut client: Option<Client> = None;
    while world.phase() != Phase::Over {
        let Some(connected) = &client else {
            client = world.connect(&mut rng).await;
            continue;
        };
        let done = tokio::select! {
            biased;
            done = look(&world, connected, &groups, &mut rng) => done,
            () = world.reach(Phase::Over) => return,
        };
        if let Err(error) = done {
            report(&world, error);
            client = None;
        }
        world.pause(Duration::from_micros(rng.below(pause_max.as_micros() as u64 + 1))).await;
    }
}

async fn look(world: &World, client: &Client, groups: &[String], rng: &mut Rng) -> Result<(), CallError> {
    if rng.chance(1, 3) && !groups.is_empty() {
        let group = &groups[usize::try_from(rng.below(groups.len() as u64)).expect("small")];
        let of = world.coordination.partitions(&[Use::Groups]);
        committed(world, client, group, &of).await?;
        return Ok(());
    }
    let partitions = world.coordination.partitions(&[Use::Transactions, Use::Keys, Use::TransactionalKeys]);
    let Some(of) = choose(&partitions, rng) else { return Ok(()) };
    let isolation = if rng.chance(3, 4) { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let compacted = world.coordination.is_compacted(of.topic);
    let known = world
        .history
        .lock()
        .log_reads
        .iter()
        .rev()
        .find(|read| read.of == of)
        .map(|read| read.high_watermark);
    let from = match known {
        Some(end) if end > 0 && !compacted => {
            let back = rng.below(end.unsigned_abs().min(40) + 1);
            end - i64::try_from(back).expect("small")
        }
        _ => 0,
    };
    match read_to_end(world, client, of, from, isolation, false).await? {
        Ok(read) => world.history.lock().log_reads.push(read),
        Err(text) if world.coordination.is_live(of.topic) && world.phase() == Phase::Running => {
            let mut history = world.history.lock();
            // Under `os` a power cut takes ends back.
            let lies_behind_the_end = history.coordinators_under_os && text == OUT_OF_RANGE;
            if !lies_behind_the_end {
                history.unexpected(Some(of), format!("read from {from}: {text}"));
            }
        }
        Err(_gone) => {}
    }
    Ok(())
}

/// Reads from an offset up to the end. The inner error says why it gets no further.
pub(super) async fn read_to_end(
    world: &World,
    client: &Client,
    of: TopicPartition,
    from: i64,
    isolation: Isolation,
    settled: bool,
) -> Result<Result<LogRead, String>, CallError> {
    let began = world.runtime.clock.now();
    let invoked = world.history.tick();
    let mut read = LogRead {
        boot: client.boot(),
        of,
        isolation,
        invoked,
        completed: invoked,
        took_ms: 0,
        from,
        log_start: 0,
        high_watermark: 0,
        last_stable_offset: 0,
        settled,
        aborted: Vec::new(),
        batches: Vec::new(),
    };
    let mut position = from;
    let mut attempts = 0;
    loop {
        let fetched = client.fetch_log(of, position, isolation).await?;
        if let Some(fault) = fetched.fault {
            world.history.lock().unexpected(Some(of), format!("fetched damaged bytes: {fault}"));
            return Ok(Err("damaged".to_owned()));
        }
        if fetched.code != 0 {
            attempts += 1;
            if attempts == ATTEMPTS_MAX || !world.coordination.is_live(of.topic) {
                return Ok(Err(format!("reading from {position} gets error {}", fetched.code)));
            }
            if fetched.code == ErrorCode::OffsetOutOfRange.code() {
                return Ok(Err(OUT_OF_RANGE.to_owned()));
            }
            world.pause(Duration::from_millis(50)).await;
            continue;
        }
        read.log_start = fetched.log_start;
        read.high_watermark = fetched.high_watermark;
        read.last_stable_offset = fetched.last_stable_offset;
        read.aborted.extend(fetched.aborted);
        let next = fetched.batches.last().map(|batch| batch.last_offset + 1);
        // A batch before the one that was asked for has been seen already, or wasn't asked for.
        read.batches.extend(fetched.batches.into_iter().filter(|batch| batch.last_offset >= position));
        let end = match isolation {
            Isolation::ReadCommitted => read.last_stable_offset,
            Isolation::ReadUncommitted => read.high_watermark,
        };
        match next {
            Some(next) if next > position => position = next,
            _ if position >= end => break,
            _ => {
                attempts += 1;
                if attempts == ATTEMPTS_MAX {
                    return Ok(Err(format!("reading gives nothing from {position}, the end is {end}")));
                }
                world.pause(Duration::from_millis(20)).await;
                continue;
            }
        }
        if position >= end {
            break;
        }
    }
    if isolation == Isolation::ReadCommitted && !read.aborted.is_empty() {
        world.marks.hit(Mark::AbortedListed);
    }
    if read
        .batches
        .iter()
        .zip(read.batches.iter().skip(1))
        .any(|(one, next)| one.last_offset + 1 < next.base_offset)
        || read.batches.iter().any(|batch| {
            let count = batch.last_offset + 1 - batch.base_offset;
            batch.marker.is_none() && (batch.records.len() as i64) < count
        })
    {
        world.marks.hit(Mark::Compacted);
    }
    read.completed = world.history.tick();
    read.took_ms = world.runtime.clock.now().since(began).as_millis() as u64;
    Ok(Ok(read))
}
