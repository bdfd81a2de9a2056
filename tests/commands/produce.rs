//! `ottla produce`, and that `ottla tail` gives back what it was given.

use std::fs;
use std::io::Write as _;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bed::{Bed, wait_for, wait_with_output};

/// What `ottla tail --exit` prints of a topic.
fn tail(bed: &Bed, topic: &str, options: &str) -> Vec<u8> {
    let output = bed.ottla(&format!("tail {topic} --exit {options}")).run_to_bytes();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn lines_come_back_byte_for_byte() {
    let bed = Bed::shared();
    for (input, output) in [
        (b"one\ntwo\n".as_slice(), b"one\ntwo\n".as_slice()),
        (b"no line feed at the end", b"no line feed at the end\n"),
        (b"\n\n", b"\n\n"),
        (b"", b""),
        (b"\xff\xfe\x00\r\n\t \n", b"\xff\xfe\x00\r\n\t \n"),
    ] {
        let topic = bed.topic(1);
        bed.ottla(&format!("produce {topic}")).input(input).expect_success();
        assert_eq!(tail(&bed, &topic, ""), output);
    }
}

#[test]
fn keys_come_back_byte_for_byte() {
    let bed = Bed::shared();
    let input = b"k1:v1\nk2:v:2\n:empty key\nempty value:\nno key\n:\n\n\xff:\xfe\n";
    for (separator, text) in
        [(":", input.to_vec()), ("\\t", input.map(|byte| if byte == b':' { b'\t' } else { byte }).to_vec())]
    {
        let topic = bed.topic(1);
        bed.ottla(&format!("produce {topic} --key-separator {separator}")).input(&text).expect_success();
        assert_eq!(tail(&bed, &topic, &format!("--key-separator {separator}")), text);
    }
}

#[test]
fn each_codec_and_each_acks_carries_what_was_read() {
    let bed = Bed::shared();
    let lines: String =
        (0..5_000).map(|number| format!("key-{}\tvalue {number} of many\n", number % 50)).collect();
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for options in ["none", "gzip", "snappy", "lz4", "zstd"]
        .map(|codec| format!("--compression {codec}"))
        .into_iter()
        .chain(["0", "1", "all", "-1"].map(|acks| format!("--acks {acks}")))
    {
        let topic = bed.topic(6);
        let produce = format!("produce {topic} --key-separator \\t {options}");
        bed.ottla(&produce).input(&lines).expect_success();
        let read = || String::from_utf8(tail(&bed, &topic, "--key-separator \\t")).expect("text");
        // With acks=0 nobody says when the last one has arrived.
        let back = wait_for(&options, || Some(read()).filter(|back| back.lines().count() == 5_000));
        assert_eq!(sorted(&back), sorted(&lines), "{options}");
        for key in 0..50 {
            let of_key = |text: &str| -> Vec<String> {
                let begin = format!("key-{key}\t");
                text.lines().filter(|line| line.starts_with(&begin)).map(str::to_owned).collect()
            };
            assert_eq!(of_key(&back), of_key(&lines), "{options}: the order of key-{key}");
        }
    }
}

#[test]
fn headers_and_the_partition_are_those_that_were_asked_for() {
    let bed = Bed::shared();
    let topic = bed.topic(3);
    bed.ottla(&format!("produce {topic} --partition 2 --header a=1 --header b=x=y --header a="))
        .input("v\n")
        .expect_success();
    let json = tail(&bed, &topic, "--json");
    let record: serde_json::Value = serde_json::from_slice(&json).expect("one object");
    assert_eq!((&record["partition"], &record["offset"]), (&2.into(), &0.into()));
    let headers = serde_json::json!([
        { "key": "a", "value": "1" }, { "key": "b", "value": "x=y" }, { "key": "a", "value": "" },
    ]);
    assert_eq!(record["headers"], headers);
    assert_eq!(tail(&bed, &topic, "--headers"), b"a=1,b=x=y,a=\tv\n");
}

#[test]
fn files_are_records() {
    let bed = Bed::shared();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).expect("files can be written");
        path.display().to_string()
    };
    let (one, two) = (file("one", b"several\nlines\n"), file("two", b""));
    let topic = bed.topic(1);
    bed.ottla(&format!("produce {topic} --files {one} {two}")).expect_success();
    assert_eq!(tail(&bed, &topic, ""), b"several\nlines\n\n\n");
    bed.ottla(&format!("produce {topic} --files {one} /no/such/file"))
        .expect_failure(1, &["/no/such/file", "1 of the 1 records"]);
}

#[test]
fn json_counts_what_was_written() {
    let bed = Bed::shared();
    let topic = bed.topic(1);
    let said = bed.ottla(&format!("produce {topic} --json")).input("a\nbc\n").expect_success();
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said, serde_json::json!({ "topic": topic, "records": 2, "written": 2, "bytes": 3 }));
}

#[test]
fn a_record_that_is_refused_is_named() {
    let bed = Bed::shared();
    let topic = bed.topic(1);
    bed.ottla(&format!("topic create {topic}-small --config max.message.bytes=1000")).expect_success();
    let large = format!("fits\n{}\n", "x".repeat(2_000));
    bed.ottla(&format!("produce {topic}-small"))
        .input(&large)
        .expect_failure(1, &["record 2", "max.message.bytes"]);
    bed.ottla(&format!("produce {topic}"))
        .input("x".repeat(3 << 20))
        .expect_failure(1, &["record 1", "bytes"]);
}

#[test]
fn what_was_typed_is_written_at_once_and_survives_an_interruption() {
    let bed = Bed::shared();
    let topic = bed.topic(1);
    let mut child = bed.ottla(&format!("produce {topic}")).start();
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"first\nsecond\nhalf a li").expect("it reads");
    stdin.flush().expect("it reads");
    wait_for("both lines are written", || (tail(&bed, &topic, "") == b"first\nsecond\n").then_some(()));
    kill(Pid::from_raw(i32::try_from(child.id()).expect("small")), Signal::SIGINT).expect("it runs");
    let output = wait_with_output(child);
    drop(stdin);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("interrupted") && said.contains("2 of the 2"), "{said}");
}
