//! `ottla tail`.

use std::io::{BufRead as _, BufReader, Read as _};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bed::{Bed, wait_with_output};

#[test]
fn it_begins_where_it_is_told() {
    let bed = Bed::shared();
    let topic = bed.topic_with(1, "a\nb\nc\nd\n");
    let check = |options: &str, expected: &str| {
        let found = bed.ottla(&format!("tail {topic} --exit {options}")).expect_success();
        assert_eq!(found, expected, "{options}");
    };
    check("", "a\nb\nc\nd\n");
    check("--from beginning", "a\nb\nc\nd\n");
    check("--from end", "");
    check("--from 2", "c\nd\n");
    check("--from 4", "");
    check("--from -1", "d\n");
    check("--from -99", "a\nb\nc\nd\n");
    check("--from -1h", "a\nb\nc\nd\n");
    check("--from 2020-01-01", "a\nb\nc\nd\n");
    check("--from 2999-01-01T00:00Z", "");
    check("--count 2", "a\nb\n");
    check("--count 0", "");
    check("--from -3 --count 1", "b\n");
    check("--partition 0", "a\nb\nc\nd\n");
}

#[test]
fn the_last_ones_are_those_of_each_partition() {
    let bed = Bed::shared();
    let topic = bed.topic(2);
    for partition in 0..2 {
        let lines = format!("{partition}a\n{partition}b\n{partition}c\n");
        bed.ottla(&format!("produce {topic} --partition {partition}")).input(lines).expect_success();
    }
    let sorted = |options: &str| {
        let output = bed.ottla(&format!("tail {topic} --exit {options}")).expect_success();
        let mut lines: Vec<String> = output.lines().map(str::to_owned).collect();
        lines.sort();
        lines.join(" ")
    };
    assert_eq!(sorted("--from -2"), "0b 0c 1b 1c");
    assert_eq!(sorted("--partition 1"), "1a 1b 1c");
    // An offset that one of them has is taken for the nearest in the others.
    bed.ottla(&format!("produce {topic} --partition 0")).input("0d\n0e\n").expect_success();
    assert_eq!(sorted("--from 4"), "0e");
}

#[test]
fn records_are_printed_with_what_was_asked_for() {
    let bed = Bed::shared();
    let topic = bed.topic(1);
    bed.ottla(&format!("produce {topic} --key-separator = --header h=1"))
        .input(b"k=v\n\xff=\xfe\nnone\n")
        .expect_success();
    let output =
        bed.ottla(&format!("tail {topic} --exit --timestamps --headers --key-separator :")).run_to_bytes();
    let lines: Vec<&[u8]> = output.stdout.split(|byte| *byte == b'\n').collect();
    let (stamp, rest) = lines[0].split_at(24);
    assert!(stamp.starts_with(b"20") && stamp.ends_with(b"Z"), "{}", String::from_utf8_lossy(stamp));
    assert_eq!(rest, b"\th=1\tk:v");
    assert!(lines[1].ends_with(b"\th=1\t\xff:\xfe"));
    assert!(lines[2].ends_with(b"\th=1\tnone"));
    let json = bed.ottla(&format!("tail {topic} --exit --json")).expect_success();
    let records: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&records[0]["key"], &records[0]["value"]), (&"k".into(), &"v".into()));
    assert_eq!((&records[1]["key_base64"], &records[1]["value_base64"]), (&"/w==".into(), &"/g==".into()));
    assert!(records[1].get("key").is_none());
    assert_eq!((&records[2]["key"], &records[2]["value"]), (&serde_json::Value::Null, &"none".into()));
    assert!(records[2]["timestamp"].as_i64().expect("a number") > 1_600_000_000_000);
}

#[test]
fn it_follows_and_shows_each_record_at_once() {
    let bed = Bed::shared();
    let topic = bed.topic_with(3, "before\n");
    let mut child = bed.ottla(&format!("tail {topic} --from beginning")).start();
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!(next(), "before");
    for number in 0..5 {
        bed.ottla(&format!("produce {topic} --partition {}", number % 3))
            .input(format!("{number}\n"))
            .expect_success();
        assert_eq!(next(), number.to_string());
    }
    kill(Pid::from_raw(i32::try_from(child.id()).expect("small")), Signal::SIGINT).expect("it runs");
    let output = wait_with_output(child);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn it_ends_quietly_with_its_reader() {
    let bed = Bed::shared();
    let lines: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    let topic = bed.topic_with(1, &lines);
    for options in ["--exit", "--from beginning", "--exit --json"] {
        let mut child = bed.ottla(&format!("tail {topic} {options}")).start();
        let mut some = [0; 100];
        child.stdout.take().expect("piped").read_exact(&mut some).expect("there is more than that");
        let output = wait_with_output(child);
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()), "{options}");
    }
}

#[test]
fn an_interruption_ends_it_in_the_middle_of_much() {
    let bed = Bed::shared();
    let lines: String = (0..300_000).map(|number| format!("{number}\n")).collect();
    let topic = bed.topic_with(1, &lines);
    let mut child = bed.ottla(&format!("tail {topic} --from beginning")).start();
    let mut stdout = child.stdout.take().expect("piped");
    let mut some = [0; 100];
    stdout.read_exact(&mut some).expect("there is more than that");
    kill(Pid::from_raw(i32::try_from(child.id()).expect("small")), Signal::SIGINT).expect("it runs");
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("a pipe");
    let output = wait_with_output(child);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
    assert!(rest.ends_with(b"\n"), "whole records only");
    assert!(rest.len() + some.len() < lines.len(), "it did not go on to the end");
}

#[test]
fn it_goes_on_when_its_broker_comes_back() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let command = |listen: &str| {
        ottla_testkit::process::BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), directory.path())
            .listen(listen)
    };
    let broker = command("127.0.0.1:0").start();
    let address = broker.address().to_string();
    let ottla = |words: &str| crate::bed::Ottla::new(&format!("{words} --bootstrap-server {address}"));
    ottla("topic create t").expect_success();
    ottla("produce t").input("one\n").expect_success();
    let mut child = ottla("tail t --from beginning").start();
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "one");
    broker.kill();
    let broker = command(&address).start();
    ottla("produce t").input("two\n").expect_success();
    assert_eq!(lines.next().expect("a line").expect("text"), "two");
    drop(lines);
    ottla("produce t").input("three\n").expect_success();
    let output = wait_with_output(child);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
    drop(broker);
}
