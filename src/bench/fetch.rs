//! `ottla bench fetch`: reads what was written beforehand, again and again, and throws it away.
//!
//! One pass that looks at everything finds out at which offsets fetches begin (batches of any size may lie there); the
//! measured ones ask for these, with requests built beforehand, and the receiver discards the answers.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use clap::Args;
use ottla_protocol::api::fetch::FetchRequest;
use ottla_protocol::record::{Batches, NextBatch};
use ottla_protocol::wire::Records;

use super::batches::batch;
use super::control::Control;
use super::frames::{self, BuiltRequest, FetchSize};
use super::limits::{Limit, LimitFiles, LimitKind, write_file};
use super::load::{self, Answers, Lane, Pace, Until};
use super::options::{Acks, BatchArguments, LoadArguments, TargetArguments, TopicArguments, bytes};
use super::own_broker::Workspace;
use super::pages::WarmPages;
use super::produce::requests_by_partition;
use super::progress::Progress;
use super::report::{self, SideBySide};
use super::rounds::{Contender, Round, Rounds, alternate};
use super::server::Resident;
use super::server_process::ServerProcess;
use super::topic::BenchTopic;
use super::wire::{Wire, decode, error_name};

/// What `ottla bench fetch` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "A topic that exists is read as it is, up to --data bytes; one that doesn't is created and filled."
)]
pub(crate) struct FetchArguments {
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    topic: TopicArguments,
    #[command(flatten)]
    batch: BatchArguments,
    /// How much a fetch asks for
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = bytes)]
    fetch_bytes: usize,
    /// How much there is to be read, over all partitions; it is read again and again
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = bytes)]
    data: usize,
    #[command(flatten)]
    load: LoadArguments,
    /// After each round one of a plain loop of sendfile
    #[arg(long)]
    against_limits: bool,
}

pub(crate) fn run(arguments: &FetchArguments) -> Result<()> {
    report::of_measuring(&arguments.load.output, |progress| measure(arguments, progress))
}

fn measure(arguments: &FetchArguments, progress: &Progress) -> Result<(String, serde_json::Value)> {
    let FetchArguments { target, topic, batch: batch_arguments, fetch_bytes, data, load, against_limits } =
        arguments;
    let control = Control::connect(&target.bootstrap_server())?;
    let process = ServerProcess::find(target.server_pid, control.address());
    let beside = if *against_limits { Some(Beside::start(arguments, progress)?) } else { None };
    let exists = control.leaders(&topic.topic)?.is_some();
    let topic = BenchTopic::prepare(&control, topic, progress)?;
    if !exists {
        let built =
            batch(batch_arguments.batch_bytes, batch_arguments.record_size, batch_arguments.compression())?;
        progress.label("filling the topic");
        let version = control.produce_version()?;
        for (index, leader) in &topic.leaders {
            let requests = requests_by_partition(version, &topic.name, [*index], Acks::Leader, &built)?;
            let count = (data / topic.leaders.len() / built.bytes.len()).max(1);
            let lane = Lane {
                address: *leader,
                requests: requests.values().collect(),
                answers: Answers::Produced { version },
                listeners: Vec::new(),
            };
            load::run(
                &[lane],
                Pace { in_flight: 20, rate: None, until: Until::Count(count as u64) },
                progress,
            )?;
        }
    }
    progress.label("reading once");
    let size = FetchSize { bytes_max: i32::try_from(*fetch_bytes)?, wait_ms: 500 };
    let mut plans = Vec::new();
    for (connection, (address, partitions)) in topic.shares(load.connections)?.into_iter().enumerate() {
        let mut plan = Plan::default();
        for partition in partitions {
            let place = Place { control: &control, topic: &topic.name, partition, leader: address };
            plan.add(place.plan(size, data / topic.leaders.len())?);
        }
        ensure!(!plan.requests.is_empty(), "there is nothing to be read for connection {connection}");
        plans.push((address, plan));
    }
    let lanes: Vec<Lane<'_>> = plans.iter().map(|(address, plan)| plan.lane(*address)).collect();
    let pace = |until| Pace { in_flight: load.in_flight, rate: load.rate, until };
    progress.label("warming up");
    load::run(&lanes, pace(Until::Elapsed(load.warm_up)), progress)?;

    let pace = pace(Until::Elapsed(load.duration));
    let mut contenders = vec![Contender::new("the broker", || {
        progress.label("fetch");
        Round::measure(process.id(), || load::run(&lanes, pace, progress))
    })];
    let (_, any_plan) = plans.first().context("there is a connection")?;
    if let Some(Beside { limit, .. }) = &beside {
        contenders.push(Contender::new(limit.name(), || {
            limit.round(load.connections, |_| any_plan.requests.iter().collect(), pace, progress)
        }));
    }
    let mut measured = alternate(load.rounds, &mut contenders)?.into_iter();
    drop(contenders);
    let broker = measured.next().context("the broker had its rounds")?;
    let least: Option<Rounds> = measured.next();
    let shown = SideBySide {
        what: format!(
            "fetch: {} partitions, fetches of {fetch_bytes} B, {} connections with {} in flight, {} rounds of {:?}; the receiver \
             discards",
            topic.leaders.len(),
            load.connections,
            load.in_flight,
            load.rounds,
            load.duration,
        ),
        broker: &broker,
        limit: beside.as_ref().map(|beside| beside.limit.name()).zip(least.as_ref()),
        process,
        resident: process.id().map(Resident::of).transpose()?,
        is_about_rate: false,
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
    fn start(arguments: &FetchArguments, progress: &Progress) -> Result<Beside> {
        let workspace = Workspace::create(&arguments.load.output.directory)?;
        let file = workspace.path().join("sent");
        let bytes = arguments.data.max(arguments.fetch_bytes) as u64;
        write_file(&file, bytes)?;
        let warm = WarmPages::fill(workspace.path(), arguments.load.output.warm_memory, progress)?;
        let files = LimitFiles { bytes, answer_bytes: arguments.fetch_bytes };
        let limit = Limit::start(LimitKind::SendFile, &file, files)?;
        Ok(Beside { limit, _warm: warm, _workspace: workspace })
    }
}

/// Fetches built beforehand.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) requests: Vec<BuiltRequest>,
    /// The shortest answer's records.
    bytes_min: usize,
}

impl Plan {
    fn add(&mut self, other: Plan) {
        let both_have_some = !self.requests.is_empty() && !other.requests.is_empty();
        let (mine, theirs) = (self.bytes_min, other.bytes_min);
        self.bytes_min = if both_have_some { mine.min(theirs) } else { mine.max(theirs) };
        self.requests.extend(other.requests);
    }

    pub(crate) fn lane(&self, address: SocketAddr) -> Lane<'_> {
        let requests = self.requests.iter().collect();
        Lane {
            address,
            requests,
            answers: Answers::Discarded { bytes_min: self.bytes_min },
            listeners: Vec::new(),
        }
    }
}

/// A partition and whom to ask for it.
pub(crate) struct Place<'a> {
    pub(crate) control: &'a Control,
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) leader: SocketAddr,
}

impl Place<'_> {
    /// Reads up to `bytes` from the partition's beginning, and makes of it the fetches that read the same again. A last
    /// one that would find little is left out.
    pub(crate) fn plan(&self, size: FetchSize, bytes: usize) -> Result<Plan> {
        let version = self.control.fetch_version()?;
        let (mut offset, end) = self.control.offsets(self.topic, self.partition, self.leader)?;
        let mut wire = Wire::connect(self.leader)?;
        let (mut plan, mut sizes, mut read) = (Plan::default(), Vec::new(), 0);
        while offset < end && read < bytes {
            let frame = frames::fetch(version, self.topic, &[(self.partition, offset)], size)?;
            wire.send(&frame)?;
            let records =
                records_in(wire.receive()?, version)?.pop().map(|(_, records)| records).unwrap_or_default();
            let found =
                look_through(&records).context("a fetch brought no whole batch: use larger --fetch-bytes")?;
            ensure!(offset < found.next_offset, "a fetch from {offset} brought nothing new");
            offset = found.next_offset;
            read += records.len();
            sizes.push(records.len());
            plan.requests.push(BuiltRequest { frame, batch_bytes: 0, record_count: found.record_count });
        }
        let is_short = |last: usize| sizes.first().is_some_and(|first| last < *first);
        if sizes.len() > 1 && sizes.last().copied().is_some_and(is_short) {
            sizes.pop();
            plan.requests.pop();
        }
        plan.bytes_min = sizes.into_iter().min().unwrap_or(0);
        Ok(plan)
    }
}

/// What lies in the records of an answer.
pub(crate) struct Found {
    /// Behind the last whole batch.
    pub(crate) next_offset: i64,
    pub(crate) record_count: u64,
    pub(crate) batch_count: usize,
}

/// Walks over the whole batches; none if there isn't one.
pub(crate) fn look_through(records: &[u8]) -> Option<Found> {
    let mut batches = Batches::new(records, 0);
    let mut found: Option<Found> = None;
    while let NextBatch::Batch(batch) = batches.next_batch() {
        let before = found.unwrap_or(Found { next_offset: 0, record_count: 0, batch_count: 0 });
        found = Some(Found {
            next_offset: batch.header.next_offset().0,
            record_count: before.record_count + u64::try_from(batch.header.record_count).unwrap_or(0),
            batch_count: before.batch_count + 1,
        });
    }
    found
}

/// The records of each partition in an answer. An error in it is one here.
pub(crate) fn records_in(answer: &[u8], version: i16) -> Result<Vec<(i32, Bytes)>> {
    let answer = decode::<FetchRequest>(answer, version)?;
    ensure!(answer.error_code == 0, "Fetch: {}", error_name(answer.error_code));
    let mut found = Vec::new();
    for row in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
        let index = row.partition_index;
        ensure!(row.error_code == 0, "partition {index} answered {}", error_name(row.error_code));
        match row.records {
            Records::Bytes(bytes) => found.push((index, bytes)),
            Records::Null => found.push((index, Bytes::new())),
            Records::External { .. } => bail!("decoding never gives this"),
        }
    }
    Ok(found)
}
