//! What fetching costs: large batches beside a plain sendfile, many partitions in one fetch, tiny batches.

use std::net::SocketAddr;

use anyhow::Result;
use ottla_protocol::record::Compression;

use super::produced::{cpu_and_rate, pair};
use super::subject::{Production, Setting, TOPIC};
use super::{Figure, Target};
use crate::bench::batches::{BuiltBatch, batch};
use crate::bench::control::{Control, NewTopic};
use crate::bench::fetch::{Place, Plan};
use crate::bench::frames::{self, BuiltRequest, FetchSize};
use crate::bench::limits::{LimitFiles, LimitKind, write_file};
use crate::bench::load::{self, Answers, Lane, Pace, Until};
use crate::bench::options::Acks;
use crate::bench::own_broker::OwnBroker;
use crate::bench::report::number;
use crate::bench::rounds::{Contender, Round, alternate};
use crate::bench::wire::Wire;

const MIB: usize = 1 << 20;

/// What a fetch asks for.
const SIZE: FetchSize = FetchSize { bytes_max: MIB as i32, wait_ms: 500 };

/// What there is to be read, again and again.
pub(crate) const LOG_BYTES: usize = 512 * MIB;
const TINY_LOG_BYTES: usize = 32 * MIB;

/// How many fetches of a MiB a round has.
pub(crate) const ROUND_FETCHES: u64 = 1024;

/// Fetches of 1 MiB, beside a plain loop of sendfile.
pub(crate) fn large_batches(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let broker = setting.broker("os")?;
    let control = Control::connect(&broker.address.to_string())?;
    let large = batch(64 * 1024, 1024, Compression::NONE)?;
    let (_, plan) = fill_and_plan(setting, &control, &large, LOG_BYTES)?;
    let sent = setting.file("limit");
    write_file(&sent, LOG_BYTES as u64)?;
    let files = LimitFiles { bytes: LOG_BYTES as u64, answer_bytes: MIB };
    let limit = setting.limit(LimitKind::SendFile, files)?;
    let pace = one_at_a_time(ROUND_FETCHES);
    let mut contenders = [
        Contender::new("ottla", || fetch_round(setting, &broker, &plan, pace)),
        Contender::new(limit.name(), || {
            limit.round(1, |_| plan.requests.iter().collect(), pace, setting.progress)
        }),
    ];
    let (ours, least) = pair(alternate(setting.rounds, &mut contenders)?);
    drop(contenders);
    setting.note_memory(&broker)?;
    std::fs::remove_file(sent)?;
    Ok(vec![Figure {
        section: "fetch",
        name: "fetch of 1 MiB of 64 KiB batches: CPU over header + sendfile".to_owned(),
        value: ours.ratio(&least, |round| round.cpu_per_gigabyte().total),
        target: Some(Target::AtMost(1.5)),
        detail: format!("{} | {}", cpu_and_rate(&ours), cpu_and_rate(&least)),
    }])
}

/// 1,000 partitions with 200 B each in one fetch, without a session.
pub(crate) fn many_partitions(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    const PARTITIONS: u16 = 1000;
    const BATCH_BYTES: usize = 200;
    const FETCHES: u64 = 200;
    let broker = setting.broker("os")?;
    let control = Control::connect(&broker.address.to_string())?;
    let topic = NewTopic { name: TOPIC, partitions: i32::from(PARTITIONS), ..NewTopic::default() };
    let partitions: Vec<i32> = control.create_topic(&topic)?.into_keys().collect();
    let small = batch(BATCH_BYTES, 50, Compression::NONE)?;
    let (version, mut wire) = (control.produce_version()?, Wire::connect(broker.address)?);
    wire.send(&frames::produce(version, TOPIC, &partitions, Acks::Leader.code(), &small.bytes)?)?;
    wire.receive_produced(version)?;
    let places: Vec<(i32, i64)> = partitions.iter().map(|index| (*index, 0)).collect();
    let frame = frames::fetch(control.fetch_version()?, TOPIC, &places, SIZE)?;
    let request = BuiltRequest { frame, batch_bytes: 0, record_count: u64::from(PARTITIONS) };
    let lane = Lane {
        address: broker.address,
        requests: vec![&request],
        answers: Answers::Discarded { bytes_min: BATCH_BYTES * usize::from(PARTITIONS) },
        listeners: Vec::new(),
    };
    let mut contenders = [Contender::new("ottla", || {
        setting.label("ottla");
        let lanes = std::slice::from_ref(&lane);
        Round::measure(Some(broker.id()), || load::run(lanes, one_at_a_time(FETCHES), setting.progress))
    })];
    let (ours, _) = pair(alternate(setting.rounds, &mut contenders)?);
    drop(contenders);
    setting.note_memory(&broker)?;
    Ok(vec![Figure {
        section: "many",
        name: "1,000 partitions with 200 B each in one fetch: CPU us each".to_owned(),
        value: ours.median(|round| round.cpu_micros_per_request().total / f64::from(PARTITIONS)),
        target: Some(Target::AtMost(3.0)),
        detail: format!("{} fetches/s", number(ours.median(Round::requests_per_second))),
    }])
}

/// Every batch has one record of 100 B, beside large batches from a broker in the same state.
pub(crate) fn tiny_batches(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let (large, tiny) = (batch(64 * 1024, 1024, Compression::NONE)?, batch(0, 100, Compression::NONE)?);
    let large_broker = setting.broker("os")?;
    let control = Control::connect(&large_broker.address.to_string())?;
    let (_, large_plan) = fill_and_plan(setting, &control, &large, LOG_BYTES)?;
    let directory = setting.file("tiny");
    std::fs::create_dir(&directory)?;
    let tiny_broker = setting.broker_in(&directory, "os")?;
    let control = Control::connect(&tiny_broker.address.to_string())?;
    let (_, tiny_plan) = fill_and_plan(setting, &control, &tiny, TINY_LOG_BYTES)?;
    let pace = one_at_a_time(ROUND_FETCHES / 2);
    let mut contenders = [
        Contender::new("tiny batches", || fetch_round(setting, &tiny_broker, &tiny_plan, pace)),
        Contender::new("large batches", || fetch_round(setting, &large_broker, &large_plan, pace)),
    ];
    let (ours, of_large) = pair(alternate(setting.rounds, &mut contenders)?);
    drop(contenders);
    setting.note_memory(&tiny_broker)?;
    Ok(vec![Figure {
        section: "tiny",
        name: "fetch of batches of one 100 B record: CPU over that of 64 KiB batches".to_owned(),
        value: ours.ratio(&of_large, |round| round.cpu_per_gigabyte().total),
        target: Some(Target::AtMost(3.0)),
        detail: format!("{} | {}", cpu_and_rate(&ours), cpu_and_rate(&of_large)),
    }])
}

/// So many requests, each after the answer to the one before.
pub(crate) fn one_at_a_time(count: u64) -> Pace {
    Pace { in_flight: 1, rate: None, until: Until::Count(count) }
}

fn fetch_round(setting: &Setting<'_>, broker: &OwnBroker, plan: &Plan, pace: Pace) -> Result<Round> {
    setting.label("ottla");
    Round::measure(Some(broker.id()), || load::run(&[plan.lane(broker.address)], pace, setting.progress))
}

/// Makes the topic, writes `bytes` to it, and plans how to read them. Besides: where its leader is.
pub(crate) fn fill_and_plan(
    setting: &Setting<'_>,
    control: &Control,
    batch: &BuiltBatch,
    bytes: usize,
) -> Result<(SocketAddr, Plan)> {
    let leaders = control.create_topic(&NewTopic { name: TOPIC, partitions: 1, ..NewTopic::default() })?;
    let leader = leaders.get(&0).copied().unwrap_or(control.address());
    setting.label("filling");
    let filling = Production {
        partitions: 1,
        batch,
        acks: Acks::Leader,
        connections: 1,
        in_flight: 50,
        until: Production::count_for(bytes, 1, batch),
    };
    filling.run(control, leader, filling.pace(), setting.progress)?;
    Ok((leader, Place { control, topic: TOPIC, partition: 0, leader }.plan(SIZE, bytes)?))
}
