//! Unmodified clients from the public registries against a real broker process.
//!
//! Each client is prepared under `target/compat/` the first time it is used. Where that can't be done (no network, no
//! Python) the test says SKIPPED and why. The checks themselves take the address of any broker: docs/testing.md.

mod clients;
mod from_kafka;
mod kills;

use std::process::Command;

use clients::{NodePackages, PythonPackages};
use ottla_testkit::foreign::Skip;
use ottla_testkit::process::BrokerCommand;

/// Names and versions in their registries; they change only on purpose. docs/testing.md lists them.
const CONFLUENT_KAFKA: PythonPackages =
    PythonPackages { name: "confluent-kafka", requirements: &["confluent-kafka==2.16.1"] };
const KAFKA_PYTHON: PythonPackages = PythonPackages {
    name: "kafka-python",
    requirements: &["kafka-python==3.0.12", "lz4==4.4.5", "zstandard==0.25.0", "python-snappy==0.7.3"],
};
const AIOKAFKA: PythonPackages =
    PythonPackages { name: "aiokafka", requirements: &["aiokafka==0.14.0", "cramjam==2.14.0"] };
const KAFKAJS: NodePackages = NodePackages {
    name: "kafkajs",
    requirements: &["kafkajs@2.2.4", "kafkajs-snappy@1.1.0", "zstd-codec@0.1.5"],
};

/// Topics of so many partitions come by themselves.
fn automatic_topics(partitions: u32) -> impl FnOnce(BrokerCommand) -> BrokerCommand {
    move |broker| broker.set("num.partitions", partitions)
}

fn no_automatic_topics(broker: BrokerCommand) -> BrokerCommand {
    // The records are from years ago; on a slow machine retention must not come in between.
    let broker = broker.set("log.retention.check.interval.ms", 3_600_000);
    broker.set("num.partitions", 4).set("auto.create.topics.enable", false)
}

/// Runs a client's checks against a fresh broker; they end with 0 when every one held, and print them.
fn expect_to_hold(
    client: &str,
    checks: Result<Command, Skip>,
    configure: impl FnOnce(BrokerCommand) -> BrokerCommand,
) {
    let mut checks = match checks {
        Ok(checks) => checks,
        Err(skip) => return skip.say(client),
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), directory.path().join("data"));
    let broker = configure(broker).start();
    let output = checks.arg(broker.address().to_string()).output().expect("a program starts");
    assert!(
        output.status.success(),
        "{client}: {}\n{}\n{}\nthe broker said:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        broker.said(),
    );
}

#[test]
fn confluent_kafka_reads_back_what_it_wrote() {
    expect_to_hold(
        "confluent-kafka",
        CONFLUENT_KAFKA.checks("confluent_kafka_checks.py"),
        automatic_topics(4),
    );
}

#[test]
fn kafka_python_reads_back_what_it_wrote() {
    expect_to_hold("kafka-python", KAFKA_PYTHON.checks("kafka_python_checks.py"), automatic_topics(4));
}

#[test]
fn aiokafka_reads_back_what_it_wrote() {
    expect_to_hold("aiokafka", AIOKAFKA.checks("aiokafka_checks.py"), no_automatic_topics);
}

#[test]
fn kafkajs_writes_and_administers() {
    expect_to_hold("kafkajs", KAFKAJS.checks("kafkajs_checks.js"), no_automatic_topics);
}

#[test]
fn the_java_client_reads_back_what_it_wrote_and_administers() {
    expect_to_hold("Java client", clients::java("ClientChecks"), no_automatic_topics);
}

#[test]
fn a_java_client_of_2018_reads_back_what_it_wrote() {
    expect_to_hold("old Java client", clients::old_java(), no_automatic_topics);
}

#[test]
fn kafkas_own_tools_do_their_work() {
    expect_to_hold("Kafka's tools", clients::java("ToolChecks"), groups_at_once);
}

#[test]
fn franz_go_reads_back_what_it_wrote() {
    expect_to_hold("franz-go", clients::go("franz_go"), no_automatic_topics);
}

#[test]
fn sarama_reads_back_what_it_wrote() {
    expect_to_hold("sarama", clients::go("sarama"), no_automatic_topics);
}

/// Groups begin without waiting for more members.
fn groups_at_once(broker: BrokerCommand) -> BrokerCommand {
    no_automatic_topics(broker).set("group.initial.rebalance.delay.ms", 0)
}

#[test]
fn groups_of_confluent_kafka_share_and_resume() {
    expect_to_hold("confluent-kafka", CONFLUENT_KAFKA.checks("confluent_kafka_groups.py"), groups_at_once);
}

#[test]
fn groups_of_kafka_python_share_and_resume() {
    expect_to_hold("kafka-python", KAFKA_PYTHON.checks("kafka_python_groups.py"), groups_at_once);
}

#[test]
fn groups_of_aiokafka_share_and_resume() {
    expect_to_hold("aiokafka", AIOKAFKA.checks("aiokafka_groups.py"), groups_at_once);
}

#[test]
fn groups_of_kafkajs_share_and_resume() {
    expect_to_hold("kafkajs", KAFKAJS.checks("kafkajs_groups.js"), groups_at_once);
}

#[test]
fn groups_of_the_java_client_share_and_resume() {
    expect_to_hold("Java client", clients::java("GroupChecks"), groups_at_once);
}

#[test]
fn groups_of_franz_go_share_and_resume() {
    expect_to_hold("franz-go", clients::go("franz_go_groups"), groups_at_once);
}

#[test]
fn groups_of_sarama_share_and_resume() {
    expect_to_hold("sarama", clients::go("sarama_groups"), groups_at_once);
}

#[test]
fn confluent_kafka_takes_records_on_in_transactions() {
    let checks = CONFLUENT_KAFKA.checks("confluent_kafka_transactions.py");
    expect_to_hold("confluent-kafka", checks, groups_at_once);
}

#[test]
fn the_java_client_takes_records_on_in_transactions() {
    expect_to_hold("Java client", clients::java("TransactionChecks"), groups_at_once);
}

#[test]
fn franz_go_takes_records_on_in_transactions() {
    let checks = clients::go("franz_go").map(|mut checks| {
        checks.arg("transactions");
        checks
    });
    expect_to_hold("franz-go", checks, groups_at_once);
}

#[test]
fn kcat_reads_back_what_it_wrote() {
    expect_to_hold("kcat", clients::kcat("kcat_checks.sh"), automatic_topics(4));
}

#[test]
fn kcat_moves_a_data_set_through_six_partitions_and_back() {
    // The documented size is 100 MB; the suite moves a tenth of it, through every codec.
    let checks = clients::kcat("data_set.sh").map(|mut checks| {
        checks.env("RECORDS", "40000");
        checks
    });
    expect_to_hold("kcat", checks, automatic_topics(6));
}
