//! Unmodified clients from the public registries against a real broker process.
//!
//! Each client is prepared under `target/compat/` the first time it is used. Where that can't be done (no network, no
//! Python) the test says SKIPPED and why.

mod clients;
mod from_kafka;

use std::process::{Command, Output};

use clients::{Kcat, PythonPackages};
use ottla_testkit::process::{BrokerCommand, BrokerProcess};

/// pip's names and versions; they change only on purpose.
const CONFLUENT_KAFKA: PythonPackages =
    PythonPackages { name: "confluent-kafka", requirements: &["confluent-kafka==2.16.1"] };
const KAFKA_PYTHON: PythonPackages = PythonPackages {
    name: "kafka-python",
    requirements: &["kafka-python==3.0.12", "lz4==4.4.5", "zstandard==0.25.0", "python-snappy==0.7.3"],
};

struct Bed {
    broker: BrokerProcess,
    _directory: tempfile::TempDir,
}

fn bed(partitions: u32) -> Bed {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), directory.path().join("data"))
        .set("num.partitions", partitions)
        .start();
    Bed { broker, _directory: directory }
}

/// Runs one client's script against a fresh broker; the script exits 0 when every check held and prints them.
fn run_script(packages: &PythonPackages, script: &str) {
    let library = match packages.prepare() {
        Ok(library) => library,
        Err(skip) => return skip.say(packages.name),
    };
    let bed = bed(4);
    let output = Command::new("python3")
        .arg("-u")
        .arg(clients::source_directory().join(script))
        .arg(bed.broker.address().to_string())
        .env("PYTHONPATH", library)
        .output()
        .expect("python3 ran a moment ago");
    expect_success(script, &output, &bed.broker);
}

fn expect_success(what: &str, output: &Output, broker: &BrokerProcess) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}\n{}\nthe broker said:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        broker.said(),
    );
}

#[test]
fn confluent_kafka_reads_back_what_it_wrote() {
    run_script(&CONFLUENT_KAFKA, "confluent_kafka_checks.py");
}

#[test]
fn kafka_python_reads_back_what_it_wrote() {
    run_script(&KAFKA_PYTHON, "kafka_python_checks.py");
}

#[test]
fn kcat_reads_back_what_it_wrote() {
    let kcat = match Kcat::prepare() {
        Ok(kcat) => kcat,
        Err(skip) => return skip.say("kcat"),
    };
    let bed = bed(4);
    let output = Command::new("bash")
        .arg(clients::source_directory().join("kcat_checks.sh"))
        .arg(bed.broker.address().to_string())
        .env("KCAT", kcat.program())
        .env("LD_LIBRARY_PATH", kcat.libraries())
        .output()
        .expect("bash runs");
    expect_success("kcat_checks.sh", &output, &bed.broker);
}

#[test]
fn kcat_moves_a_data_set_through_six_partitions_and_back() {
    let kcat = match Kcat::prepare() {
        Ok(kcat) => kcat,
        Err(skip) => return skip.say("kcat"),
    };
    let bed = bed(6);
    // The documented size is 100 MB; the suite moves a tenth of it, through every codec.
    let output = Command::new("bash")
        .arg(clients::source_directory().join("data_set.sh"))
        .arg(bed.broker.address().to_string())
        .env("KCAT", kcat.program())
        .env("LD_LIBRARY_PATH", kcat.libraries())
        .env("RECORDS", "40000")
        .output()
        .expect("bash runs");
    expect_success("data_set.sh", &output, &bed.broker);
}
