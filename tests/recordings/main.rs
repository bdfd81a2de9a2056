//! What we answer, held against what Apache Kafka answered to the same requests.
//!
//! One file of scripts for each API, and beside it the recording (`.json`) of Kafka's answers to them. The test plays the
//! scripts to our broker, a process of its own, and compares field by field; it needs no Kafka. A difference that is meant
//! is in `meant.rs` by its place, and in `docs/differences.md` with its reason. Recorded again, with Kafka from Maven (see
//! `ottla_testkit::foreign`), all or some files:
//!
//! ```text
//! cargo test --test recordings record_kafkas_answers -- --ignored
//! OTTLA_RECORDINGS=metadata,produce cargo test --test recordings record_kafkas_answers -- --ignored
//! ```

mod differences;
mod groups;
mod mask;
mod meant;
mod node;
mod player;
mod record_sets;
mod recording;
mod requests;

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod api_versions;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
mod txn_offset_commit;
mod write_txn_markers;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use ottla_protocol::api::ApiKey;
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_testkit::foreign::{KAFKA_VERSION, kafka_jars};
use ottla_testkit::kafka::KafkaNode;
use ottla_testkit::process::BrokerCommand;

use differences::{Difference, compare, matches};
use meant::MEANT;
use player::{Player, versions_of_kafka};
use recording::{Answer, Recording};

/// A script: its name, and what it asks.
struct Script {
    name: &'static str,
    play: fn(&mut Player),
}

/// Lists a file's scripts by the names of their functions.
macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        pub(crate) const SCRIPTS: &[crate::Script] =
            &[$(crate::Script { name: stringify!($name), play: $name }),*];
    };
}
use scripts;

/// The files, each with the API that it is about.
const FILES: &[(&str, ApiKey, &[Script])] = &[
    ("alter_configs", ApiKey::AlterConfigs, alter_configs::SCRIPTS),
    ("api_versions", ApiKey::ApiVersions, api_versions::SCRIPTS),
    ("create_partitions", ApiKey::CreatePartitions, create_partitions::SCRIPTS),
    ("create_topics", ApiKey::CreateTopics, create_topics::SCRIPTS),
    ("delete_records", ApiKey::DeleteRecords, delete_records::SCRIPTS),
    ("delete_topics", ApiKey::DeleteTopics, delete_topics::SCRIPTS),
    ("describe_cluster", ApiKey::DescribeCluster, describe_cluster::SCRIPTS),
    ("describe_configs", ApiKey::DescribeConfigs, describe_configs::SCRIPTS),
    ("describe_log_dirs", ApiKey::DescribeLogDirs, describe_log_dirs::SCRIPTS),
    ("describe_producers", ApiKey::DescribeProducers, describe_producers::SCRIPTS),
    ("describe_topic_partitions", ApiKey::DescribeTopicPartitions, describe_topic_partitions::SCRIPTS),
    ("fetch", ApiKey::Fetch, fetch::SCRIPTS),
    ("incremental_alter_configs", ApiKey::IncrementalAlterConfigs, incremental_alter_configs::SCRIPTS),
    ("init_producer_id", ApiKey::InitProducerId, init_producer_id::SCRIPTS),
    ("list_config_resources", ApiKey::ListConfigResources, list_config_resources::SCRIPTS),
    ("list_offsets", ApiKey::ListOffsets, list_offsets::SCRIPTS),
    ("metadata", ApiKey::Metadata, metadata::SCRIPTS),
    ("offset_for_leader_epoch", ApiKey::OffsetForLeaderEpoch, offset_for_leader_epoch::SCRIPTS),
    ("produce", ApiKey::Produce, produce::SCRIPTS),
    // These have Kafka create its internal topics.
    ("find_coordinator", ApiKey::FindCoordinator, find_coordinator::SCRIPTS),
    ("offset_fetch", ApiKey::OffsetFetch, offset_fetch::SCRIPTS),
    ("join_group", ApiKey::JoinGroup, join_group::SCRIPTS),
    ("sync_group", ApiKey::SyncGroup, sync_group::SCRIPTS),
    ("heartbeat", ApiKey::Heartbeat, heartbeat::SCRIPTS),
    ("leave_group", ApiKey::LeaveGroup, leave_group::SCRIPTS),
    ("offset_delete", ApiKey::OffsetDelete, offset_delete::SCRIPTS),
    ("describe_groups", ApiKey::DescribeGroups, describe_groups::SCRIPTS),
    ("list_groups", ApiKey::ListGroups, list_groups::SCRIPTS),
    ("delete_groups", ApiKey::DeleteGroups, delete_groups::SCRIPTS),
    ("consumer_group_heartbeat", ApiKey::ConsumerGroupHeartbeat, consumer_group_heartbeat::SCRIPTS),
    ("consumer_group_describe", ApiKey::ConsumerGroupDescribe, consumer_group_describe::SCRIPTS),
    ("add_partitions_to_txn", ApiKey::AddPartitionsToTxn, add_partitions_to_txn::SCRIPTS),
    ("add_offsets_to_txn", ApiKey::AddOffsetsToTxn, add_offsets_to_txn::SCRIPTS),
    ("end_txn", ApiKey::EndTxn, end_txn::SCRIPTS),
    ("txn_offset_commit", ApiKey::TxnOffsetCommit, txn_offset_commit::SCRIPTS),
    ("write_txn_markers", ApiKey::WriteTxnMarkers, write_txn_markers::SCRIPTS),
    ("describe_transactions", ApiKey::DescribeTransactions, describe_transactions::SCRIPTS),
    ("list_transactions", ApiKey::ListTransactions, list_transactions::SCRIPTS),
    // From here on there is a group without a name.
    ("offset_commit", ApiKey::OffsetCommit, offset_commit::SCRIPTS),
];

/// What Kafka is told (`ottla_testkit::kafka` has the rest of it), and we are too.
const PROPERTIES: [(&str, &str); 11] = [
    ("controller.listener.names", "CONTROLLER"),
    ("controller.quorum.bootstrap.servers", "127.0.0.1:1"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("inter.broker.listener.name", "PLAINTEXT"),
    ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
    ("node.id", "1"),
    ("num.partitions", "2"),
    ("offsets.topic.replication.factor", "1"),
    ("process.roles", "broker,controller"),
    ("transaction.state.log.min.isr", "1"),
    ("transaction.state.log.replication.factor", "1"),
];

/// The files that `OTTLA_RECORDINGS` names, or all.
fn files() -> impl Iterator<Item = (usize, &'static (&'static str, ApiKey, &'static [Script]))> {
    let chosen = std::env::var("OTTLA_RECORDINGS").ok();
    FILES.iter().enumerate().filter(move |(_, (file, ..))| {
        chosen.as_ref().is_none_or(|chosen| chosen.split(',').any(|name| name == *file))
    })
}

/// Plays a file's scripts, one after the other.
fn play(address: SocketAddr, file_number: usize, scripts: &[Script]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (number, script) in scripts.iter().enumerate() {
        let name = script.name.replace('_', " ");
        let mut player = Player::new(address, &name, format!("s{file_number:02}x{number:02}-"));
        (script.play)(&mut player);
        answers.extend(player.into_answers());
    }
    answers
}

/// Waits until a broker that was just started gives producer ids: then it has come to rest.
fn warm_up(address: SocketAddr) {
    let mut player = Player::new(address, "warming up", "warm-".to_owned());
    let request =
        InitProducerIdRequest { transaction_timeout_ms: 60_000, ..InitProducerIdRequest::default() };
    player.wait_until(4, "producer ids", &request, |response| response.error_code == 0);
}

/// An address that nobody listens on, so that it can be told before it is bound.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

fn say(text: &str) {
    // Past the test harness's capture.
    std::io::stderr().write_all(text.as_bytes()).expect("standard error is open");
}

#[test]
#[ignore = "records again what Kafka answers"]
fn record_kafkas_answers() {
    let jars = match kafka_jars(env!("CARGO_BIN_EXE_ottla")) {
        Ok(jars) => jars,
        Err(skip) => return skip.say("Apache Kafka"),
    };
    let kafka =
        KafkaNode::start(&jars, &[("num.partitions", "2"), ("group.initial.rebalance.delay.ms", "0")]);
    warm_up(kafka.address());
    for (number, (file, _, scripts)) in files() {
        let answers = play(kafka.address(), number, scripts);
        recording::save(file, KAFKA_VERSION, &answers);
        say(&format!("recorded {file}: {} scripts, {} answers\n", scripts.len(), answers.len()));
    }
}

#[test]
fn every_answer_is_kafkas_or_differs_on_purpose() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let command = BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), directory.path().join("data"));
    let address = free_address();
    let command =
        command.listen(address.clone()).set("advertised.listeners", format!("PLAINTEXT://{address}"));
    let broker = PROPERTIES.iter().fold(command, |command, (key, value)| command.set(key, value)).start();
    let mut summary = Summary::default();
    let mut found = Vec::new();
    for (number, (file, api, scripts)) in files() {
        let answers = play(broker.address(), number, scripts);
        hold_against_recording(file, &answers, &mut found);
        expect_every_version(file, *api, &answers);
        summary.add(scripts.len(), &answers);
    }
    let unexplained = summary.explain(found);
    say(&summary.to_string());
    assert!(
        unexplained.is_empty(),
        "{} differences from Kafka that nothing explains:\n{}",
        unexplained.len(),
        unexplained.iter().map(|difference| format!("  {difference}")).collect::<Vec<_>>().join("\n")
    );
}

/// Compares every answer with what was recorded, and sees that nothing was recorded that was not asked.
fn hold_against_recording(file: &str, answers: &[Answer], found: &mut Vec<Difference>) {
    let recording = Recording::load(file);
    for answer in answers {
        let Answer { script, step, version, node, .. } = answer;
        let place = format!("{file} > {script} > {step} > v{version}");
        let recorded = recording.answer(script, step, *version);
        let recorded = recorded.unwrap_or_else(|| panic!("{place}: not recorded; record {file} again"));
        compare(&place, recorded, node, found);
    }
    for (script, step, first, last) in recording.steps() {
        for version in first..=last {
            let is_asked = |answer: &&Answer| {
                answer.script == script && answer.step == step && answer.version == version
            };
            assert!(
                answers.iter().any(|answer| is_asked(&answer)),
                "{file} > {script} > {step} > v{version}: recorded, but no longer asked; record {file} again"
            );
        }
    }
}

/// A file asks its API at every version that Kafka serves.
fn expect_every_version(file: &str, api: ApiKey, answers: &[Answer]) {
    let asked: BTreeSet<i16> =
        answers.iter().filter(|answer| answer.api == api.name()).map(|answer| answer.version).collect();
    for version in versions_of_kafka(api.api()) {
        assert!(asked.contains(&version), "{file}: no script asks {} at version {version}", api.name());
    }
}

/// What was compared.
#[derive(Debug, Default)]
struct Summary {
    scripts: usize,
    answers: usize,
    fields: usize,
    versions: BTreeSet<(&'static str, i16)>,
    explained: usize,
    reasons: usize,
}

impl Summary {
    fn add(&mut self, scripts: usize, answers: &[Answer]) {
        self.scripts += scripts;
        self.answers += answers.len();
        self.fields += answers.iter().map(|answer| answer.node.leaf_count()).sum::<usize>();
        let of_an_api = answers.iter().filter(|answer| !answer.api.is_empty());
        self.versions.extend(of_an_api.map(|answer| (answer.api, answer.version)));
    }

    /// Takes out the differences that are meant and gives the others; panics where a row of the list is about nothing.
    fn explain(&mut self, found: Vec<Difference>) -> Vec<Difference> {
        let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differences.md");
        let documented = std::fs::read_to_string(documented).expect("docs/differences.md is there");
        let is_whole = files().count() == FILES.len();
        let (mut unexplained, before) = (found, Vec::len);
        let count = before(&unexplained);
        for meant in MEANT {
            let words = meant.documented_as;
            assert!(
                documented.lines().any(|line| line.trim_start_matches(['|', '*', ' ']).starts_with(words)),
                "docs/differences.md has no line that begins with {words:?}"
            );
            for pattern in meant.places {
                let left = before(&unexplained);
                unexplained.retain(|difference| !matches(pattern, &difference.place));
                assert!(
                    unexplained.len() < left || !is_whole,
                    "{words:?}: nothing differs (any more, or that no earlier row explains) at {pattern:?}"
                );
            }
        }
        self.explained = count - unexplained.len();
        self.reasons = MEANT.len();
        unexplained
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let apis: BTreeSet<&str> = self.versions.iter().map(|(api, _)| *api).collect();
        writeln!(
            f,
            "recordings of Kafka {}: {} scripts, {} APIs at {} versions, {} answers with {} fields compared; \
             {} fields differ for {} reasons of docs/differences.md",
            KAFKA_VERSION,
            self.scripts,
            apis.len(),
            self.versions.len(),
            self.answers,
            self.fields,
            self.explained,
            self.reasons,
        )
    }
}
