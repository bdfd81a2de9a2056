//! The machine that the broker runs on: starts, stops, crashes, and what its disk held for certain at a power cut.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ottla_broker::config::{BrokerConfig, Settings};
use ottla_broker::{Broker, BrokerEnd};
use ottla_protocol::record::{Batches, NextBatch};
use ottla_protocol::types::TopicId;
use ottla_runtime::simulated::{DiskImage, Machine};
use tokio::sync::oneshot;

use crate::history::TopicPartition;

/// Where the data is on the simulated disk.
const DATA_DIRECTORY: &str = "/data";

/// The port that the broker listens on.
const PORT: u16 = 9092;

/// How many files and sockets the broker is told it may have open.
const DESCRIPTORS: u64 = 4096;

/// The broker's machine.
#[derive(Clone)]
pub struct BrokerMachine {
    machine: Machine,
    settings: Vec<String>,
}

/// A broker that runs, or tries to.
pub struct Running {
    stop: Option<oneshot::Sender<()>>,
    started: oneshot::Receiver<Result<(), String>>,
    ended: oneshot::Receiver<BrokerEnd>,
}

impl BrokerMachine {
    /// A machine whose broker is set up by `settings`, each `key=value`.
    pub fn new(machine: Machine, settings: Vec<String>) -> BrokerMachine {
        BrokerMachine { machine, settings }
    }

    /// The machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Where its broker listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.machine.ip(), PORT)
    }

    fn config(&self) -> BrokerConfig {
        let mut settings = Settings::default();
        settings.listen(&self.address().to_string());
        settings.data_directory(DATA_DIRECTORY);
        for setting in &self.settings {
            settings.set(setting);
        }
        let (config, _without_effect) = BrokerConfig::read(&settings).expect("settings of ours are sound");
        config
    }

    /// Starts a broker, after starting the machine if that is down.
    pub fn start(&self) -> Running {
        let runtime = if self.machine.is_up() { self.machine.runtime() } else { self.machine.restart() };
        let (stop, stop_asked) = oneshot::channel();
        let (tell_started, started) = oneshot::channel();
        let (tell_ended, ended) = oneshot::channel();
        let config = self.config();
        let spawner = runtime.spawner.clone();
        drop(spawner.spawn("broker", async move {
            let mut broker = match Broker::start(config, DESCRIPTORS, runtime).await {
                Ok(broker) => broker,
                Err(error) => {
                    // Whoever started it may not wait any more; the same holds for the others below.
                    let _unheard = tell_started.send(Err(error.to_string()));
                    return;
                }
            };
            let _unheard = tell_started.send(Ok(()));
            let end = tokio::select! {
                biased;
                reason = broker.ended() => BrokerEnd::Failed(reason),
                _ = stop_asked => broker.stop().await,
            };
            let _unheard = tell_ended.send(end);
        }));
        Running { stop: Some(stop), started, ended }
    }

    /// What a power cut that has just happened could not take of each partition: where its batches ended for certain.
    pub fn durable_ends(&self) -> BTreeMap<TopicPartition, i64> {
        self.machine.disk().safe_at_power_cut().map(|image| durable_ends(&image)).unwrap_or_default()
    }
}

impl Running {
    /// Waits until it serves; an error says why it doesn't.
    pub async fn started(&mut self) -> Result<(), String> {
        (&mut self.started).await.unwrap_or_else(|_gone| Err("its machine went down".to_owned()))
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> String {
        match (&mut self.ended).await {
            Ok(end) => format!("{end:?}"),
            Err(_gone) => std::future::pending().await,
        }
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(mut self) -> Result<(), String> {
        let asked = self.stop.take().map(|stop| stop.send(()));
        if asked != Some(Ok(())) {
            return Err("it was gone already".to_owned());
        }
        match self.ended.await {
            Ok(BrokerEnd::Stopped) => Ok(()),
            Ok(BrokerEnd::Failed(reason)) => Err(reason),
            Err(_gone) => Err("its task went away".to_owned()),
        }
    }
}

fn durable_ends(image: &DiskImage) -> BTreeMap<TopicPartition, i64> {
    let mut logs: BTreeMap<&str, BTreeMap<i64, &[u8]>> = BTreeMap::new();
    let mut ids: BTreeMap<&str, TopicId> = BTreeMap::new();
    for (path, bytes) in &image.files {
        let Some((directory, name)) = path.rsplit_once('/') else { continue };
        if name == "partition.metadata" {
            ids.extend(topic_id_in(bytes).map(|id| (directory, id)));
        }
        let base = name.strip_suffix(".log").and_then(|base| base.parse().ok());
        if let Some(base) = base {
            logs.entry(directory).or_default().insert(base, bytes);
        }
    }
    let mut ends = BTreeMap::new();
    for (directory, segments) in logs {
        let index = directory.rsplit_once('-').and_then(|(_, index)| index.parse().ok());
        let (Some(index), Some(topic)) = (index, ids.get(directory).copied()) else { continue };
        ends.insert(TopicPartition { topic, index }, end_of(&segments));
    }
    ends
}

fn topic_id_in(partition_metadata: &[u8]) -> Option<TopicId> {
    let text = std::str::from_utf8(partition_metadata).ok()?;
    text.lines().find_map(|line| line.strip_prefix("topic_id: "))?.trim().parse().ok()
}

/// Where the unbroken run of sound batches ends that begins with the first segment.
fn end_of(segments: &BTreeMap<i64, &[u8]>) -> i64 {
    let Some(mut end) = segments.keys().next().copied() else { return 0 };
    for (base, bytes) in segments {
        if *base != end {
            return end;
        }
        let mut batches = Batches::new(bytes, 0);
        loop {
            match batches.next_batch() {
                NextBatch::Batch(batch)
                    if batch.verify_crc().is_ok() && batch.header.base_offset.0 == end =>
                {
                    end += i64::from(batch.header.last_offset_delta) + 1;
                }
                NextBatch::Complete => break,
                _ => return end,
            }
        }
    }
    end
}
