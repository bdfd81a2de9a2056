//! What was changed is in effect when it is answered, and stays.

use ottla_protocol::api::list_config_resources::ListConfigResourcesRequest;
use ottla_protocol::record::Codec;
use ottla_testkit::batches::{batch, counted, read_batches, record};
use ottla_testkit::process::BrokerProcess;
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use super::{BROKER, DELETE, TOPIC, change, expect_value, set};
use crate::bed::{
    Bed, FETCH, PATIENCE, PRODUCE, Topic, append, command, create_topic, fetch, fresh_name, is_peer,
    list_offset, now_ms, produce, records_of, topic_id,
};

/// A broker of its own with a topic, for changes that reach all topics.
fn own_bed() -> (Bed, Topic) {
    let bed = Bed::with(|command| command.set("log.retention.check.interval.ms", 20));
    let topic = bed.topic(1, &[]);
    (bed, topic)
}

fn produced(client: &mut WireClient, topic: &Topic, bytes: usize) -> i16 {
    let sent = batch([record("x".repeat(bytes))]).at(now_ms());
    produce(client, PRODUCE, topic, 0, sent.to_bytes()).error_code
}

#[test]
fn the_largest_batch_changes_at_once() {
    if is_peer() {
        return;
    }
    let (bed, topic) = own_bed();
    let mut client = bed.client();
    assert_eq!(produced(&mut client, &topic, 2000), 0);
    for (kind, name, key) in [
        (TOPIC, &*topic.name, "max.message.bytes"),
        (BROKER, "", "message.max.bytes"),
        (BROKER, "1", "message.max.bytes"),
    ] {
        set(&mut client, kind, name, key, "1000");
        assert_eq!(produced(&mut client, &topic, 2000), 10, "{key} of {name:?}");
        assert_eq!(change(&mut client, kind, name, &[(key, DELETE, None)]), (0, false));
        assert_eq!(produced(&mut client, &topic, 2000), 0, "{key} of {name:?}");
    }
}

#[test]
fn compression_and_timestamps_change_at_once() {
    if is_peer() {
        return;
    }
    let (bed, topic) = own_bed();
    let mut client = bed.client();
    let stored = |client: &mut WireClient, at: i64| {
        let row = produce(client, PRODUCE, &topic, 0, counted(3).at(at).to_bytes());
        if row.error_code != 0 {
            return Err(row.error_code);
        }
        let row = fetch(client, FETCH, &topic, 0, row.base_offset);
        let stored = read_batches(&records_of(&row)).remove(0);
        Ok((stored.header.attributes.codec(), stored.header.max_timestamp))
    };
    let now = now_ms();
    assert_eq!(stored(&mut client, now).map(|(codec, _)| codec), Ok(Some(Codec::None)));
    set(&mut client, BROKER, "", "compression.type", "zstd");
    assert_eq!(stored(&mut client, now).map(|(codec, _)| codec), Ok(Some(Codec::Zstd)), "the brokers'");
    set(&mut client, TOPIC, &topic.name, "compression.type", "lz4");
    assert_eq!(stored(&mut client, now).map(|(codec, _)| codec), Ok(Some(Codec::Lz4)), "the topic's own");
    set(&mut client, BROKER, "1", "log.message.timestamp.before.max.ms", "1000");
    assert_eq!(stored(&mut client, 5), Err(32), "too old");
    set(&mut client, BROKER, "1", "log.message.timestamp.after.max.ms", "1000");
    assert_eq!(stored(&mut client, now + 600_000), Err(32), "too far ahead");
    set(&mut client, TOPIC, &topic.name, "message.timestamp.type", "LogAppendTime");
    let (_, timestamp) = stored(&mut client, 5).expect("the client's time does not count");
    assert!(now <= timestamp, "{timestamp}");
}

fn segments(bed: &BrokerDirectory, topic: &Topic) -> usize {
    let names =
        std::fs::read_dir(bed.path.join(format!("{}-0", topic.name))).expect("the log has a directory");
    names.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(".log")).count()
}

/// A broker whose files can be looked at.
struct BrokerDirectory {
    path: std::path::PathBuf,
    broker: Option<BrokerProcess>,
    _directory: tempfile::TempDir,
}

impl BrokerDirectory {
    fn new() -> BrokerDirectory {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().to_owned();
        let broker = Some(command(&path).set("log.retention.check.interval.ms", 20).start());
        BrokerDirectory { path, broker, _directory: directory }
    }

    fn client(&self) -> WireClient {
        WireClient::connect(self.broker.as_ref().expect("it runs").address())
    }

    fn restart(&mut self, is_killed: bool) {
        let broker = self.broker.take().expect("it runs");
        if is_killed {
            broker.kill();
        } else {
            broker.stop();
        }
        self.broker = Some(command(&self.path).set("log.retention.check.interval.ms", 20).start());
    }
}

fn topic_of(client: &mut WireClient) -> Topic {
    let name = fresh_name();
    create_topic(client, &name, 1, &[]);
    Topic { id: topic_id(client, &name), name }
}

#[test]
fn segments_and_retention_change_at_once() {
    if is_peer() {
        return;
    }
    let bed = BrokerDirectory::new();
    let mut client = bed.client();
    let topic = topic_of(&mut client);
    for _ in 0..4 {
        assert_eq!(produced(&mut client, &topic, 600_000), 0);
    }
    assert_eq!(segments(&bed, &topic), 1);
    set(&mut client, BROKER, "", "log.segment.bytes", "1048576");
    for _ in 0..4 {
        assert_eq!(produced(&mut client, &topic, 600_000), 0);
    }
    assert_eq!(segments(&bed, &topic), 5, "one record in each from now on");
    set(&mut client, TOPIC, &topic.name, "retention.bytes", "1300000");
    wait_for("the oldest have gone", PATIENCE, || {
        (list_offset(&mut client, &topic.name, 0, -2).offset == 5).then_some(())
    });
    set(&mut client, BROKER, "1", "log.retention.ms", "1");
    wait_for("all have gone", PATIENCE, || {
        (list_offset(&mut client, &topic.name, 0, -2).offset == 8).then_some(())
    });
}

#[test]
fn keys_are_asked_for_once_a_topic_is_compacted() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    let mut client = bed.client();
    append(&mut client, &topic, &counted(1));
    set(&mut client, TOPIC, &topic.name, "cleanup.policy", "compact");
    let refused =
        |client: &mut WireClient| produce(client, PRODUCE, &topic, 0, counted(1).to_bytes()).error_code == 87;
    if is_peer() {
        wait_for("keys are asked for", PATIENCE, || refused(&mut client).then_some(()));
    }
    assert!(refused(&mut client));
}

#[test]
fn what_was_set_survives_a_stop_and_a_kill() {
    if is_peer() {
        return;
    }
    let mut bed = BrokerDirectory::new();
    let mut client = bed.client();
    let topic = topic_of(&mut client);
    set(&mut client, TOPIC, &topic.name, "max.message.bytes", "5000");
    set(&mut client, BROKER, "", "compression.type", "gzip");
    set(&mut client, BROKER, "1", "log.segment.bytes", "2000000");
    for is_killed in [true, false] {
        bed.restart(is_killed);
        client = bed.client();
        expect_value(&mut client, TOPIC, &topic.name, "max.message.bytes", "5000", 1);
        expect_value(&mut client, TOPIC, &topic.name, "compression.type", "gzip", 3);
        expect_value(&mut client, TOPIC, &topic.name, "segment.bytes", "2000000", 2);
        expect_value(&mut client, BROKER, "1", "log.segment.bytes", "2000000", 2);
        let sent = batch([record("x".repeat(20_000))]).at(now_ms()).in_codec(Codec::None);
        assert_eq!(produce(&mut client, PRODUCE, &topic, 0, sent.to_bytes()).error_code, 10);
        let base = append(&mut client, &topic, &counted(2).at(now_ms()));
        let row = fetch(&mut client, FETCH, &topic, 0, base);
        let stored = read_batches(&records_of(&row)).remove(0);
        assert_eq!(stored.header.attributes.codec(), Some(Codec::Gzip), "killed: {is_killed}");
    }
}

#[test]
fn how_many_may_connect_changes_at_once() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command);
    let mut client = bed.client();
    set(&mut client, BROKER, "1", "max.connections.per.ip", "1");
    let serves = || {
        let mut another = WireClient::try_connect(bed.address()).expect("the system accepts");
        another.try_request(1, &ListConfigResourcesRequest::default()).is_ok()
    };
    assert!(!serves(), "the one connection that may be is there");
    set(&mut client, BROKER, "1", "max.connections.per.ip.overrides", "127.0.0.1:2");
    assert!(serves(), "this address may have two");
    let all = [("max.connections.per.ip", DELETE, None), ("max.connections.per.ip.overrides", DELETE, None)];
    assert_eq!(change(&mut client, BROKER, "1", &all), (0, false));
    set(&mut client, BROKER, "", "max.connections", "1");
    let mut waiting = WireClient::try_connect(bed.address()).expect("the system accepts");
    waiting.send(1, &ListConfigResourcesRequest::default());
    assert_eq!(change(&mut client, BROKER, "", &[("max.connections", DELETE, None)]), (0, false));
    assert!(
        waiting.try_receive::<ListConfigResourcesRequest>(1, 1).is_ok(),
        "it is let in once there is room"
    );
}
