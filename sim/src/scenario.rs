//! What a seed decides before a run begins: topics, clients, faults and how each life of the broker ends.

mod coordination;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use ottla_runtime::Rng;

use crate::history::{Acks, Ending, TopicPlan};

pub use coordination::ShortWork;
pub(crate) use coordination::{CoordinationPlan, churned_topic};

/// Which flush policy topics have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Every acknowledgement waits for a sync.
    Group,
    /// None does.
    Os,
    /// The seed decides for each topic.
    Mixed,
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Policy::Group => "group",
            Policy::Os => "os",
            Policy::Mixed => "mixed",
        })
    }
}

impl std::str::FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Policy, String> {
        match text {
            "group" => Ok(Policy::Group),
            "os" => Ok(Policy::Os),
            "mixed" => Ok(Policy::Mixed),
            other => Err(format!("{other:?} is no policy: group, os or mixed")),
        }
    }
}

/// Something that goes wrong within a life of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Operations of the disk take long now and then.
    LatencySpikes,
    /// The disk is full for a while.
    DiskFull,
    /// One sync fails: the broker has to end.
    SyncError,
    /// Connections are reset now and then.
    ConnectionReset,
    /// Segments are held up on the network.
    NetworkStall,
    /// Tasks are held up.
    TaskStall,
    /// The wall clock jumps by so many milliseconds.
    WallJump(i64),
    /// The page cache is emptied.
    Evict,
}

/// How and when a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) ending: Ending,
    /// So long after the start was asked for.
    pub(crate) after: Duration,
    /// Not at that moment, but at an operation of the disk.
    pub(crate) at_operation: Option<AtOperation>,
}

/// An operation of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtOperation {
    /// How long after the start of a life they are counted (in the first one the topics are there by then). A broker
    /// looks after its checkpoints and for expired segments once a second.
    pub from: Duration,
    /// Which of them, the first one being 1.
    pub count: u64,
    /// When it has been carried out, rather than when it has been submitted.
    pub completed: bool,
}

/// One life of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LifePlan {
    pub(crate) faults: Vec<Fault>,
    pub(crate) end: End,
}

/// A topic, and how large the batches are that it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedTopic {
    pub(crate) plan: TopicPlan,
    pub(crate) batch_bytes: Range<u64>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) settings: Vec<String>,
    pub(crate) topics: Vec<PlannedTopic>,
    /// Configs of the topics that come and go.
    pub(crate) churn_configs: BTreeMap<String, String>,
    /// What each producer asks for.
    pub(crate) producers: Vec<Acks>,
    pub(crate) pause_max: Duration,
    pub(crate) readers: u32,
    pub(crate) lives: Vec<LifePlan>,
    /// Instead of all the topics and clients above: what a run about coordinators and compaction has.
    pub(crate) coordination: Option<CoordinationPlan>,
}

impl Scenario {
    /// Few records, and everything that a log does with its files: rolls, retention, snapshots, checkpoints. Two lives
    /// end at the same count of operations, so the second one may end within the recovery from the first one's end.
    pub(crate) fn short(ending: Ending, at: AtOperation) -> Scenario {
        let mut topics = vec![
            topic("narrow", 1, 100..900, &[("segment.index.bytes", "32"), ("index.interval.bytes", "0")]),
            topic("aged-kept", 1, 100..900, &[("segment.ms", "30"), ("retention.ms", "60")]),
        ];
        for topic in &mut topics {
            topic.plan.configs.insert("file.delete.delay.ms".to_owned(), "10".to_owned());
            topic.plan.configs.insert("ottla.flush.policy".to_owned(), "group".to_owned());
        }
        let end = End { ending, after: Duration::ZERO, at_operation: Some(at) };
        let calm = End { ending, after: Duration::from_millis(150), at_operation: None };
        Scenario {
            settings: vec![
                "log.retention.check.interval.ms=20".to_owned(),
                "ottla.disk.reserve.bytes=1048576".to_owned(),
                "ottla.shards=1".to_owned(),
            ],
            topics,
            churn_configs: BTreeMap::new(),
            producers: vec![Acks::All],
            // Where the count begins late, few operations before it keep the run short.
            pause_max: Duration::from_millis(if at.from.is_zero() { 4 } else { 100 }),
            readers: 1,
            lives: [end, end, calm].map(|end| LifePlan { faults: Vec::new(), end }).to_vec(),
            coordination: None,
        }
    }

    /// What the generator draws.
    pub(crate) fn draw(rng: &mut Rng, policy: Policy) -> Scenario {
        let policy_of_topic = |rng: &mut Rng| match policy {
            Policy::Group => "group",
            Policy::Os => "os",
            Policy::Mixed => {
                if rng.chance(1, 2) {
                    "group"
                } else {
                    "os"
                }
            }
        };
        let mut topics = vec![
            // Rolled by size: a few batches fill a segment.
            topic("big", 1, 60_000..300_000, &[("segment.bytes", "1048576")]),
            topic(
                "big-kept",
                1,
                60_000..300_000,
                &[("segment.bytes", "1048576"), ("retention.bytes", "1500000")],
            ),
            // Rolled by time.
            topic("aged", 2, 100..3_000, &[("segment.ms", "150")]),
            topic("aged-kept", 1, 100..3_000, &[("segment.ms", "100"), ("retention.ms", "600")]),
            // Rolled when the index is full, which four batches do.
            topic("narrow", 2, 100..3_000, &[("segment.index.bytes", "32"), ("index.interval.bytes", "0")]),
            topic("plain", 2, 100..9_000, &[]),
        ];
        // Every seed has one topic of each way to roll, and retention.
        for index in [1, 0] {
            if topics.len() > 5 && rng.chance(1, 2) {
                topics.remove(index);
                break;
            }
        }
        for topic in &mut topics {
            topic.plan.configs.insert("ottla.flush.policy".to_owned(), policy_of_topic(rng).to_owned());
            if topic.plan.configs.len() > 2 {
                topic.plan.configs.insert("file.delete.delay.ms".to_owned(), rng.below(300).to_string());
            }
        }
        let churn_policy = policy_of_topic(rng).to_owned();
        let producers = 2 + rng.below(3);
        let life_count = 3 + rng.below(4);
        Scenario {
            settings: settings(rng),
            topics,
            churn_configs: BTreeMap::from([("ottla.flush.policy".to_owned(), churn_policy)]),
            producers: (0..producers)
                .map(|number| if number > 0 && rng.chance(1, 5) { Acks::One } else { Acks::All })
                .collect(),
            pause_max: Duration::from_millis(15 + rng.below(60)),
            readers: 1 + u32::try_from(rng.below(3)).expect("small"),
            lives: LifePlan::several(life_count, rng),
            coordination: None,
        }
    }
}

fn settings(rng: &mut Rng) -> Vec<String> {
    vec![
        "log.retention.check.interval.ms=150".to_owned(),
        "ottla.disk.reserve.bytes=1048576".to_owned(),
        format!("ottla.shards={}", 1 + rng.below(3)),
        format!("num.recovery.threads.per.data.dir={}", 1 + rng.below(3)),
    ]
}

fn topic(name: &str, partitions: i32, batch_bytes: Range<u64>, configs: &[(&str, &str)]) -> PlannedTopic {
    let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let plan = TopicPlan { name: name.to_owned(), partition_count: partitions, configs: configs.collect() };
    PlannedTopic { plan, batch_bytes }
}

/// What a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Logs: idempotent producers, readers, rolls, retention, topics that come and go.
    Logs,
    /// Groups, transactions and compacted topics.
    Coordinators,
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Work::Logs => "logs",
            Work::Coordinators => "coordinators",
        })
    }
}

impl std::str::FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Work, String> {
        match text {
            "logs" => Ok(Work::Logs),
            "coordinators" => Ok(Work::Coordinators),
            other => Err(format!("{other:?} is no work: logs or coordinators")),
        }
    }
}

impl LifePlan {
    /// The lives of a run. The last one is long enough for work to be done in it.
    fn several(count: u64, rng: &mut Rng) -> Vec<LifePlan> {
        let mut lives: Vec<LifePlan> = (0..count).map(|_| LifePlan::draw(rng)).collect();
        if let Some(last) = lives.last_mut() {
            last.end.at_operation = None;
            last.end.after += Duration::from_millis(300);
        }
        lives
    }

    fn draw(rng: &mut Rng) -> LifePlan {
        let mut faults = Vec::new();
        for _ in 0..rng.below(3) {
            faults.push(Fault::draw(rng));
        }
        let ending = match rng.below(8) {
            0 => Ending::Stop,
            1..4 => Ending::Kill,
            _ => Ending::PowerCut,
        };
        let at_operation = (ending != Ending::Stop && rng.chance(1, 3)).then(|| AtOperation {
            from: Duration::ZERO,
            count: 1 + rng.below(400),
            completed: rng.chance(1, 2),
        });
        // Some lives are too short for a start.
        let longest = if rng.chance(1, 6) { 20 } else { 1_500 };
        let after = Duration::from_micros(rng.below(longest * 1_000));
        LifePlan { faults, end: End { ending, after, at_operation } }
    }
}

impl Fault {
    fn draw(rng: &mut Rng) -> Fault {
        match rng.below(9) {
            0 => Fault::LatencySpikes,
            1 => Fault::DiskFull,
            2 => Fault::SyncError,
            3 | 4 => Fault::ConnectionReset,
            5 => Fault::NetworkStall,
            6 => Fault::TaskStall,
            7 => Fault::WallJump(match rng.below(4) {
                0 => -1_000_000,
                1 => 3_600_000,
                2 => 8 * 24 * 3_600_000,
                _ => i64::try_from(rng.below(5_000)).expect("small"),
            }),
            _ => Fault::Evict,
        }
    }
}
