//! What producing costs: large batches beside receive + append, group commit beside the same with nothing else.

use std::time::Duration;

use anyhow::Result;
use ottla_protocol::record::Compression;

use super::subject::{Production, Setting, TOPIC};
use super::{Figure, Target};
use crate::bench::batches::batch;
use crate::bench::control::{Control, NewTopic};
use crate::bench::limits::programs::ANSWER_VERSION;
use crate::bench::limits::{LimitFiles, LimitKind, RESERVED_STEP};
use crate::bench::load::Until;
use crate::bench::options::Acks;
use crate::bench::report::number;
use crate::bench::rounds::{Contender, Round, Rounds, alternate};
use crate::bench::server::Cpu;

/// What a round of large batches writes.
pub(crate) const ROUND_BYTES: usize = 800_000_000;

const APPENDING: LimitFiles = LimitFiles { bytes: RESERVED_STEP, answer_bytes: 0 };

/// Batches of 64 KiB under `os`: CPU beside receiving the same bytes and appending them.
pub(crate) fn large_batches(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let cases =
        [("12 partitions", 12, 1024, 0.12), ("1 partition", 1, 1024, 0.12), ("12 partitions", 12, 100, 0.35)];
    for (what, partitions, record_bytes, user_most) in cases {
        let batch = batch(64 * 1024, record_bytes, Compression::NONE)?;
        let production = Production {
            partitions,
            batch: &batch,
            acks: Acks::Leader,
            connections: 4,
            in_flight: 5,
            until: Production::count_for(ROUND_BYTES, 4, &batch),
        };
        let (ours, least) = beside_receive_append(setting, production)?;
        figures.push(Figure {
            section: "produce",
            name: format!("produce, {what}, {record_bytes} B records: CPU over receive + append"),
            value: ours.ratio(&least, |round| round.cpu_per_gigabyte().total),
            target: (record_bytes == 1024).then_some(Target::AtMost(1.5)),
            detail: format!("{} | {}", cpu_and_rate(&ours), cpu_and_rate(&least)),
        });
        figures.push(Figure {
            section: "produce",
            name: format!("produce, {what}, {record_bytes} B records: user CPU s/GB"),
            value: ours.middle(|round| round.cpu_per_gigabyte().user),
            target: Some(Target::AtMost(user_most)),
            detail: "64 KiB batches, acks=1, os, 4 connections with 5 in flight".to_owned(),
        });
    }
    Ok(figures)
}

fn beside_receive_append(setting: &Setting<'_>, production: Production<'_>) -> Result<(Rounds, Rounds)> {
    let limit = setting.limit(LimitKind::ReceiveAppend, APPENDING)?;
    let requests = production.requests(ANSWER_VERSION)?;
    let mut contenders = [
        Contender::new("ottla", || production.round_on_own(setting, "os")),
        Contender::new(limit.name(), || {
            let share = |connection| production.share(&requests, connection);
            limit.round(production.connections, share, production.pace(), setting.progress)
        }),
    ];
    Ok(pair(alternate(setting.rounds, &mut contenders)?))
}

/// 64 connections that each wait for a sync that covers their batch of 16 KiB, in one partition.
pub(crate) fn group_commit(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let batch = batch(16 * 1024, 1024, Compression::NONE)?;
    let production = Production {
        partitions: 1,
        batch: &batch,
        acks: Acks::All,
        connections: 64,
        in_flight: 1,
        until: Until::Elapsed(Duration::from_secs(1)),
    };
    let (ours, least) = beside(setting, &production, LimitKind::GroupSync, "group")?;
    let side = |rounds: &Rounds| {
        let acks = rounds.median(Round::requests_per_second);
        let p99 = rounds.median(|round| round.done.latencies.quantile_ms(0.99));
        let micros = rounds.median(|round| round.cpu_micros_per_request().total);
        format!("{} acks/s, p99 {} ms, {} us CPU", number(acks), number(p99), number(micros))
    };
    Ok(vec![Figure {
        section: "group",
        name: "group commit, 16 KiB, 64 connections: acks/s over receive + append + fdatasync".to_owned(),
        value: ours.ratio(&least, Round::requests_per_second),
        target: Some(Target::AtLeast(0.6)),
        detail: format!("{} | {}", side(&ours), side(&least)),
    }])
}

/// Rounds of one broker, which goes on, in turn with those of a limit that takes the same requests.
pub(crate) fn beside(
    setting: &Setting<'_>,
    production: &Production<'_>,
    kind: LimitKind,
    policy: &str,
) -> Result<(Rounds, Rounds)> {
    let broker = setting.broker(policy)?;
    let control = Control::connect(&broker.address.to_string())?;
    control.create_topic(&NewTopic {
        name: TOPIC,
        partitions: production.partitions,
        ..NewTopic::default()
    })?;
    let limit = setting.limit(kind, APPENDING)?;
    let requests = production.requests(ANSWER_VERSION)?;
    let mut contenders = [
        Contender::new("ottla", || {
            setting.label("ottla");
            Round::measure(Some(broker.id()), || {
                production.run(&control, broker.address, production.pace(), setting.progress)
            })
        }),
        Contender::new(limit.name(), || {
            let share = |connection| production.share(&requests, connection);
            limit.round(production.connections, share, production.pace(), setting.progress)
        }),
    ];
    let measured = alternate(setting.rounds, &mut contenders)?;
    setting.note_memory(&broker)?;
    Ok(pair(measured))
}

/// Two contenders' rounds.
pub(crate) fn pair(rounds: Vec<Rounds>) -> (Rounds, Rounds) {
    let mut rounds = rounds.into_iter();
    (rounds.next().unwrap_or_default(), rounds.next().unwrap_or_default())
}

/// The CPU of a contender, user + system, and how quick it was.
pub(crate) fn cpu_and_rate(rounds: &Rounds) -> String {
    let cpu = |of: fn(Cpu) -> f64| number(rounds.middle(|round| of(round.cpu_per_gigabyte())));
    let rate = number(rounds.median(Round::megabytes_per_second));
    format!("{} + {} s/GB, {rate} MB/s", cpu(|cpu| cpu.user), cpu(|cpu| cpu.system))
}
