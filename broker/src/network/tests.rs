//! Connections of a whole broker, on the simulated network.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::join3;
use ottla_protocol::api::Request;
use ottla_protocol::api::api_versions::ApiVersionsRequest;
use ottla_protocol::api::create_topics::{CreateTopicsRequest, CreateTopicsRequestTopic};
use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::frame::encode_request;
use ottla_protocol::record::{BatchBuilder, Compression, NewRecord};
use ottla_protocol::wire::{FramePiece, Str};
use ottla_runtime::Connection;
use ottla_runtime::simulated::{DiskLatency, Machine, Simulation};

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
        let mut settings = Settings::default();
        settings.listen("0.0.0.0:9092");
        settings.data_directory("/data");
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
        let mut size = BytesMut::new();
        self.connection.reader.read_exact(&mut size, 4).await.ok()?;
        let size = u32::from_be_bytes(size[..].try_into().unwrap()) as usize;
        let mut body = BytesMut::new();
        self.connection.reader.read_exact(&mut body, size).await.ok()?;
        Some(i32::from_be_bytes(body[..4].try_into().unwrap()))
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
