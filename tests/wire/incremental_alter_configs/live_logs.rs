//! What a log that is open does differently as soon as its configs have changed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ottla_protocol::api::describe_producers::{DescribeProducersRequest, DescribeProducersRequestTopic};
use ottla_testkit::batches::{batch, counted, record};
use ottla_testkit::http::{get, sample};
use ottla_testkit::process::{BrokerCommand, BrokerProcess};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use super::{BROKER, DELETE, TOPIC, change, set};
use crate::bed::{
    PATIENCE, Topic, append, command, create_topic, fresh_name, is_peer, now_ms, producer_id, topic_id,
};

/// A broker of its own, with a topic whose files can be looked at.
struct Live {
    broker: BrokerProcess,
    client: WireClient,
    topic: Topic,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Live {
    fn with(configure: impl FnOnce(BrokerCommand) -> BrokerCommand) -> Live {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let broker = configure(command(directory.path())).start();
        let mut client = WireClient::connect(broker.address());
        let name = fresh_name();
        create_topic(&mut client, &name, 1, &[]);
        let topic = Topic { id: topic_id(&mut client, &name), name };
        let log = directory.path().join(format!("{}-0", topic.name));
        Live { broker, client, topic, log, _directory: directory }
    }

    /// Appends so many batches of some 2 kB.
    fn append(&mut self, count: usize) {
        for _ in 0..count {
            append(&mut self.client, &self.topic, &batch([record("x".repeat(2_000))]).at(now_ms()));
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        set(&mut self.client, TOPIC, &self.topic.name, key, value);
    }
}

/// The sizes of the files in a directory whose names end so, in the order of their names.
fn sizes(directory: &Path, ending: &str) -> Vec<u64> {
    let entries = std::fs::read_dir(directory).expect("the log has a directory").flatten();
    let mut files: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(ending))
        .map(|entry| (entry.file_name(), entry.metadata().expect("it is there").len()))
        .collect();
    files.sort();
    files.into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn the_flush_policy_decides_from_the_next_append_on() {
    if is_peer() {
        return;
    }
    let mut live = Live::with(|command| command.http_listen("127.0.0.1:0"));
    let http = live.broker.http_address().expect("it says where");
    let durable = |http: SocketAddr| {
        let text = get(http, "/metrics").body;
        let value = |name: &str| sample(&text, name).unwrap_or_else(|| panic!("{name} in\n{text}"));
        (value("ottla_log_appended_records_total"), value("ottla_log_durable_records_total"))
    };
    let counts = |wanted: (f64, f64)| {
        wait_for("what is appended and durable is counted", PATIENCE, || {
            (durable(http) == wanted).then_some(())
        });
    };
    live.append(2);
    counts((2.0, 2.0));
    live.set("ottla.flush.policy", "os");
    live.append(3);
    counts((5.0, 2.0));
    live.set("ottla.flush.policy", "group");
    live.append(1);
    counts((6.0, 6.0));
    // And what holds for all topics.
    set(&mut live.client, BROKER, "", "ottla.flush.policy", "os");
    let change = change(&mut live.client, TOPIC, &live.topic.name, &[("ottla.flush.policy", DELETE, None)]);
    assert_eq!(change, (0, false));
    live.append(1);
    counts((7.0, 6.0));
}

#[test]
fn a_segment_ends_by_its_new_age_and_size() {
    if is_peer() {
        return;
    }
    let mut live = Live::with(|command| command);
    live.append(3);
    assert_eq!(sizes(&live.log, ".log").len(), 1);
    live.set("segment.ms", "1");
    live.append(1);
    assert_eq!(sizes(&live.log, ".log").len(), 2, "the first is older than that");
    live.set("segment.ms", "600000");
    live.append(5);
    let before = sizes(&live.log, ".log");
    assert!(before.len() <= 3, "those that are new stay: {before:?}");
    live.set("segment.bytes", "1048576");
    let large = batch([record("x".repeat(700_000))]).at(now_ms());
    append(&mut live.client, &live.topic, &large);
    append(&mut live.client, &live.topic, &large);
    assert_eq!(sizes(&live.log, ".log").len(), before.len() + 1, "two do not fit into one");
}

#[test]
fn an_index_is_as_dense_as_was_said_before_its_segment_began() {
    if is_peer() {
        return;
    }
    const ENTRY_BYTES: u64 = 8;
    let mut live = Live::with(|command| command);
    live.set("index.interval.bytes", "1000000");
    live.append(5);
    live.set("index.interval.bytes", "1");
    live.append(5);
    live.set("segment.ms", "1");
    live.append(1);
    live.set("segment.ms", "600000");
    live.append(9);
    let Live { broker, client, log, _directory, .. } = live;
    drop(client);
    assert!(broker.stop().success());
    let entries: Vec<u64> = sizes(&log, ".index").iter().map(|bytes| bytes / ENTRY_BYTES).collect();
    assert_eq!(sizes(&log, ".log").len(), 2);
    assert_eq!(entries, [9], "none where it was sparse, then one for each batch but the first");
}

#[test]
fn producers_are_forgotten_after_the_new_time() {
    if is_peer() {
        return;
    }
    let mut live = Live::with(|command| command.set("producer.id.expiration.check.interval.ms", 20));
    let id = producer_id(&mut live.client);
    append(&mut live.client, &live.topic, &counted(1).at(now_ms()).of_producer(id, 0, 0));
    let request = DescribeProducersRequest {
        topics: vec![DescribeProducersRequestTopic {
            name: live.topic.name.clone(),
            partition_indexes: vec![0],
        }],
    };
    let known =
        |client: &mut WireClient| client.request(0, &request).topics[0].partitions[0].active_producers.len();
    assert_eq!(known(&mut live.client), 1);
    set(&mut live.client, BROKER, "", "producer.id.expiration.ms", "50");
    wait_for("it is forgotten", PATIENCE, || (known(&mut live.client) == 0).then_some(()));
    set(&mut live.client, BROKER, "1", "producer.id.expiration.ms", "600000");
    append(&mut live.client, &live.topic, &counted(1).at(now_ms()).of_producer(id, 0, 7));
    assert_eq!(known(&mut live.client), 1, "it may begin anywhere, and is known again");
}
