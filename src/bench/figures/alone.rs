//! One request at a time: what it costs, and how long it takes when it waits for the disk.

use anyhow::Result;
use ottla_protocol::record::Compression;

use super::produced::{beside, pair};
use super::subject::{Production, Setting, TOPIC};
use super::{Figure, Target};
use crate::bench::batches::batch;
use crate::bench::control::{Control, NewTopic};
use crate::bench::limits::{LimitKind, raw_syncs};
use crate::bench::load::Until;
use crate::bench::options::Acks;
use crate::bench::report::number;
use crate::bench::rounds::{Contender, Round, Rounds, alternate};

/// One acks=1 produce of 1 KiB at a time, beside echo + append.
pub(crate) fn one_at_a_time(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    const REQUESTS: u64 = 10_000;
    let batch = batch(1100, 1024, Compression::NONE)?;
    let production = Production {
        partitions: 1,
        batch: &batch,
        acks: Acks::Leader,
        connections: 1,
        in_flight: 1,
        until: Until::Count(REQUESTS),
    };
    let (ours, least) = beside(setting, &production, LimitKind::EchoAppend, "os")?;
    let side = |rounds: &Rounds| {
        let cpu = rounds.median(|round| round.cpu_micros_per_request().total);
        format!("{} us CPU, p50 {} ms", number(cpu), number(p50(rounds)))
    };
    Ok(vec![Figure {
        section: "single",
        name: "one acks=1 produce of 1 KiB at a time: CPU over echo + append".to_owned(),
        value: ours.ratio(&least, |round| round.cpu_micros_per_request().total),
        target: Some(Target::AtMost(1.5)),
        detail: format!("{} | {}", side(&ours), side(&least)),
    }])
}

/// acks=all with one request in flight, beside one raw fdatasync.
pub(crate) fn sync_latency(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    /// Short rounds and many of them, so that both find the disk in the same state.
    const REQUESTS: u64 = 200;
    const ROUNDS_EACH: usize = 5;
    let batch = batch(16 * 1024, 1024, Compression::NONE)?;
    let production = Production {
        partitions: 1,
        batch: &batch,
        acks: Acks::All,
        connections: 1,
        in_flight: 1,
        until: Until::Count(REQUESTS),
    };
    let broker = setting.broker("group")?;
    let control = Control::connect(&broker.address.to_string())?;
    control.create_topic(&NewTopic { name: TOPIC, partitions: 1, ..NewTopic::default() })?;
    let synced = setting.file("synced");
    let mut contenders = [
        Contender::new("ottla", || {
            setting.label("ottla");
            Round::measure(Some(broker.id()), || {
                production.run(&control, broker.address, production.pace(), setting.progress)
            })
        }),
        Contender::new("fdatasync", || raw_syncs(&synced, &batch.bytes, production.until, setting.progress)),
    ];
    let (ours, raw) = pair(alternate(setting.rounds * ROUNDS_EACH, &mut contenders)?);
    drop(contenders);
    setting.note_memory(&broker)?;
    Ok(vec![Figure {
        section: "latency",
        name: "acks=all, 16 KiB, one in flight: p50 ms above one raw fdatasync".to_owned(),
        value: ours.difference(&raw, |round| round.done.latencies.quantile_ms(0.5)),
        target: Some(Target::AtMost(0.15)),
        detail: format!("p50 {} ms | {} ms", number(p50(&ours)), number(p50(&raw))),
    }])
}

fn p50(rounds: &Rounds) -> f64 {
    rounds.median(|round| round.done.latencies.quantile_ms(0.5))
}
