//! `ottla bench produce`: batches that were built beforehand, as fast as it goes or at a rate.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use clap::Args;

use super::batches::{BuiltBatch, batch};
use super::control::Control;
use super::frames::{self, BuiltRequest};
use super::limits::{Limit, LimitFiles, LimitKind, RESERVED_STEP};
use super::load::{self, Answers, Lane, Pace, Until};
use super::options::{Acks, BatchArguments, LoadArguments, TargetArguments, TopicArguments};
use super::own_broker::Workspace;
use super::pages::WarmPages;
use super::progress::Progress;
use super::report::{self, SideBySide};
use super::rounds::{Contender, Round, Rounds, alternate};
use super::server::Resident;
use super::server_process::ServerProcess;
use super::topic::BenchTopic;

/// What `ottla bench produce` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "As fast as it goes, a latency counts from the sending of its batch; with --rate from the time at which the \
    batch was to be sent, so that a broker that stood still is charged with what had to wait."
)]
pub(crate) struct ProduceArguments {
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    topic: TopicArguments,
    #[command(flatten)]
    batch: BatchArguments,
    #[command(flatten)]
    load: LoadArguments,
    /// After each round one of the least that the same work costs on this machine: receive + append; for one request at
    /// a time echo + append; with --acks all receive + append + fdatasync
    #[arg(long)]
    against_limits: bool,
}

pub(crate) fn run(arguments: &ProduceArguments) -> Result<()> {
    report::of_measuring(&arguments.load.output, |progress| measure(arguments, progress))
}

fn measure(arguments: &ProduceArguments, progress: &Progress) -> Result<(String, serde_json::Value)> {
    let ProduceArguments { target, topic, batch: batch_arguments, load, against_limits } = arguments;
    let acks = batch_arguments.acks;
    let control = Control::connect(&target.bootstrap_server())?;
    let process = ServerProcess::find(target.server_pid, control.address());
    let built =
        batch(batch_arguments.batch_bytes, batch_arguments.record_size, batch_arguments.compression())?;
    let beside = if *against_limits { Some(Beside::start(arguments, progress)?) } else { None };

    let topic = BenchTopic::prepare(&control, topic, progress)?;
    let version = control.produce_version()?;
    let indices = topic.leaders.keys().copied();
    let requests = requests_by_partition(version, &topic.name, indices, acks, &built)?;
    let answers = if acks == Acks::None { Answers::None } else { Answers::Produced { version } };
    let shares = topic.shares(load.connections)?;
    let requests_of = |connection: usize| -> Vec<&BuiltRequest> {
        let partitions =
            shares.get(connection).map(|(_, partitions)| partitions.as_slice()).unwrap_or_default();
        partitions.iter().filter_map(|index| requests.get(index)).collect()
    };
    let lane = |connection: usize, address| Lane {
        address,
        requests: requests_of(connection),
        answers,
        listeners: Vec::new(),
    };
    let lanes: Vec<Lane<'_>> =
        shares.iter().enumerate().map(|(connection, (address, _))| lane(connection, *address)).collect();
    let pace = |until| Pace { in_flight: load.in_flight, rate: load.rate, until };
    progress.label("warming up");
    load::run(&lanes, pace(Until::Elapsed(load.warm_up)), progress)?;

    let pace = pace(Until::Elapsed(load.duration));
    let mut contenders = vec![Contender::new("the broker", || {
        progress.label("produce");
        Round::measure(process.id(), || load::run(&lanes, pace, progress))
    })];
    if let Some(Beside { limit, .. }) = &beside {
        contenders.push(Contender::new(limit.name(), || {
            limit.round(load.connections, requests_of, pace, progress)
        }));
    }
    let mut measured = alternate(load.rounds, &mut contenders)?.into_iter();
    drop(contenders);
    let broker = measured.next().context("the broker had its rounds")?;
    let least: Option<Rounds> = measured.next();
    let shown = SideBySide {
        what: describe(arguments, topic.leaders.len(), &built),
        broker: &broker,
        limit: beside.as_ref().map(|beside| beside.limit.name()).zip(least.as_ref()),
        process,
        resident: process.id().map(Resident::of).transpose()?,
        is_about_rate: acks == Acks::All,
    };
    Ok((shown.to_text(), shown.to_json()))
}

/// The limit beside the broker. Fields are dropped in this order.
struct Beside {
    limit: Limit,
    _warm: WarmPages,
    _workspace: Workspace,
}

impl Beside {
    fn start(arguments: &ProduceArguments, progress: &Progress) -> Result<Beside> {
        let load = &arguments.load;
        let kind = match arguments.batch.acks {
            Acks::All => LimitKind::GroupSync,
            Acks::Leader if load.connections * load.in_flight == 1 => LimitKind::EchoAppend,
            Acks::Leader | Acks::None => LimitKind::ReceiveAppend,
        };
        let workspace = Workspace::create(&load.output.directory)?;
        let warm = WarmPages::fill(workspace.path(), load.output.warm_memory, progress)?;
        let files = LimitFiles { bytes: RESERVED_STEP, answer_bytes: 0 };
        let limit = Limit::start(kind, &workspace.path().join("limit"), files)?;
        Ok(Beside { limit, _warm: warm, _workspace: workspace })
    }
}

/// One Produce request for each partition, with the same batch.
pub(crate) fn requests_by_partition(
    version: i16,
    topic: &str,
    partitions: impl IntoIterator<Item = i32>,
    acks: Acks,
    batch: &BuiltBatch,
) -> Result<BTreeMap<i32, BuiltRequest>> {
    let request = |index| -> Result<(i32, BuiltRequest)> {
        let frame = frames::produce(version, topic, &[index], acks.code(), &batch.bytes)?;
        let batch_bytes = batch.bytes.len() as u64;
        Ok((index, BuiltRequest { frame, batch_bytes, record_count: batch.record_count }))
    };
    partitions.into_iter().map(request).collect()
}

/// The load, in one line.
fn describe(arguments: &ProduceArguments, partitions: usize, built: &BuiltBatch) -> String {
    let LoadArguments { connections, in_flight, rate, duration, rounds, .. } = &arguments.load;
    let pace = rate.map_or("as fast as it goes".to_owned(), |rate| format!("{rate} requests/s"));
    format!(
        "produce: {partitions} partitions, batches of {} B with {} records of {} B ({}), acks {}, {connections} connections \
         with {in_flight} in flight, {pace}, {rounds} rounds of {duration:?}",
        built.bytes.len(),
        built.record_count,
        arguments.batch.record_size,
        arguments.batch.compression().codec(),
        arguments.batch.acks.code(),
    )
}
