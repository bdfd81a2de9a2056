//! A whole broker on a simulated machine: what connections are owed, and what it does with its directory.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::join3;
use ottla_protocol::api::api_versions::ApiVersionsRequest;
use ottla_protocol::api::create_topics::{CreateTopicsRequest, CreateTopicsRequestTopic};
use ottla_protocol::api::delete_records::{
    DeleteRecordsRequest, DeleteRecordsRequestPartition, DeleteRecordsRequestTopic,
};
use ottla_protocol::api::delete_topics::DeleteTopicsRequest;
use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::api::list_offsets::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic,
};
use ottla_protocol::api::produce::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponse,
};
use ottla_protocol::api::{Message, Request};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::frame::{decode_response_header, encode_request};
use ottla_protocol::record::{BatchBuilder, Compression, NewRecord};
use ottla_protocol::wire::{FramePiece, Reader, Str};
use ottla_runtime::Connection;
use ottla_runtime::disk::DiskWait as _;
use ottla_runtime::simulated::{Crash, DiskLatency, Machine, Simulation};

use crate::config::{BrokerConfig, Settings};
use crate::{Broker, BrokerEnd};

struct World {
    simulation: Simulation,
    machine: Machine,
}

impl World {
    fn new() -> World {
        let simulation = Simulation::new(11);
        let machine = simulation.machine("broker");
        World { simulation, machine }
    }

    async fn broker(&self) -> Broker {
        self.broker_with(&[]).await
    }

    async fn broker_with(&self, assignments: &[&str]) -> Broker {
        let mut settings = Settings::default();
        settings.listen("0.0.0.0:9092");
        settings.data_directory("/data");
        assignments.iter().for_each(|assignment| settings.set(assignment));
        let (config, _) = BrokerConfig::read(&settings).unwrap();
        Broker::start(config, 1000, self.machine.runtime()).await.unwrap()
    }

    async fn connect(&self) -> Client {
        let runtime = self.simulation.machine("client").runtime();
        let address = (self.machine.ip(), 9092).into();
        Client { connection: runtime.net.connect(address).await.unwrap(), next: 1 }
    }
}

struct Client {
    connection: Connection,
    next: i32,
}

impl Client {
    async fn send<R: Request>(&mut self, request: &R, version: i16) {
        let pieces = encode_request(request, version, self.next, Some(Str::from("test"))).unwrap();
        self.next += 1;
        let parts: Vec<Bytes> = pieces
            .into_iter()
            .map(|piece| match piece {
                FramePiece::Bytes(bytes) => bytes,
                FramePiece::External { .. } => panic!("requests are in memory"),
            })
            .collect();
        self.connection.writer.write_all(&parts).await.unwrap();
    }

    /// The correlation id of the next answer; nothing if the connection ends.
    async fn answer(&mut self) -> Option<i32> {
        let frame = self.frame().await?;
        Some(i32::from_be_bytes(frame[..4].try_into().unwrap()))
    }

    /// The next answer, whole; nothing if the connection ends.
    async fn frame(&mut self) -> Option<Bytes> {
        let mut size = BytesMut::new();
        self.connection.reader.read_exact(&mut size, 4).await.ok()?;
        let size = u32::from_be_bytes(size[..].try_into().unwrap()) as usize;
        let mut body = BytesMut::new();
        self.connection.reader.read_exact(&mut body, size).await.ok()?;
        Some(body.freeze())
    }

    /// What the answer to a Produce says of its one partition: the error code and the base offset.
    async fn produced(&mut self) -> (ErrorCode, i64) {
        let frame = self.frame().await.expect("an answer");
        let mut reader = Reader::new(frame);
        decode_response_header(&mut reader, ProduceRequest::API, 9).unwrap();
        let answer = ProduceResponse::decode(&mut reader, 9).unwrap();
        let row = &answer.responses[0].partition_responses[0];
        (ErrorCode::from_code(row.error_code).unwrap(), row.base_offset)
    }

    /// Asks, and waits for the whole answer.
    async fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.send(request, version).await;
        let mut reader = Reader::new(self.frame().await.expect("an answer"));
        decode_response_header(&mut reader, R::API, version).unwrap();
        R::Response::decode(&mut reader, version).unwrap()
    }

    /// All answers until the connection ends.
    async fn answers(&mut self) -> Vec<i32> {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer().await {
            answers.push(answer);
        }
        answers
    }

    async fn create_topic(&mut self) {
        let topic = CreateTopicsRequestTopic {
            name: Str::from("t"),
            num_partitions: 1,
            replication_factor: 1,
            ..CreateTopicsRequestTopic::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..CreateTopicsRequest::default() };
        self.send(&request, 7).await;
        self.answer().await.expect("an answer");
    }
}

fn produce(acks: i16, records: Option<Bytes>) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![ProduceRequestTopic {
            name: Str::from("t"),
            partition_data: vec![ProduceRequestPartition { index: 0, records }],
            ..ProduceRequestTopic::default()
        }],
        ..ProduceRequest::default()
    }
}

fn batch() -> Option<Bytes> {
    let mut builder = BatchBuilder::new(Compression::NONE);
    builder.push(NewRecord { timestamp: 5, value: Some(b"value"), ..NewRecord::default() });
    Some(builder.build().unwrap().to_bytes())
}

fn fetch(max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 1000,
        session_epoch: -1,
        topics: vec![FetchRequestTopic {
            topic: Str::from("t"),
            partitions: vec![FetchRequestPartition {
                partition: 0,
                fetch_offset: 0,
                partition_max_bytes: 1000,
                current_leader_epoch: -1,
                last_fetched_epoch: -1,
                ..FetchRequestPartition::default()
            }],
            ..FetchRequestTopic::default()
        }],
        ..FetchRequest::default()
    }
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let world = World::new();
    world.simulation.block_on(async {
        let broker = world.broker().await;
        let mut client = world.connect().await;
        client.create_topic().await;
        for acks in [-1, 1, -1, 0, -1] {
            client.send(&produce(acks, batch()), 9).await;
        }
        client.send(&ApiVersionsRequest::default(), 3).await;
        client.send(&produce(-1, batch()), 9).await;
        client.send(&fetch(500), 12).await;
        let mut answers = Vec::new();
        for _ in 0..7 {
            answers.push(client.answer().await.expect("an answer"));
        }
        assert_eq!(answers, [2, 3, 4, 6, 7, 8, 9], "all but that of acks=0");
        assert_eq!(broker.stop().await, BrokerEnd::Stopped);
    });
}

#[test]
fn client_that_has_finished_sending_still_gets_its_answers() {
    let world = World::new();
    world.simulation.block_on(async {
        let broker = world.broker().await;
        let mut client = world.connect().await;
        client.create_topic().await;
        for _ in 0..3 {
            client.send(&produce(-1, batch()), 9).await;
        }
        std::future::poll_fn(|context| client.connection.writer.poll_shutdown(context)).await.unwrap();
        assert_eq!(client.answers().await, [2, 3, 4]);
        broker.stop().await;
    });
}

#[test]
fn requests_before_one_that_is_no_request_are_answered_and_none_behind_it() {
    let world = World::new();
    world.simulation.block_on(async {
        let broker = world.broker().await;
        let mut client = world.connect().await;
        client.create_topic().await;
        for _ in 0..2 {
            client.send(&produce(-1, batch()), 9).await;
        }
        client.connection.writer.write_all(&[Bytes::from_static(&[0, 0, 0, 3, 9, 9, 9])]).await.unwrap();
        assert_eq!(client.answers().await, [2, 3]);

        // A Produce with acks=0 that fails is told by closing the connection; what follows is not answered.
        let mut client = world.connect().await;
        client.send(&produce(-1, batch()), 9).await;
        client.send(&produce(0, None), 9).await;
        client.send(&produce(-1, batch()), 9).await;
        assert_eq!(client.answers().await, [1]);
        broker.stop().await;
    });
}

#[test]
fn produce_that_is_not_safe_in_time_says_so_and_is_in_the_log_all_the_same() {
    let world = World::new();
    world.simulation.block_on(async {
        let broker = world.broker().await;
        let clock = world.machine.runtime().clock;
        let mut client = world.connect().await;
        client.create_topic().await;
        client.send(&produce(-1, batch()), 9).await;
        assert_eq!(client.produced().await, (ErrorCode::None, 0));
        world.machine.disk().set_latency(DiskLatency {
            sync: Duration::from_secs(20)..Duration::from_secs(25),
            ..DiskLatency::default()
        });
        let began = clock.now();
        client.send(&ProduceRequest { timeout_ms: 500, ..produce(-1, batch()) }, 9).await;
        assert_eq!(client.produced().await, (ErrorCode::RequestTimedOut, -1));
        let waited = clock.now().since(began);
        assert!((5_000..6_000).contains(&waited.as_millis()), "the shortest time there is: {waited:?}");
        // Nobody waits for the disk where nobody asked for it.
        client.send(&ProduceRequest { timeout_ms: 500, ..produce(1, batch()) }, 9).await;
        assert_eq!(client.produced().await, (ErrorCode::None, 2), "behind the one that was late");
        client.send(&ProduceRequest { timeout_ms: 120_000, ..produce(-1, batch()) }, 9).await;
        assert_eq!(client.produced().await, (ErrorCode::None, 3));
        broker.stop().await;
    });
}

#[test]
fn stop_answers_what_is_under_way_and_does_not_wait_for_fetches() {
    let world = World::new();
    world.simulation.block_on(async {
        let broker = world.broker().await;
        let clock = world.machine.runtime().clock;
        let mut producer = world.connect().await;
        producer.create_topic().await;
        world.machine.disk().set_latency(DiskLatency {
            sync: Duration::from_millis(50)..Duration::from_millis(100),
            ..DiskLatency::default()
        });
        let mut consumer = world.connect().await;
        let mut asked = fetch(30_000);
        asked.min_bytes = 1_000_000;
        consumer.send(&asked, 12).await;
        producer.send(&produce(-1, batch()), 9).await;
        clock.sleep(Duration::from_millis(20)).await;
        let began = clock.now();
        let (end, produced, fetched) = join3(broker.stop(), producer.answers(), consumer.answers()).await;
        assert_eq!((end, produced, fetched), (BrokerEnd::Stopped, vec![2], vec![1]));
        assert!(clock.now().since(began) < Duration::from_secs(3), "{:?}", clock.now().since(began));
    });
}

#[test]
fn stop_does_not_wait_for_the_removal_of_files_that_retention_took() {
    let world = World::new();
    world.simulation.block_on(async {
        let broker =
            world.broker_with(&["log.retention.ms=1000", "log.retention.check.interval.ms=1000"]).await;
        let clock = world.machine.runtime().clock;
        let mut client = world.connect().await;
        client.create_topic().await;
        client.send(&produce(-1, batch()), 9).await;
        client.answer().await.expect("an answer");
        clock.sleep(Duration::from_secs(10)).await;
        let files = world.machine.disk().list_all();
        assert!(files.iter().any(|(name, _)| name.ends_with(".deleted")), "{files:?}");
        let began = clock.now();
        broker.stop().await;
        assert!(clock.now().since(began) < Duration::from_secs(3), "{:?}", clock.now().since(began));
    });
}

#[test]
fn directory_that_belongs_to_no_topic_gives_way_to_a_new_one_and_is_kept() {
    let world = World::new();
    let log = "/data/t-0/00000000000000000000.log";
    let batch_bytes = batch().expect("records").len() as u64;
    world.simulation.block_on(async {
        // What the deletion of a topic leaves if the process is killed in the middle of it.
        let broker = world.broker().await;
        let mut client = world.connect().await;
        client.create_topic().await;
        for _ in 0..3 {
            client.send(&produce(-1, batch()), 9).await;
            client.answer().await.expect("an answer");
        }
        broker.stop().await;
        let left = world.machine.disk().read(log).expect("the log");
        let broker = world.broker().await;
        let mut client = world.connect().await;
        let topic = DeleteTopicsRequest {
            topic_names: vec![Str::from("t")],
            timeout_ms: 1000,
            ..DeleteTopicsRequest::default()
        };
        client.send(&topic, 4).await;
        client.answer().await.expect("an answer");
        broker.stop().await;
        let runtime = world.machine.runtime();
        runtime.disk.create_directory_wait(Path::new("/data/t-0")).await.expect("made");
        world.machine.disk().write(log, left);

        let broker = world.broker().await;
        let mut client = world.connect().await;
        client.create_topic().await;
        client.send(&produce(-1, batch()), 9).await;
        client.answer().await.expect("an answer");
        broker.stop().await;
        let sizes: Vec<u64> = world
            .machine
            .disk()
            .list_all()
            .into_iter()
            .filter_map(|(name, size)| name.ends_with("0000.log").then_some(size))
            .collect();
        assert_eq!(sizes, [batch_bytes, 3 * batch_bytes], "the new log, and the old one beside it");
    });
}

#[test]
fn a_log_start_that_was_answered_survives_a_power_cut() {
    let world = World::new();
    world.simulation.block_on(async {
        let broker = world.broker().await;
        let mut client = world.connect().await;
        client.create_topic().await;
        for _ in 0..3 {
            client.send(&produce(-1, batch()), 9).await;
            assert_eq!(client.produced().await.0, ErrorCode::None);
        }
        let partitions = vec![DeleteRecordsRequestPartition { partition_index: 0, offset: 2 }];
        let topics = vec![DeleteRecordsRequestTopic { name: Str::from("t"), partitions }];
        let answer = client.ask(&DeleteRecordsRequest { topics, timeout_ms: 1000 }, 2).await;
        assert_eq!(answer.topics[0].partitions[0].low_watermark, 2);
        drop((broker, client));
    });
    world.machine.crash(Crash::PowerCut);
    let _runtime = world.machine.restart();
    world.simulation.block_on(async {
        let _broker = world.broker().await;
        let mut client = world.connect().await;
        let earliest =
            ListOffsetsRequestPartition { timestamp: -2, ..ListOffsetsRequestPartition::default() };
        let topic = ListOffsetsRequestTopic { name: Str::from("t"), partitions: vec![earliest] };
        let request = ListOffsetsRequest { topics: vec![topic], ..ListOffsetsRequest::default() };
        let answer = client.ask(&request, 7).await;
        assert_eq!(answer.topics[0].partitions[0].offset, 2);
    });
}
