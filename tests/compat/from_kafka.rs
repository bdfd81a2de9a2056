//! Data directories that Apache Kafka wrote, taken over by `ottla serve`. Without Java or Kafka's jars the tests say SKIPPED
//! and why.

#[path = "from_kafka/node.rs"]
mod node;
#[path = "from_kafka/opened_by_kafka.rs"]
mod opened_by_kafka;
#[path = "from_kafka/questions.rs"]
mod questions;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ottla_protocol::record::Codec;
use ottla_testkit::batches::{TestBatch, batch, keyed, record};
use ottla_testkit::foreign::kafka_jars;
use ottla_testkit::process::{BrokerCommand, BrokerProcess};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use self::node::Home;
use self::questions::{
    Content, Transactions, change_config, config, create_topic, delete_records, first_batch, offset_of,
    produce, producer_id, read_all, topic_id,
};

const PATIENCE: Duration = Duration::from_secs(60);
const ORDERS: &str = "orders";
const PARTITIONS: i32 = 2;
const BATCHES: usize = 250;
const RECORDS_PER_BATCH: usize = 100;
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
/// Where the timestamps of compacted records begin; a batch's are 10 ms apart and a batch lasts 1 s.
const BEGINNING: i64 = 1_700_000_000_000;

fn serve(data: &Path) -> BrokerProcess {
    BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), data).start()
}

/// So many hex digits that do not compress to nothing.
fn noise(seed: usize, digits: usize) -> String {
    let mut state = seed as u64 | 1 << 40;
    (0..digits / 16).fold(String::new(), |text, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text + &format!("{state:016x}")
    })
}

fn numbered_batch(number: usize) -> TestBatch {
    let records = (0..RECORDS_PER_BATCH).map(|index| record(noise(number * RECORDS_PER_BATCH + index, 640)));
    batch(records).in_codec(CODECS[number % CODECS.len()])
}

/// Most keys come again in the next batch; every third batch has one that does not.
fn keyed_batch(number: usize) -> TestBatch {
    let key = |index: usize| match index {
        40 if number.is_multiple_of(3) => format!("only-{number}"),
        _ => format!("key-{index}"),
    };
    let records = (0..RECORDS_PER_BATCH).zip(0_i64..).map(|(index, place)| {
        keyed(key(index), noise(number * RECORDS_PER_BATCH + index, 320)).after(place * 10)
    });
    let start = BEGINNING + i64::try_from(number).expect("small") * 1_000;
    batch(records).in_codec(CODECS[number % CODECS.len()]).at(start)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).expect("it is small")
}

#[test]
fn a_directory_that_kafka_wrote_is_taken_over() {
    let libraries = match kafka_jars(env!("CARGO_BIN_EXE_ottla")) {
        Ok(libraries) => libraries,
        Err(skip) => return skip.say("coming from Kafka"),
    };
    let place = tempfile::tempdir().expect("a temporary directory");
    let data = place.path().join("data");
    let home = Home::format(libraries, place.path());
    let kafka = home.start();
    let mut client = WireClient::connect(kafka.address);
    let configs = [("segment.bytes", "1048576"), ("retention.ms", "1000000000")];
    create_topic(&mut client, ORDERS, PARTITIONS, &configs);
    change_config(kafka.address, ORDERS, "retention.ms", "2000000000");
    let (producer, _) = producer_id(&mut client, None);
    let mut sequences = [0; PARTITIONS as usize];
    for number in 0..BATCHES {
        let partition = number % 2;
        // Partition 0 is an idempotent producer's.
        let mut sent = numbered_batch(number);
        if partition == 0 {
            sent = sent.of_producer(producer, 0, sequences[partition]);
        }
        sequences[partition] += i32::try_from(RECORDS_PER_BATCH).expect("it is small");
        produce(&mut client, ORDERS, i32::try_from(partition).expect("it is small"), &sent);
        if number + 2 == BATCHES {
            change_config(kafka.address, ORDERS, "max.message.bytes", "3000000");
        }
    }
    let id = topic_id(&mut client, ORDERS);
    let written: Vec<Content> =
        (0..PARTITIONS).map(|partition| read_all(&mut client, ORDERS, partition, 0)).collect();
    let records: i64 = written.iter().map(|content| content.records).sum();
    assert_eq!(records, count(BATCHES * RECORDS_PER_BATCH));

    // While Kafka runs nothing happens.
    let (code, said) = BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), &data).run_to_end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Kafka is running on it"), "{said}");
    drop(client);
    kafka.stop();

    let said = dry_run(&data).expect("it can be taken over");
    assert!(said.contains("stopped cleanly") && said.contains("moved to ottla-kafka/"), "{said}");
    assert!(data.join("meta.properties").exists() && !data.join("ottla-metadata").exists());

    let broker = serve(&data);
    let mut client = WireClient::connect(broker.address());
    assert_eq!(topic_id(&mut client, ORDERS), id);
    assert_eq!(config(&mut client, ORDERS, "retention.ms").as_deref(), Some("2000000000"));
    assert_eq!(config(&mut client, ORDERS, "max.message.bytes").as_deref(), Some("3000000"));
    for (partition, expected) in (0..PARTITIONS).zip(&written) {
        let found = read_all(&mut client, ORDERS, partition, 0);
        assert!(found == *expected, "the same bytes of partition {partition}");
    }
    // The producer repeats its last batch, which is there, and goes on.
    let number = BATCHES - 2;
    let per_batch = i32::try_from(RECORDS_PER_BATCH).expect("it is small");
    let end = written[0].end;
    let again = numbered_batch(number).of_producer(producer, 0, sequences[0] - per_batch);
    let found = produce(&mut client, ORDERS, 0, &again);
    assert_eq!(found, end - i64::from(per_batch), "it is not appended again");
    let next = numbered_batch(BATCHES).of_producer(producer, 0, sequences[0]);
    assert_eq!(produce(&mut client, ORDERS, 0, &next), end);
    assert!(producer < producer_id(&mut client, None).0, "no producer id is given twice");
    assert_eq!(read_all(&mut client, ORDERS, 0, 0).end, end + i64::from(per_batch));
    drop(client);
    assert!(broker.stop().success(), "it stops cleanly");
    for partition in 0..PARTITIONS {
        assert!(2 < home.dump(&format!("{ORDERS}-{partition}")), "several segments");
    }

    // And once more, as our own directory.
    let broker = serve(&data);
    let mut client = WireClient::connect(broker.address());
    assert_eq!(read_all(&mut client, ORDERS, 0, 0).end, end + i64::from(per_batch));
    assert!(read_all(&mut client, ORDERS, 1, 0) == written[1]);
}

/// What a dry run says, or why it refuses.
fn dry_run(data: &Path) -> Result<String, String> {
    let dry = BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), data).argument("--take-over-dry-run");
    let output = dry.to_command().stdout(Stdio::piped()).output().expect("it runs");
    let [said, complaints] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    if output.status.success() { Ok(said) } else { Err(complaints) }
}

const LATEST: &str = "latest";
const PAID: &str = "paid";
const TRIMMED: &str = "trimmed";
const TOPICS: [&str; 3] = [LATEST, PAID, TRIMMED];
const KEYED_BATCHES: usize = 120;

/// What readers see of the topics.
struct Seen {
    contents: Vec<Content>,
    /// The batch that a fetch begins with, for offsets all over the compacted topic.
    first_batches: Vec<Option<(i64, usize)>>,
    /// The offsets of timestamps all over the compacted topic, and some of the others.
    offsets: Vec<i64>,
}

fn look(client: &mut WireClient) -> Seen {
    let contents = TOPICS.iter().map(|topic| {
        let start = offset_of(client, topic, -2);
        read_all(client, topic, 0, start)
    });
    let contents: Vec<Content> = contents.collect();
    let end = contents[0].end;
    let from = (0..end).step_by(37).chain([end - 1]);
    let first_batches = from.map(|from| first_batch(client, LATEST, from)).collect();
    let duration = count(KEYED_BATCHES) * 1_000;
    let times = (-500..duration + 500).step_by(373).map(|time| BEGINNING + time);
    let mut offsets: Vec<i64> = times.map(|time| offset_of(client, LATEST, time)).collect();
    for topic in TOPICS {
        offsets.extend([-1, -2, -3].map(|question| offset_of(client, topic, question)));
    }
    Seen { contents, first_batches, offsets }
}

fn create_topics(client: &mut WireClient) {
    let configs =
        [("cleanup.policy", "compact"), ("segment.bytes", "1048576"), ("min.cleanable.dirty.ratio", "0.01")];
    create_topic(client, LATEST, 1, &configs);
    create_topic(client, PAID, 1, &[("retention.ms", "-1")]);
    create_topic(client, TRIMMED, 1, &[("retention.ms", "-1")]);
}

/// Writes so much that there are several segments, and waits until the cleaner has been in them.
fn write_compacted(client: &mut WireClient, data: &Path) {
    let (producer, epoch) = producer_id(client, None);
    for number in 0..KEYED_BATCHES {
        let sequence = i32::try_from(number * RECORDS_PER_BATCH).expect("it is small");
        let sent = keyed_batch(number);
        let sent = if number < 60 { sent.of_producer(producer, epoch, sequence) } else { sent };
        produce(client, LATEST, 0, &sent);
    }
    let bytes = || {
        let sizes =
            fs::read_dir(data.join(format!("{LATEST}-0"))).expect("it is there").filter_map(|entry| {
                let entry = entry.ok()?;
                entry.file_name().to_str()?.ends_with(".log").then(|| entry.metadata().ok())?
            });
        sizes.map(|found| found.len()).sum::<u64>()
    };
    // Some 3 MB were written, of which the last segment stays as it is.
    wait_for("the cleaner has been in the log", PATIENCE, || (bytes() < 1_600_000).then_some(()));
}

/// Three transactions of one producer and one of another, interleaved: two committed, two aborted.
fn write_transactions(client: &mut WireClient) {
    let mut one = Transactions::begin(client, "one", PAID);
    let mut other = Transactions::begin(client, "other", PAID);
    for (number, commits) in [true, false, true].into_iter().enumerate() {
        one.produce(client, &numbered_batch(number));
        if number == 1 {
            other.produce(client, &numbered_batch(number + 10));
        }
        produce(client, PAID, 0, &numbered_batch(number + 20));
        one.produce(client, &numbered_batch(number + 30));
        one.end(client, commits);
    }
    other.produce(client, &numbered_batch(40));
    other.end(client, false);
    produce(client, PAID, 0, &numbered_batch(50));
    wait_for("everything is decided", PATIENCE, || (offset_of(client, PAID, -1) == 1_204).then_some(()));
}

fn write_trimmed(client: &mut WireClient) {
    for number in 0..3 {
        produce(client, TRIMMED, 0, &keyed_batch(number));
    }
    delete_records(client, TRIMMED, 150);
}

#[test]
fn what_kafka_compacted_aborted_and_deleted_stays_so() {
    let libraries = match kafka_jars(env!("CARGO_BIN_EXE_ottla")) {
        Ok(libraries) => libraries,
        Err(skip) => return skip.say("coming from Kafka, compacted and with transactions"),
    };
    let place = tempfile::tempdir().expect("a temporary directory");
    let data = place.path().join("data");
    let home = Home::format(libraries, place.path());
    let kafka = home.start();
    let mut client = WireClient::connect(kafka.address);
    create_topics(&mut client);
    write_compacted(&mut client, &data);
    write_transactions(&mut client);
    write_trimmed(&mut client);
    let mut open = Transactions::begin(&mut client, "open", PAID);
    let before = look(&mut client);
    let [latest, paid, trimmed] = &before.contents[..] else { panic!("three topics") };
    assert!(latest.records < latest.end / 2, "there are gaps: {} of {}", latest.records, latest.end);
    assert!(latest.batches < KEYED_BATCHES, "between batches too: {}", latest.batches);
    assert_eq!(paid.aborted.len(), 2, "{:?}", paid.aborted);
    assert_eq!((trimmed.records, trimmed.end), (200, 300));

    // A transaction that is open is taken over with its coordinator's log.
    open.produce(&mut client, &numbered_batch(60));
    let before = look(&mut client);
    drop(client);
    kafka.stop();

    dry_run(&data).expect("it can be taken over");
    let broker = serve(&data);
    let mut client = WireClient::connect(broker.address());
    check_same(&before, &look(&mut client));
    // Who asks for the id again ends what it was used for.
    producer_id(&mut client, Some("open"));
    wait_for("it is aborted", PATIENCE, || (offset_of(&mut client, PAID, -1) == 1_305).then_some(()));
    let before = look(&mut client);
    assert_eq!(before.contents[1].aborted.len(), 3);
    for (topic, content) in TOPICS.iter().zip(&before.contents) {
        assert_eq!(produce(&mut client, topic, 0, &keyed_batch(0)), content.end, "{topic} goes on");
    }
    let after = look(&mut client);
    drop(client);
    assert!(broker.stop().success(), "it stops cleanly");
    for topic in TOPICS {
        assert!(0 < home.dump(&format!("{topic}-0")));
    }

    // And once more, as our own directory; and once more after a kill.
    for _ in 0..2 {
        let broker = serve(&data);
        check_same(&after, &look(&mut WireClient::connect(broker.address())));
        broker.kill();
    }
}

#[track_caller]
fn check_same(expected: &Seen, found: &Seen) {
    for ((topic, expected), found) in TOPICS.iter().zip(&expected.contents).zip(&found.contents) {
        assert_eq!(found.aborted, expected.aborted, "{topic}");
        assert_eq!(
            (found.batches, found.records, found.end),
            (expected.batches, expected.records, expected.end)
        );
        assert!(found.bytes == expected.bytes, "the same bytes of {topic}");
    }
    assert_eq!(found.first_batches, expected.first_batches);
    assert_eq!(found.offsets, expected.offsets);
}
