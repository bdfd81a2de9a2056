//! What a seed decides for runs about coordinators and compaction, and the short scenarios for crashes at each operation.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_runtime::Rng;

use super::{AtOperation, End, LifePlan, Policy, Scenario};
use crate::history::{Ending, GroupProtocol, TopicPlan};
use crate::workload::Use;

/// What a short scenario consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortWork {
    /// Offsets of groups without members.
    Commit,
    /// Members of both protocols that come and go.
    Join,
    /// Transactions, with and without offsets.
    EndTransaction,
    /// Compacted topics.
    Compaction,
}

/// A group with members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupPlan {
    pub(crate) name: String,
    pub(crate) protocol: GroupProtocol,
    pub(crate) members: u32,
    /// How many of them are static.
    pub(crate) static_members: u32,
}

/// Clients and topics of such a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoordinationPlan {
    pub(crate) topics: Vec<(TopicPlan, Use)>,
    pub(crate) groups: Vec<GroupPlan>,
    /// Groups without members.
    pub(crate) simple_groups: Vec<String>,
    pub(crate) transactional_producers: u32,
    /// The first producers take their input with these groups.
    pub(crate) transactional_groups: Vec<String>,
    pub(crate) transaction_timeout_ms: i32,
    pub(crate) session_timeout: Duration,
    pub(crate) pause_max: Duration,
    /// Whether members leave and die.
    pub(crate) is_fickle: bool,
    pub(crate) readers: u32,
    /// Whether a topic that transactions write to comes and goes.
    pub(crate) churns: bool,
    /// Whether all flushes follow the policy `os`.
    pub(crate) under_os: bool,
}

impl CoordinationPlan {
    pub(crate) fn all_groups(&self) -> Vec<String> {
        let members = self.groups.iter().map(|group| group.name.clone());
        let others = self.simple_groups.iter().chain(&self.transactional_groups).cloned();
        members.chain(others).collect()
    }

    fn empty() -> CoordinationPlan {
        CoordinationPlan {
            topics: Vec::new(),
            groups: Vec::new(),
            simple_groups: Vec::new(),
            transactional_producers: 0,
            transactional_groups: Vec::new(),
            transaction_timeout_ms: 1_500,
            session_timeout: Duration::from_millis(800),
            pause_max: Duration::from_millis(40),
            is_fickle: true,
            readers: 1,
            churns: false,
            under_os: false,
        }
    }

    fn draw(rng: &mut Rng, under_os: bool) -> CoordinationPlan {
        let (groups, transactions, keys) = (rng.chance(3, 4), rng.chance(3, 4), rng.chance(1, 2));
        let mut plan = CoordinationPlan {
            transaction_timeout_ms: 600 + rng.below(2_500) as i32,
            session_timeout: Duration::from_millis(400 + rng.below(1_200)),
            pause_max: Duration::from_millis(10 + rng.below(60)),
            readers: 1 + rng.below(2) as u32,
            under_os,
            ..CoordinationPlan::empty()
        };
        plan.topics.push((topic("shared", 1 + rng.below(5) as i32, &[]), Use::Groups));
        plan.simple_groups = (0..1 + rng.below(2)).map(|number| format!("simple-{number}")).collect();
        if groups || !transactions {
            for (name, protocol) in
                [("classic", GroupProtocol::Classic), ("consumer", GroupProtocol::Consumer)]
            {
                if rng.chance(3, 4) {
                    let members = 1 + rng.below(4) as u32;
                    let static_members = rng.below(u64::from(members) + 1) as u32 / 2;
                    plan.groups.push(GroupPlan { name: name.to_owned(), protocol, members, static_members });
                }
            }
        }
        if transactions {
            let configs: &[(&str, &str)] = if rng.chance(1, 3) { &NARROW } else { &[] };
            plan.topics.push((topic("ledger", 1 + rng.below(3) as i32, configs), Use::Transactions));
            plan.transactional_producers = 1 + rng.below(3) as u32;
            let consuming = rng.below(u64::from(plan.transactional_producers) + 1);
            plan.transactional_groups = (0..consuming).map(|number| format!("intake-{number}")).collect();
            plan.churns = rng.chance(1, 3);
        }
        if keys {
            let partitions = 1 + rng.below(2) as i32;
            plan.topics.push((compacted("keys", partitions, rng), Use::Keys));
            if transactions {
                let partitions = i32::try_from(plan.transactional_producers).expect("small");
                plan.topics.push((compacted("kept", partitions, rng), Use::TransactionalKeys));
            }
        }
        plan
    }
}

/// The topic that comes and goes.
pub(crate) fn churned_topic() -> TopicPlan {
    topic("fleeting", 1, &[("file.delete.delay.ms", "20")])
}

fn compacted(name: &str, partitions: i32, rng: &mut Rng) -> TopicPlan {
    let mut plan = topic(name, partitions, &COMPACTED);
    let bytes = if rng.chance(1, 2) { "32" } else { "96" };
    plan.configs.insert("segment.index.bytes".to_owned(), bytes.to_owned());
    plan.configs.insert("delete.retention.ms".to_owned(), (200 + rng.below(800)).to_string());
    plan
}

/// Four batches fill a segment's index, and so the segment.
const NARROW: [(&str, &str); 2] = [("segment.index.bytes", "32"), ("index.interval.bytes", "0")];

const COMPACTED: [(&str, &str); 6] = [
    ("cleanup.policy", "compact"),
    ("min.cleanable.dirty.ratio", "0.01"),
    NARROW[0],
    NARROW[1],
    ("delete.retention.ms", "300"),
    ("file.delete.delay.ms", "10"),
];

fn topic(name: &str, partition_count: i32, configs: &[(&str, &str)]) -> TopicPlan {
    let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    TopicPlan { name: name.to_owned(), partition_count, configs: configs.collect() }
}

fn settings(policy: &str, others: &[&str]) -> Vec<String> {
    let mut settings: Vec<String> = [
        "log.retention.check.interval.ms=150",
        "ottla.disk.reserve.bytes=1048576",
        "group.min.session.timeout.ms=50",
        "group.consumer.min.session.timeout.ms=50",
        "group.consumer.min.heartbeat.interval.ms=10",
        "group.consumer.heartbeat.interval.ms=20",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms=100",
        "log.cleaner.backoff.ms=40",
    ]
    .map(str::to_owned)
    .to_vec();
    settings.push(format!("ottla.flush.policy={policy}"));
    settings.extend(others.iter().map(|setting| (*setting).to_owned()));
    settings
}

impl Scenario {
    /// What the generator draws for a run about coordinators and compaction.
    pub(crate) fn draw_coordinated(rng: &mut Rng, policy: Policy) -> Scenario {
        let under_os = match policy {
            Policy::Group => false,
            Policy::Os => true,
            Policy::Mixed => rng.chance(1, 3),
        };
        let plan = CoordinationPlan::draw(rng, under_os);
        Scenario::coordinated(plan, rng)
    }

    /// The same for a broker on a real machine, where others want the processor too.
    pub(crate) fn live_coordinated(rng: &mut Rng) -> Scenario {
        let mut plan = CoordinationPlan::draw(rng, false);
        plan.session_timeout = Duration::from_millis(1_500);
        Scenario::coordinated(plan, rng)
    }

    fn coordinated(plan: CoordinationPlan, rng: &mut Rng) -> Scenario {
        let mut settings = settings(
            if plan.under_os { "os" } else { "group" },
            &[
                &format!("ottla.shards={}", 1 + rng.below(3)),
                &format!("offsets.topic.num.partitions={}", 1 + rng.below(3)),
                &format!("transaction.state.log.num.partitions={}", 1 + rng.below(3)),
                &format!("group.initial.rebalance.delay.ms={}", rng.below(2) * rng.below(200)),
                &format!("group.consumer.assignment.interval.ms={}", rng.below(2) * rng.below(300)),
                &format!("group.consumer.session.timeout.ms={}", plan.session_timeout.as_millis()),
            ],
        );
        // Small segments of the coordinators' own logs: they roll, and are compacted.
        if rng.chance(1, 2) {
            settings.push("log.index.size.max.bytes=96".to_owned());
            settings.push("log.index.interval.bytes=0".to_owned());
            settings.push("log.cleaner.min.cleanable.ratio=0.1".to_owned());
        }
        let life_count = 2 + rng.below(4);
        Scenario {
            settings,
            lives: LifePlan::several(life_count, rng),
            coordination: Some(plan),
            ..Scenario::bare()
        }
    }

    /// A group of each protocol with so many members, a tenth of them static, and two partitions for each.
    pub(crate) fn storm(members: u32) -> Scenario {
        let session_timeout = Duration::from_secs(3);
        let partitions = i32::try_from(2 * members).expect("not that many");
        let group = |name: &str, protocol| GroupPlan {
            name: name.to_owned(),
            protocol,
            members,
            static_members: members / 10,
        };
        let plan = CoordinationPlan {
            topics: vec![(topic("shared", partitions, &[]), Use::Groups)],
            groups: vec![
                group("classic", GroupProtocol::Classic),
                group("consumer", GroupProtocol::Consumer),
            ],
            session_timeout,
            // A few turns within a session.
            pause_max: Duration::from_millis(1_000),
            ..CoordinationPlan::empty()
        };
        let settings = settings(
            "group",
            &[&format!("group.consumer.session.timeout.ms={}", session_timeout.as_millis())],
        );
        Scenario { settings, coordination: Some(plan), ..Scenario::bare() }
    }

    /// Few requests of one kind; two lives end at the same count of operations.
    pub(crate) fn short_coordinated(work: ShortWork, ending: Ending, at: AtOperation) -> Scenario {
        let mut plan = CoordinationPlan {
            pause_max: Duration::from_millis(5),
            session_timeout: Duration::from_millis(150),
            transaction_timeout_ms: 300,
            ..CoordinationPlan::empty()
        };
        match work {
            ShortWork::Commit => {
                plan.topics.push((topic("shared", 2, &[]), Use::Groups));
                plan.simple_groups = vec!["simple-0".to_owned()];
            }
            ShortWork::Join => {
                plan.topics.push((topic("shared", 3, &[]), Use::Groups));
                for (name, protocol) in
                    [("classic", GroupProtocol::Classic), ("consumer", GroupProtocol::Consumer)]
                {
                    plan.groups.push(GroupPlan {
                        name: name.to_owned(),
                        protocol,
                        members: 2,
                        static_members: 1,
                    });
                }
            }
            ShortWork::EndTransaction => {
                plan.topics.push((topic("shared", 1, &[]), Use::Groups));
                plan.topics.push((topic("ledger", 2, &[]), Use::Transactions));
                plan.transactional_producers = 2;
                plan.transactional_groups = vec!["intake-0".to_owned()];
            }
            ShortWork::Compaction => {
                plan.topics.push((topic("keys", 1, &COMPACTED), Use::Keys));
            }
        }
        let end = End { ending, after: Duration::ZERO, at_operation: Some(at) };
        let calm = End { ending, after: Duration::from_millis(150), at_operation: None };
        let settings = settings(
            "group",
            &[
                "ottla.shards=1",
                "offsets.topic.num.partitions=1",
                "transaction.state.log.num.partitions=1",
                "group.initial.rebalance.delay.ms=0",
                "group.consumer.assignment.interval.ms=0",
                "group.consumer.session.timeout.ms=150",
            ],
        );
        Scenario {
            settings,
            lives: [end, end, calm].map(|end| LifePlan { faults: Vec::new(), end }).to_vec(),
            coordination: Some(plan),
            ..Scenario::bare()
        }
    }

    fn bare() -> Scenario {
        Scenario {
            settings: Vec::new(),
            topics: Vec::new(),
            churn_configs: BTreeMap::new(),
            producers: Vec::new(),
            pause_max: Duration::ZERO,
            readers: 0,
            lives: Vec::new(),
            coordination: None,
        }
    }
}
