//! `ottla bench commit`: how many OffsetCommit requests a broker takes, and how soon offsets are told after a start.
//!
//! Each connection is a client of its own that commits one offset, waits for the answer, and commits again: for a group of
//! its own, or all of them for one. `--fill` writes many offsets instead, and `--fetch` asks for them, and says when the
//! first answer for each of these groups was there: started together with a broker, that is how long its load takes.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use ottla_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::wire::Str;
use serde_json::{Value, json};

use super::control::{Control, resolve};
use super::frames;
use super::latency::Latencies;
use super::options::{LoadArguments, TargetArguments, TopicArguments};
use super::progress::Progress;
use super::report;
use super::topic::BenchTopic;
use super::wire::{Wire, decode, error_name};

const COMMIT: i16 = 7;
const FETCH: i16 = 8;
/// How long a broker that starts may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What `ottla bench commit` takes.
#[derive(Debug, Args)]
pub(crate) struct CommitArguments {
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    topic: TopicArguments,
    #[command(flatten)]
    load: LoadArguments,
    /// Groups that are committed for; the connections share them [default: as many as connections]
    #[arg(long, value_name = "N")]
    groups: Option<usize>,
    /// Write an offset of every partition for each group so many times, measuring nothing
    #[arg(long, value_name = "TIMES", conflicts_with = "fetch")]
    fill: Option<u32>,
    /// Ask for every offset of the groups, as soon as somebody listens, and say how long that took
    #[arg(long)]
    fetch: bool,
}

pub(crate) fn run(arguments: &CommitArguments) -> Result<()> {
    report::of_measuring(&arguments.load.output, |progress| match (arguments.fill, arguments.fetch) {
        (Some(times), _) => fill(arguments, times, progress),
        (None, true) => fetch(arguments),
        (None, false) => measure(arguments, progress),
    })
}

fn group(number: usize) -> Str {
    Str::from(format!("ottla-bench-{number}"))
}

fn group_count(arguments: &CommitArguments) -> usize {
    arguments.groups.unwrap_or(arguments.load.connections).max(1)
}

fn commit_request(group_id: Str, topic: &str, partitions: impl Iterator<Item = i32>) -> OffsetCommitRequest {
    let rows = partitions.map(|partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 1,
        committed_leader_epoch: -1,
        commit_timestamp: -1,
        committed_metadata: Some(Str::EMPTY),
    });
    let topic = OffsetCommitRequestTopic {
        name: Str::copy_of(topic),
        partitions: rows.collect(),
        ..OffsetCommitRequestTopic::default()
    };
    OffsetCommitRequest {
        group_id,
        generation_id_or_member_epoch: -1,
        retention_time_ms: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    }
}

/// Sends a commit until it is taken: a coordinator may have to be made first.
fn commit_at_last(wire: &mut Wire, request: &OffsetCommitRequest) -> Result<()> {
    let frame = frames::frame(request, COMMIT)?;
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        wire.send(&frame)?;
        match first_error(wire.receive()?)? {
            None => return Ok(()),
            Some(code) if is_passing(code) && Instant::now() < give_up_at => {
                thread::sleep(Duration::from_millis(20));
            }
            Some(code) => bail!("the broker answered {}", error_name(code)),
        }
    }
}

fn first_error(answer: &[u8]) -> Result<Option<i16>> {
    let answer = decode::<OffsetCommitRequest>(answer, COMMIT)?;
    let mut rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
    Ok(rows.find(|row| row.error_code != 0).map(|row| row.error_code))
}

fn is_passing(code: i16) -> bool {
    ErrorCode::from_code(code).is_some_and(|code| {
        matches!(
            code,
            ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::NotCoordinator
        )
    })
}

fn measure(arguments: &CommitArguments, progress: &Progress) -> Result<(String, Value)> {
    let control = Control::connect(&arguments.target.bootstrap_server())?;
    let topic = BenchTopic::prepare(&control, &arguments.topic, progress)?;
    let groups = group_count(arguments);
    let (warm_up, duration) = (arguments.load.warm_up, arguments.load.duration);
    let begin = Instant::now() + warm_up;
    let end = begin + duration;
    let lanes: Vec<Result<Latencies>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.load.connections)
            .map(|number| {
                let request = commit_request(group(number % groups), &topic.name, std::iter::once(0));
                let address = control.address();
                scope.spawn(move || commit_until(address, &request, begin, end))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    });
    let mut latencies = Latencies::default();
    let mut count = 0_u64;
    for lane in lanes {
        let lane = lane?;
        count += lane.count();
        latencies.add(&lane);
    }
    let rate = count as f64 / duration.as_secs_f64();
    let shown: Vec<String> =
        latencies.shown().iter().map(|(name, ms)| format!("{name} {} ms", report::number(*ms))).collect();
    let text = format!(
        "{} commits a second over {} connections, {groups} groups\n{}\n",
        report::number(rate),
        arguments.load.connections,
        shown.join(", ")
    );
    let json = json!({ "commits_per_second": rate, "groups": groups, "latency": latencies.to_json() });
    Ok((text, json))
}

fn commit_until(
    address: SocketAddr,
    request: &OffsetCommitRequest,
    begin: Instant,
    end: Instant,
) -> Result<Latencies> {
    let mut wire = Wire::connect(address)?;
    commit_at_last(&mut wire, request)?;
    let frame = frames::frame(request, COMMIT)?;
    let mut latencies = Latencies::default();
    loop {
        let sent = Instant::now();
        if end <= sent {
            return Ok(latencies);
        }
        wire.send(&frame)?;
        let error = first_error(wire.receive()?)?;
        ensure!(error.is_none(), "the broker answered {}", error_name(error.unwrap_or_default()));
        if begin <= sent {
            latencies.record(sent.elapsed());
        }
    }
}

fn fill(arguments: &CommitArguments, times: u32, progress: &Progress) -> Result<(String, Value)> {
    let control = Control::connect(&arguments.target.bootstrap_server())?;
    let topic = BenchTopic::prepare(&control, &arguments.topic, progress)?;
    let partitions: Vec<i32> = topic.leaders.keys().copied().collect();
    let groups = group_count(arguments);
    let mut wire = Wire::connect(control.address())?;
    for _ in 0..times {
        for number in 0..groups {
            commit_at_last(
                &mut wire,
                &commit_request(group(number), &topic.name, partitions.iter().copied()),
            )?;
        }
    }
    let offsets = groups * partitions.len();
    let text = format!("{offsets} offsets of {groups} groups, written {times} times\n");
    Ok((text, json!({ "offsets": offsets, "groups": groups, "times": times })))
}

fn fetch(arguments: &CommitArguments) -> Result<(String, Value)> {
    let address = resolve(&arguments.target.bootstrap_server())?;
    let began = Instant::now();
    let mut wire = loop {
        match Wire::connect(address) {
            Ok(wire) => break wire,
            Err(_) if began.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(error),
        }
    };
    let connected = began.elapsed();
    let mut offsets = 0;
    for number in 0..group_count(arguments) {
        offsets += fetch_at_last(&mut wire, number, &arguments.topic)?;
    }
    let (connected, took) = (connected.as_secs_f64(), began.elapsed().as_secs_f64());
    let text = format!(
        "{offsets} offsets, all of them told after {} s; somebody listened after {} s\n",
        report::number(took),
        report::number(connected)
    );
    Ok((text, json!({ "offsets": offsets, "seconds": took, "seconds_to_listen": connected })))
}

/// How many offsets the group has, once its coordinator tells.
fn fetch_at_last(wire: &mut Wire, number: usize, topic: &TopicArguments) -> Result<usize> {
    let asked = OffsetFetchRequestTopics {
        name: Str::copy_of(&topic.topic),
        partition_indexes: (0..topic.partitions).collect(),
        ..OffsetFetchRequestTopics::default()
    };
    let of_group = OffsetFetchRequestGroup {
        group_id: group(number),
        topics: Some(vec![asked]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest { groups: vec![of_group], ..OffsetFetchRequest::default() };
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        let answer = wire.call(&request, FETCH)?;
        let group = answer.groups.first().context("the group is answered")?;
        if group.error_code == 0 {
            let rows = group.topics.iter().flat_map(|topic| &topic.partitions);
            return Ok(rows.filter(|row| 0 <= row.committed_offset).count());
        }
        ensure!(
            is_passing(group.error_code) && Instant::now() < give_up_at,
            "the broker answered {}",
            error_name(group.error_code)
        );
        thread::sleep(Duration::from_millis(5));
    }
}
