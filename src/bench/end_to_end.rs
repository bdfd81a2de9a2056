//! `ottla bench end-to-end`: how long a batch takes from a producer to a consumer that waits for it.
//!
//! Pairs of a producer and a consumer share out the partitions. What a partition has is in the order in which its
//! one producer sent it, so the n-th batch that is read is the n-th that was sent, and nothing has to be written into it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;

use super::batches::batch;
use super::control::Control;
use super::fetch::{look_through, records_in};
use super::frames::{self, BuiltRequest, FetchSize};
use super::load::{self, Answers, Done, Lane, Pace, Until};
use super::options::{Acks, BatchArguments, LoadArguments, TargetArguments, TopicArguments};
use super::produce::requests_by_partition;
use super::progress::Progress;
use super::report::{self, SideBySide};
use super::rounds::{Round, Rounds};
use super::server::Resident;
use super::server_process::ServerProcess;
use super::topic::BenchTopic;
use super::wire::Wire;

/// How long a consumer waits for what was sent, once nothing more is.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a fetch asks for.
const SIZE: FetchSize = FetchSize { bytes_max: 1 << 20, wait_ms: 200 };

/// What `ottla bench end-to-end` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "A latency counts from the sending of its batch (with --rate from the time at which it was to be sent) until a \
    consumer has it. Each of --connections is a pair of a producer and a consumer. Nobody else may write to the topic."
)]
pub(crate) struct EndToEndArguments {
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    topic: TopicArguments,
    #[command(flatten)]
    batch: BatchArguments,
    #[command(flatten)]
    load: LoadArguments,
}

pub(crate) fn run(arguments: &EndToEndArguments) -> Result<()> {
    report::of_measuring(&arguments.load.output, |progress| measure(arguments, progress))
}

fn measure(arguments: &EndToEndArguments, progress: &Progress) -> Result<(String, serde_json::Value)> {
    let EndToEndArguments { target, topic, batch: batch_arguments, load } = arguments;
    let acks = batch_arguments.acks;
    let control = Control::connect(&target.bootstrap_server())?;
    let process = ServerProcess::find(target.server_pid, control.address());
    let built =
        batch(batch_arguments.batch_bytes, batch_arguments.record_size, batch_arguments.compression())?;
    let topic = BenchTopic::prepare(&control, topic, progress)?;
    let version = control.produce_version()?;
    let indices = topic.leaders.keys().copied();
    let run = Run {
        control: &control,
        topic: &topic,
        requests: requests_by_partition(version, &topic.name, indices, acks, &built)?,
        answers: if acks == Acks::None { Answers::None } else { Answers::Produced { version } },
        pairs: pairs_of(&topic, load.connections),
        progress,
    };
    let pace = |time| Pace { in_flight: load.in_flight, rate: load.rate, until: Until::Elapsed(time) };
    progress.label("warming up");
    run.once(pace(load.warm_up))?;
    progress.label("end to end");
    let mut rounds = Rounds::default();
    for _ in 0..load.rounds {
        rounds.0.push(Round::measure(process.id(), || run.once(pace(load.duration)))?);
    }
    let shown = SideBySide {
        what: format!(
            "end to end: {} partitions, batches of {} B with {} records of {} B, acks {}, {} pairs of a producer and a consumer, {}, \
             {} rounds of {:?}",
            topic.leaders.len(),
            built.bytes.len(),
            built.record_count,
            batch_arguments.record_size,
            acks.code(),
            run.pairs.len(),
            load.rate.map_or("as fast as it goes".to_owned(), |rate| format!("{rate} batches/s")),
            load.rounds,
            load.duration,
        ),
        broker: &rounds,
        limit: None,
        process,
        resident: process.id().map(Resident::of).transpose()?,
        is_about_rate: false,
    };
    Ok((shown.to_text(), shown.to_json()))
}

/// The partitions of one producer and one consumer; all have the same leader.
struct Pair {
    leader: SocketAddr,
    partitions: Vec<i32>,
}

/// Shares out the partitions over `count` pairs at most.
fn pairs_of(topic: &BenchTopic<'_>, count: usize) -> Vec<Pair> {
    let mut by_leader: BTreeMap<SocketAddr, Vec<i32>> = BTreeMap::new();
    for (index, leader) in &topic.leaders {
        by_leader.entry(*leader).or_default().push(*index);
    }
    let pairs_each = (count / by_leader.len().max(1)).max(1);
    let mut pairs = Vec::new();
    for (leader, partitions) in by_leader {
        let share = partitions.len().div_ceil(pairs_each).max(1);
        pairs.extend(
            partitions.chunks(share).map(|partitions| Pair { leader, partitions: partitions.to_vec() }),
        );
    }
    pairs
}

struct Run<'a> {
    control: &'a Control,
    topic: &'a BenchTopic<'a>,
    requests: BTreeMap<i32, BuiltRequest>,
    answers: Answers,
    pairs: Vec<Pair>,
    progress: &'a Progress,
}

impl Run<'_> {
    /// Sends and reads until the time is over and everything has been read.
    fn once(&self, pace: Pace) -> Result<Done> {
        let (mut lanes, mut consumers) = (Vec::new(), Vec::new());
        // How many batches there are to be read; known once the producers have ended.
        let (expected, read) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        for pair in &self.pairs {
            let (mut listeners, mut positions) = (Vec::new(), BTreeMap::new());
            for index in &pair.partitions {
                let (sent, hears) = mpsc::channel();
                listeners.push(sent);
                let (_, offset) = self.control.offsets(&self.topic.name, *index, pair.leader)?;
                positions.insert(*index, Position { offset, hears });
            }
            let requests = pair.partitions.iter().filter_map(|index| self.requests.get(index)).collect();
            lanes.push(Lane { address: pair.leader, requests, answers: self.answers, listeners });
            consumers.push(Consumer {
                wire: Wire::connect(pair.leader)?,
                version: self.control.fetch_version()?,
                topic: &self.topic.name,
                positions,
                expected: &expected,
                read: &read,
            });
        }
        thread::scope(|scope| {
            let threads: Vec<_> =
                consumers.into_iter().map(|consumer| scope.spawn(|| consumer.run())).collect();
            let sent = load::run(&lanes, pace, self.progress);
            expected.store(sent.as_ref().map_or(0, |done| done.requests), Ordering::Relaxed);
            let mut all = Done::default();
            for thread in threads {
                all.add(&thread.join().map_err(|_| anyhow!("a consumer's thread panicked"))??);
            }
            sent.map(|_| all)
        })
    }
}

/// How far a partition has been read, and when what follows was sent.
struct Position {
    offset: i64,
    hears: mpsc::Receiver<Instant>,
}

struct Consumer<'a> {
    wire: Wire,
    version: i16,
    topic: &'a str,
    positions: BTreeMap<i32, Position>,
    expected: &'a AtomicU64,
    read: &'a AtomicU64,
}

impl Consumer<'_> {
    fn run(mut self) -> Result<Done> {
        let (mut done, mut last) = (Done::default(), Instant::now());
        while self.read.load(Ordering::Relaxed) < self.expected.load(Ordering::Relaxed) {
            let places: Vec<(i32, i64)> =
                self.positions.iter().map(|(index, position)| (*index, position.offset)).collect();
            self.wire.send(&frames::fetch(self.version, self.topic, &places, SIZE)?)?;
            let answer = records_in(self.wire.receive()?, self.version)?;
            let now = Instant::now();
            for (index, records) in answer {
                let Some(found) = look_through(&records) else { continue };
                let position = self.positions.get_mut(&index).context("a partition nobody asked for")?;
                for _ in 0..found.batch_count {
                    let sent = position.hears.recv().context("somebody else writes to the topic too")?;
                    done.latencies.record(now.saturating_duration_since(sent));
                }
                position.offset = found.next_offset;
                last = now;
                done.bytes += records.len() as u64;
                done.records += found.record_count;
                done.requests += found.batch_count as u64;
                self.read.fetch_add(found.batch_count as u64, Ordering::Relaxed);
            }
            let nothing_more_is_sent = self.expected.load(Ordering::Relaxed) < u64::MAX;
            ensure!(
                !nothing_more_is_sent || last.elapsed() < PATIENCE,
                "nothing to be read for {PATIENCE:?}, but not all of it has come"
            );
        }
        Ok(done)
    }
}
