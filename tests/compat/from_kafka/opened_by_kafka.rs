//! Logs that we wrote and compacted, opened by Apache Kafka as its own. What Kafka needs beside them, the metadata with the
//! topics and their ids, is from before: so this is no way back for users, but the proof that the files are Kafka's.

use std::fs;
use std::path::Path;

use ottla_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::wire::Str;
use ottla_testkit::batches::{TestRecord, batch, keyed};
use ottla_testkit::foreign::kafka_jars;
use ottla_testkit::members::wait_for_coordinator;
use ottla_testkit::process::BrokerCommand;
use ottla_testkit::wait::{try_wait_for, wait_for};
use ottla_testkit::wire_client::WireClient;

use super::node::Home;
use super::questions::{Transactions, list_offset_code, producer_id};
use super::{
    LATEST, PATIENCE, TOPICS, check_same, create_topics, look, write_compacted, write_transactions,
    write_trimmed,
};

const GROUP: &str = "readers";
const INTERNAL: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// Committed and aborted records of the compacted topic, with keys that nobody writes again, and tombstones.
fn write_keys_in_transactions(client: &mut WireClient) {
    let mut producer = Transactions::begin(client, "keys", LATEST);
    for (number, commits) in [true, false, true, true].into_iter().enumerate() {
        let records = (0..50).map(|index| keyed(format!("paid-{number}-{index}"), format!("value {index}")));
        producer.produce(client, &batch(records));
        producer.end(client, commits);
    }
    let tombstone = |index| TestRecord { value: None, ..keyed(format!("paid-0-{index}"), "") };
    producer.produce(client, &batch((0..25).map(tombstone)));
    producer.end(client, true);
}

fn commit(client: &mut WireClient, committed_offset: i64) {
    wait_for_coordinator(client, 0, GROUP);
    let row = OffsetCommitRequestPartition { committed_offset, ..Default::default() };
    let topic = OffsetCommitRequestTopic {
        name: Str::from(LATEST),
        partitions: vec![row],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: Str::from(GROUP),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    wait_for("the offset is committed", PATIENCE, || {
        (client.request(8, &request).topics[0].partitions[0].error_code == 0).then_some(())
    });
}

fn committed(client: &mut WireClient) -> i64 {
    wait_for_coordinator(client, 0, GROUP);
    let topic = OffsetFetchRequestTopics {
        name: Str::from(LATEST),
        partition_indexes: vec![0],
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: Str::from(GROUP),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    wait_for("the group is loaded", PATIENCE, || {
        let group = client.request(8, &request).groups.remove(0);
        (group.error_code == 0).then(|| group.topics[0].partitions[0].committed_offset)
    })
}

/// Leaves of the directory what Kafka knows, and has it look at all of every log.
fn give_back(data: &Path) {
    let kept = data.join("ottla-kafka");
    for entry in fs::read_dir(&kept).expect("it was taken over").flatten() {
        fs::rename(entry.path(), data.join(entry.file_name())).expect("they are on one file system");
    }
    for entry in fs::read_dir(data).expect("it is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let says_what_is_safe =
            ["recovery-point-offset-checkpoint", ".kafka_cleanshutdown"].contains(&&*name);
        if name.starts_with("ottla-") || says_what_is_safe {
            let removed = match entry.path().is_dir() {
                true => fs::remove_dir_all(entry.path()),
                false => fs::remove_file(entry.path()),
            };
            removed.expect("it is ours");
        }
    }
}

#[test]
fn kafka_opens_what_was_compacted_here() {
    let libraries = match kafka_jars(env!("CARGO_BIN_EXE_ottla")) {
        Ok(libraries) => libraries,
        Err(skip) => return skip.say("Kafka on our logs"),
    };
    let place = tempfile::tempdir().expect("a temporary directory");
    let data = place.path().join("data");
    let home = Home::format(libraries, place.path());
    let kafka = home.start();
    let mut client = WireClient::connect(kafka.address);
    create_topics(&mut client);
    // The internal topics are Kafka's too.
    wait_for_coordinator(&mut client, 0, GROUP);
    wait_for_coordinator(&mut client, 1, "keys");
    producer_id(&mut client, Some("keys"));
    commit(&mut client, 1);
    drop(client);
    kafka.stop();

    let broker =
        BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), &data).set("log.cleaner.backoff.ms", 200).start();
    let mut client = WireClient::connect(broker.address());
    write_keys_in_transactions(&mut client);
    write_compacted(&mut client, &data);
    write_transactions(&mut client);
    write_trimmed(&mut client);
    (2..40).for_each(|offset| commit(&mut client, offset));
    let mut expected = look(&mut client);
    let latest = &expected.contents[0];
    assert!(latest.records < latest.end / 2, "there are gaps: {} of {}", latest.records, latest.end);
    drop(client);
    assert!(broker.stop().success(), "it stops cleanly");
    // The directory is given to Kafka as its own.
    give_back(&data);
    home.stop_cleaning();
    for topic in TOPICS.into_iter().chain([INTERNAL[1]]) {
        assert!(0 < home.dump(&format!("{topic}-0")));
    }
    let kafka = home.start();
    let led = try_wait_for(PATIENCE, || {
        let mut client = WireClient::connect(kafka.address);
        TOPICS.iter().all(|topic| list_offset_code(&mut client, topic) == Some(0)).then_some(())
    });
    assert!(led.is_some(), "{}", fs::read_to_string(place.path().join("server.log")).unwrap_or_default());
    let mut client = WireClient::connect(kafka.address);
    let found = look(&mut client);
    // Kafka made the index of aborted transactions anew from the log: those of which compaction left nothing are not in it.
    assert!(found.contents[0].aborted.is_subset(&expected.contents[0].aborted));
    expected.contents[0].aborted.clone_from(&found.contents[0].aborted);
    check_same(&expected, &found);
    assert_eq!(committed(&mut client), 39);
    let (_, epoch) = producer_id(&mut client, Some("keys"));
    assert!(0 < epoch, "Kafka knows the id and goes on from its epoch");
    drop(client);
    kafka.stop();
    let said = fs::read_to_string(place.path().join("server.log")).expect("it was written");
    let complaint = said.lines().find(|line| line.contains(" ERROR ") || line.contains("orrupt"));
    assert_eq!(complaint, None, "Kafka has nothing to complain of");
}
