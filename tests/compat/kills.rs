//! Clients whose broker is killed under them: what idempotent producers send, and what is taken on in transactions, arrives
//! once and in order. `OTTLA_COMPAT_KILLS` says how often the broker is killed.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use ottla_testkit::foreign::Skip;
use ottla_testkit::process::BrokerCommand;

use crate::clients;

fn kills() -> usize {
    match std::env::var("OTTLA_COMPAT_KILLS") {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("OTTLA_COMPAT_KILLS={text}: {error}")),
        Err(_) => 3,
    }
}

/// The program sends until its standard input ends, with a line for each 500 records that are acknowledged or taken on;
/// then it reads them all, and ends with 0 if they are as they were sent.
fn expect_each_once(client: &str, program: Result<Command, Skip>) {
    let mut program = match program {
        Ok(program) => program,
        Err(skip) => return skip.say(client),
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let command = BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), directory.path().join("data"));
    let mut broker = command.start();
    let address = broker.address();
    let command = command.listen(address.to_string());
    let said = directory.path().join("said");
    program.arg(address.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    program.stderr(File::create(&said).expect("the directory can be written to"));
    let mut running = program.spawn().expect("a program starts");
    let output = BufReader::new(running.stdout.take().expect("it is piped"));
    let mut lines = output.lines().map(|line| line.expect("it is text"));
    let mut printed = Vec::new();
    let mut two_lines = || printed.extend(lines.by_ref().take(2));
    two_lines();
    let kills = kills();
    for _ in 0..kills {
        broker.kill();
        broker = command.start();
        // One may have been on its way when the broker was killed.
        two_lines();
    }
    drop(running.stdin.take());
    printed.extend(lines);
    let status = running.wait().expect("it is our child");
    let said = fs::read_to_string(said).unwrap_or_default();
    assert!(status.success(), "{client}: {status}\n{}\n{said}\n{}", printed.join("\n"), broker.said());
    let acknowledged = printed.iter().filter(|line| line.starts_with("acknowledged")).count();
    assert!(2 * (kills + 1) <= acknowledged, "{client} went on after each kill: {printed:?}");
}

#[test]
fn a_java_producer_outlives_its_broker() {
    expect_each_once("Java client", clients::java("KillChecks"));
}

#[test]
fn a_producer_of_librdkafka_outlives_its_broker() {
    expect_each_once("confluent-kafka", crate::CONFLUENT_KAFKA.checks("confluent_kafka_kills.py"));
}

#[test]
fn a_go_producer_outlives_its_broker() {
    expect_each_once("franz-go", with(clients::go("franz_go"), "kills"));
}

/// A program of ours with a word for what it does.
fn with(program: Result<Command, Skip>, word: &str) -> Result<Command, Skip> {
    program.map(|mut program| {
        program.arg(word);
        program
    })
}

/// T-44.
#[test]
fn java_members_take_records_on_once_while_their_broker_is_killed() {
    for protocol in ["classic", "consumer"] {
        expect_each_once("Java client", with(clients::java("TransformKills"), protocol));
    }
}

/// T-44.
#[test]
fn go_members_take_records_on_once_while_their_broker_is_killed() {
    expect_each_once("franz-go", with(clients::go("franz_go"), "transforms"));
}
