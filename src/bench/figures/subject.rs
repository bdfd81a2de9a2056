//! Who is measured: a broker of our own, started anew for each round that writes much, or a peer that runs already.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::bench::batches::BuiltBatch;
use crate::bench::control::{Control, NewTopic};
use crate::bench::frames::BuiltRequest;
use crate::bench::limits::{Limit, LimitFiles, LimitKind};
use crate::bench::load::{self, Answers, Done, Lane, Pace, Until};
use crate::bench::options::Acks;
use crate::bench::own_broker::OwnBroker;
use crate::bench::produce::requests_by_partition;
use crate::bench::progress::Progress;
use crate::bench::rounds::Round;
use crate::bench::server::Resident;

/// The topic of every section.
pub(crate) const TOPIC: &str = "ottla-bench";

/// What all sections share.
pub(crate) struct Setting<'a> {
    program: &'a Path,
    directory: &'a Path,
    pub(crate) rounds: usize,
    pub(crate) progress: &'a Progress,
    peak_resident: Cell<Option<f64>>,
    section: Cell<&'static str>,
}

impl<'a> Setting<'a> {
    pub(crate) fn new(
        program: &'a Path,
        directory: &'a Path,
        rounds: usize,
        progress: &'a Progress,
    ) -> Setting<'a> {
        Setting {
            program,
            directory,
            rounds,
            progress,
            peak_resident: Cell::new(None),
            section: Cell::new(""),
        }
    }

    /// What follows is this section.
    pub(crate) fn begin(&self, section: &'static str) {
        self.section.set(section);
        self.label("starting");
    }

    pub(crate) fn label(&self, what: &str) {
        self.progress.label(format!("{}: {what}", self.section.get()));
    }

    /// A file or directory for a section.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A limit that appends to files of its own, or sends one.
    pub(crate) fn limit(&self, kind: LimitKind, files: LimitFiles) -> Result<Limit> {
        Limit::start(kind, &self.file("limit"), files)
    }

    /// A new broker whose topics have this flush policy.
    pub(crate) fn broker(&self, policy: &str) -> Result<OwnBroker> {
        self.broker_in(self.directory, policy)
    }

    /// The same with its data in a directory of its own, beside another one.
    pub(crate) fn broker_in(&self, directory: &Path, policy: &str) -> Result<OwnBroker> {
        OwnBroker::start(self.program, directory, &[&format!("ottla.flush.policy={policy}")])
    }

    /// Remembers how much memory one of our brokers has needed.
    pub(crate) fn note_memory(&self, broker: &OwnBroker) -> Result<()> {
        let peak = Resident::of(broker.id())?.peak;
        self.peak_resident.set(Some(self.peak_resident.get().unwrap_or(0.0).max(peak)));
        Ok(())
    }

    /// The most of them all; none if there was no broker.
    pub(crate) fn peak_resident_mib(&self) -> Option<f64> {
        self.peak_resident.get()
    }
}

/// Another broker on this machine.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: String,
    pub(crate) process: u32,
}

/// How much is produced in a round, and how.
#[derive(Clone, Copy)]
pub(crate) struct Production<'a> {
    pub(crate) partitions: i32,
    pub(crate) batch: &'a BuiltBatch,
    pub(crate) acks: Acks,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) until: Until,
}

impl Production<'_> {
    pub(crate) fn pace(&self) -> Pace {
        Pace { in_flight: self.in_flight, rate: None, until: self.until }
    }

    /// A small part of it, so that nothing is opened or grown for the first time while it counts.
    fn warm_up(&self) -> Pace {
        let until = match self.until {
            Until::Count(count) => Until::Count((count / 20).max(1)),
            Until::Elapsed(duration) => Until::Elapsed(duration / 10),
        };
        Pace { until, ..self.pace() }
    }

    /// How many batches each connection sends, so that all together send `bytes`.
    pub(crate) fn count_for(bytes: usize, connections: usize, batch: &BuiltBatch) -> Until {
        Until::Count((bytes / connections / batch.bytes.len()).max(1) as u64)
    }

    /// One request for each partition.
    pub(crate) fn requests(&self, version: i16) -> Result<Vec<BuiltRequest>> {
        let requests = requests_by_partition(version, TOPIC, 0..self.partitions, self.acks, self.batch)?;
        Ok(requests.into_values().collect())
    }

    /// The requests of a connection: all partitions, each connection beginning at another one.
    pub(crate) fn share<'r>(&self, requests: &'r [BuiltRequest], connection: usize) -> Vec<&'r BuiltRequest> {
        let begin = connection * requests.len() / self.connections;
        requests.iter().cycle().skip(begin).take(requests.len()).collect()
    }

    /// Produces to a broker that has the topic.
    pub(crate) fn run(
        &self,
        control: &Control,
        leader: SocketAddr,
        pace: Pace,
        progress: &Progress,
    ) -> Result<Done> {
        let version = control.produce_version()?;
        let requests = self.requests(version)?;
        let lane = |connection| Lane {
            address: leader,
            requests: self.share(&requests, connection),
            answers: Answers::Produced { version },
            listeners: Vec::new(),
        };
        let lanes: Vec<Lane<'_>> = (0..self.connections).map(lane).collect();
        load::run(&lanes, pace, progress)
    }

    /// A round on a broker of our own, which is started for it: no round pays for removing what another has written.
    pub(crate) fn round_on_own(&self, setting: &Setting<'_>, policy: &str) -> Result<Round> {
        let broker = setting.broker(policy)?;
        let control = Control::connect(&broker.address.to_string())?;
        control.create_topic(&NewTopic {
            name: TOPIC,
            partitions: self.partitions,
            ..NewTopic::default()
        })?;
        setting.label("ottla");
        let round = self.warm_and_measure(&control, broker.address, broker.id(), setting.progress)?;
        setting.note_memory(&broker)?;
        Ok(round)
    }

    /// A round on a broker that goes on, in a topic that is made for it and deleted.
    pub(crate) fn round_on_peer(&self, setting: &Setting<'_>, peer: &Peer) -> Result<Round> {
        // What is deleted shall be gone before the next round, not while it runs.
        const GONE_AFTER: Duration = Duration::from_secs(3);
        let control = Control::connect(&peer.address)?;
        let leaders = control.create_topic(&NewTopic {
            name: TOPIC,
            partitions: self.partitions,
            configs: vec![("file.delete.delay.ms", "100")],
            ..NewTopic::default()
        })?;
        setting.label("the peer");
        let leader = leaders.values().next().copied().unwrap_or(control.address());
        let round = self.warm_and_measure(&control, leader, peer.process, setting.progress);
        control.delete_topic(TOPIC)?;
        thread::sleep(GONE_AFTER);
        round
    }

    fn warm_and_measure(
        &self,
        control: &Control,
        leader: SocketAddr,
        process: u32,
        progress: &Progress,
    ) -> Result<Round> {
        self.run(control, leader, self.warm_up(), progress)?;
        Round::measure(Some(process), || self.run(control, leader, self.pace(), progress))
    }
}
