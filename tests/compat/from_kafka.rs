//! A data directory that Apache Kafka wrote, taken over by `ottla serve`.
//!
//! Without Java or Kafka's jars the test says SKIPPED and why.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::api::create_topics::{
    CreateTopicsRequest, CreateTopicsRequestConfig, CreateTopicsRequestTopic,
};
use ottla_protocol::api::describe_configs::{DescribeConfigsRequest, DescribeConfigsRequestResource};
use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsRequestConfig,
    IncrementalAlterConfigsRequestResource,
};
use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::record::Codec;
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::{Records, Str};
use ottla_testkit::batches::{TestBatch, batch, read_batches, record};
use ottla_testkit::foreign::kafka_jars;
use ottla_testkit::process::{BrokerCommand, BrokerProcess};
use ottla_testkit::wait::{try_wait_for, wait_for};
use ottla_testkit::wire_client::WireClient;

const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";
const PARTITIONS: i32 = 2;
const BATCHES: usize = 250;
const RECORDS_PER_BATCH: usize = 100;
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// A node of Kafka's. Dropped, it is killed.
struct Kafka {
    address: SocketAddr,
    process: Child,
}

impl Kafka {
    /// Formats `place/data` and starts a node that is broker and controller on it.
    fn start(libraries: &Path, place: &Path) -> Kafka {
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [address, controller] = ports.map(|port| port.local_addr().expect("it is bound"));
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers={controller}\n\
             listeners=PLAINTEXT://{address},CONTROLLER://{controller}\nadvertised.listeners=PLAINTEXT://{address}\n\
             inter.broker.listener.name=PLAINTEXT\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={}\noffsets.topic.replication.factor=1\n",
            place.join("data").display()
        );
        fs::write(place.join("server.properties"), properties).expect("the directory can be written to");
        let mut format = java(libraries, place);
        format.args(["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"]);
        let formatted = format.args(["server.properties", "--standalone"]).output().expect("java runs");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        let log = File::create(place.join("server.log")).expect("the directory can be written to");
        let mut serve = java(libraries, place);
        serve.args(["kafka.Kafka", "server.properties"]).stdin(Stdio::null());
        serve.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let kafka = Kafka { address, process: serve.spawn().expect("java runs") };
        let listens = try_wait_for(PATIENCE, || TcpStream::connect(address).ok());
        assert!(listens.is_some(), "{}", fs::read_to_string(place.join("server.log")).unwrap_or_default());
        kafka
    }

    /// Stops it as an operator does, with SIGTERM.
    fn stop(mut self) {
        let id = self.process.id().to_string();
        let told = Command::new("kill").arg(id).status().expect("kill runs");
        assert!(told.success());
        wait_for("Kafka stops", PATIENCE, || self.process.try_wait().expect("it is ours"));
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

fn java(libraries: &Path, place: &Path) -> Command {
    let mut java = Command::new("java");
    java.current_dir(place).args(["-Xmx384m", "-XX:TieredStopAtLevel=1", "-cp"]);
    java.arg(format!("{}/*", libraries.display()));
    java
}

fn serve(data: &Path) -> BrokerProcess {
    BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), data).start()
}

fn create_topic(client: &mut WireClient) {
    let config =
        |name, value| CreateTopicsRequestConfig { name: Str::from(name), value: Some(Str::from(value)) };
    let topic = CreateTopicsRequestTopic {
        name: Str::from(TOPIC),
        num_partitions: PARTITIONS,
        replication_factor: 1,
        configs: vec![config("segment.bytes", "1048576"), config("retention.ms", "1000000000")],
        ..CreateTopicsRequestTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    // The node may still be on its way to being its own broker.
    wait_for("the topic is created", PATIENCE, || {
        (client.request(7, &request).topics[0].error_code == 0).then_some(())
    });
}

fn change_config(address: SocketAddr, name: &'static str, value: &'static str) {
    let request = IncrementalAlterConfigsRequest {
        resources: vec![IncrementalAlterConfigsRequestResource {
            resource_type: 2,
            resource_name: Str::from(TOPIC),
            configs: vec![IncrementalAlterConfigsRequestConfig {
                name: Str::from(name),
                config_operation: 0,
                value: Some(Str::from(value)),
            }],
        }],
        validate_only: false,
    };
    // A node that has just started hangs up where it can't pass the request on yet.
    let mut last = String::new();
    let changed = try_wait_for(PATIENCE, || match WireClient::connect(address).try_request(0, &request) {
        Ok(response) if response.responses[0].error_code == 0 => Some(()),
        other => {
            last = format!("{other:?}");
            None
        }
    });
    assert!(changed.is_some(), "{name} is not changed: {last}");
}

fn config(client: &mut WireClient, name: &'static str) -> Option<String> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsRequestResource {
            resource_type: 2,
            resource_name: Str::from(TOPIC),
            configuration_keys: Some(vec![Str::from(name)]),
        }],
        ..DescribeConfigsRequest::default()
    };
    let response = client.request(4, &request);
    response.results[0].configs[0].value.as_ref().map(|value| value.as_str().to_owned())
}

fn topic_id(client: &mut WireClient) -> TopicId {
    let topics =
        vec![MetadataRequestTopic { name: Some(Str::from(TOPIC)), ..MetadataRequestTopic::default() }];
    let response =
        client.request(12, &MetadataRequest { topics: Some(topics), ..MetadataRequest::default() });
    assert_eq!(response.topics[0].error_code, 0);
    response.topics[0].topic_id
}

fn producer_id(client: &mut WireClient) -> i64 {
    let request =
        InitProducerIdRequest { transaction_timeout_ms: 60_000, ..InitProducerIdRequest::default() };
    wait_for("a producer id is given", PATIENCE, || {
        let response = client.request(4, &request);
        (response.error_code == 0).then_some(response.producer_id)
    })
}

/// Produces with acks=all; the base offset.
#[track_caller]
fn produce(client: &mut WireClient, partition: i32, batch: &TestBatch) -> i64 {
    let data = ProduceRequestPartition { index: partition, records: Some(batch.to_bytes()) };
    let topic = ProduceRequestTopic {
        name: Str::from(TOPIC),
        partition_data: vec![data],
        ..ProduceRequestTopic::default()
    };
    let request =
        ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 30_000, topic_data: vec![topic] };
    let response = client.request(9, &request);
    let row = &response.responses[0].partition_responses[0];
    assert_eq!(row.error_code, 0, "{row:?}");
    row.base_offset
}

/// All batches of a partition, as they are sent, and the number of records.
fn read_all(client: &mut WireClient, partition: i32) -> (Vec<u8>, i64) {
    let (mut all, mut next) = (Vec::new(), 0);
    loop {
        let asked = FetchRequestPartition {
            partition,
            fetch_offset: next,
            partition_max_bytes: 1 << 20,
            ..FetchRequestPartition::default()
        };
        let topic = FetchRequestTopic {
            topic: Str::from(TOPIC),
            partitions: vec![asked],
            ..FetchRequestTopic::default()
        };
        let request = FetchRequest { max_bytes: 50 << 20, topics: vec![topic], ..FetchRequest::default() };
        let mut response = client.request(12, &request);
        let row = response.responses.remove(0).partitions.remove(0);
        assert_eq!(row.error_code, 0, "at {next}");
        let Records::Bytes(records) = row.records else { return (all, next) };
        if records.is_empty() {
            return (all, next);
        }
        let before = next;
        for batch in read_batches(&records) {
            all.extend(batch.header.to_bytes());
            all.extend(Bytes::clone(&batch.records));
            next = batch.header.next_offset().0;
        }
        assert!(before < next, "a whole batch comes");
    }
}

/// Values that do not compress to nothing.
fn numbered_batch(number: usize) -> TestBatch {
    let value = |index: usize| {
        let mut state = (number * RECORDS_PER_BATCH + index) as u64 | 1 << 40;
        (0..40).fold(String::new(), |text, _| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text + &format!("{state:016x}")
        })
    };
    batch((0..RECORDS_PER_BATCH).map(|index| record(value(index)))).in_codec(CODECS[number % CODECS.len()])
}

/// Whether Kafka's own tool reads every segment of the topic and finds every batch sound.
fn dump(libraries: &Path, place: &Path) {
    for partition in 0..PARTITIONS {
        let directory = place.join(format!("data/{TOPIC}-{partition}"));
        let mut files: Vec<String> = fs::read_dir(&directory)
            .expect("the partition has a directory")
            .map(|entry| entry.expect("it can be listed").path().display().to_string())
            .filter(|path| path.ends_with(".log"))
            .collect();
        files.sort();
        assert!(2 < files.len(), "several segments: {files:?}");
        let mut tool = java(libraries, place);
        tool.args([
            "org.apache.kafka.tools.DumpLogSegments",
            "--deep-iteration",
            "--files",
            &files.join(","),
        ]);
        let output = tool.output().expect("java runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("isvalid: true") && !said.contains("isvalid: false"), "{said}");
    }
}

#[test]
fn a_directory_that_kafka_wrote_is_taken_over() {
    let libraries = match kafka_jars(env!("CARGO_BIN_EXE_ottla")) {
        Ok(libraries) => libraries,
        Err(skip) => return skip.say("coming from Kafka"),
    };
    let place = tempfile::tempdir().expect("a temporary directory");
    let (place, data) = (place.path(), place.path().join("data"));
    let kafka = Kafka::start(&libraries, place);
    let mut client = WireClient::connect(kafka.address);
    create_topic(&mut client);
    change_config(kafka.address, "retention.ms", "2000000000");
    let producer = producer_id(&mut client);
    let mut sequences = [0; PARTITIONS as usize];
    for number in 0..BATCHES {
        let partition = number % 2;
        // Partition 0 is an idempotent producer's.
        let mut sent = numbered_batch(number);
        if partition == 0 {
            sent = sent.of_producer(producer, 0, sequences[partition]);
        }
        sequences[partition] += i32::try_from(RECORDS_PER_BATCH).expect("it is small");
        produce(&mut client, i32::try_from(partition).expect("it is small"), &sent);
        if number + 2 == BATCHES {
            change_config(kafka.address, "max.message.bytes", "3000000");
        }
    }
    let id = topic_id(&mut client);
    let written: Vec<_> = (0..PARTITIONS).map(|partition| read_all(&mut client, partition)).collect();
    assert_eq!(written.iter().map(|(_, count)| count).sum::<i64>(), (BATCHES * RECORDS_PER_BATCH) as i64);

    // While Kafka runs nothing happens.
    let (code, said) = BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), &data).run_to_end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Kafka is running on it"), "{said}");
    drop(client);
    kafka.stop();

    let dry = BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), &data).argument("--take-over-dry-run");
    let output = dry.to_command().stdout(Stdio::piped()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("stopped cleanly") && said.contains("moved to ottla-kafka/"), "{said}");
    assert!(data.join("meta.properties").exists() && !data.join("ottla-metadata").exists());

    let broker = serve(&data);
    let mut client = WireClient::connect(broker.address());
    assert_eq!(topic_id(&mut client), id);
    assert_eq!(config(&mut client, "retention.ms").as_deref(), Some("2000000000"));
    assert_eq!(config(&mut client, "max.message.bytes").as_deref(), Some("3000000"));
    for (partition, expected) in (0..PARTITIONS).zip(&written) {
        assert!(read_all(&mut client, partition) == *expected, "the same bytes of partition {partition}");
    }
    // The producer repeats its last batch, which is there, and goes on.
    let number = BATCHES - 2;
    let per_batch = i32::try_from(RECORDS_PER_BATCH).expect("it is small");
    let end = written[0].1;
    let again = numbered_batch(number).of_producer(producer, 0, sequences[0] - per_batch);
    assert_eq!(produce(&mut client, 0, &again), end - i64::from(per_batch), "it is not appended again");
    let next = numbered_batch(BATCHES).of_producer(producer, 0, sequences[0]);
    assert_eq!(produce(&mut client, 0, &next), end);
    assert!(producer < producer_id(&mut client), "no producer id is given twice");
    assert_eq!(read_all(&mut client, 0).1, end + i64::from(per_batch));
    drop(client);
    assert!(broker.stop().success(), "it stops cleanly");
    dump(&libraries, place);

    // And once more, as our own directory.
    let broker = serve(&data);
    let mut client = WireClient::connect(broker.address());
    assert_eq!(read_all(&mut client, 0).1, end + i64::from(per_batch));
    assert_eq!(read_all(&mut client, 1), written[1]);
}
