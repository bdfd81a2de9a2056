//! What whole tests run on: a broker, and clients of it, on simulated machines.

use std::time::Duration;

use ottla_broker::Broker;
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::record::{BatchBuilder, Codec, Compression, NewRecord};
use ottla_protocol::types::TopicId;
use ottla_protocol::wire::Str;
use ottla_runtime::simulated::{Machine, Simulation};
use ottla_runtime::{Clock, Runtime};

use crate::admin::NewTopic;
use crate::client::Client;
use crate::config::ClientConfig;

/// The machines: one for the broker, which may crash, and one for everybody else.
pub(crate) struct World {
    pub(crate) simulation: Simulation,
    pub(crate) broker: Machine,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let simulation = Simulation::new(seed);
        let broker = simulation.machine("broker");
        World { simulation, broker }
    }

    /// Runs `test` with a client of a broker that has just started.
    pub(crate) fn run<T>(&self, test: impl AsyncFnOnce(Client) -> T) -> T {
        self.simulation.block_on(async {
            let _broker = self.start().await;
            test(self.client().await).await
        })
    }

    /// The same, and it has a topic `t` of three partitions.
    pub(crate) fn run_with_topic<T>(&self, test: impl AsyncFnOnce(Client) -> T) -> T {
        self.run(async |client| {
            create(&client, "t", 3).await;
            test(client).await
        })
    }

    /// Starts the broker, or starts it again where its machine has crashed.
    pub(crate) async fn start(&self) -> Broker {
        let runtime = if self.broker.is_up() { self.broker.runtime() } else { self.broker.restart() };
        let builder = Broker::builder("/data").listen(format!("{}:9092", self.broker.ip()));
        builder.start(runtime).await.expect("a broker")
    }

    pub(crate) async fn client(&self) -> Client {
        let config = ClientConfig {
            bootstrap_servers: vec!["broker:9092".to_owned()],
            default_api_timeout: Duration::from_secs(20),
            ..ClientConfig::default()
        };
        Client::connect(self.runtime(), config).await.expect("a broker")
    }

    /// What everybody but the broker runs on.
    pub(crate) fn runtime(&self) -> Runtime {
        self.simulation.machine("client").runtime()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.simulation.clock()
    }
}

/// Creates a topic, and gives its id.
pub(crate) async fn create(client: &Client, name: &str, partition_count: i32) -> TopicId {
    let topic = NewTopic { partition_count: Some(partition_count), ..NewTopic::named(name) };
    let mut made = client.admin().create_topics(&[topic]).await;
    made.remove(name).expect("asked for").expect("created").id
}

/// Appends a batch of records with these values to a partition of `t`, without a producer.
pub(crate) async fn append(client: &Client, index: i32, codec: Codec, timestamp: i64, values: &[&str]) {
    let mut builder = BatchBuilder::new(Compression::of(codec));
    for value in values {
        let record = NewRecord { timestamp, value: Some(value.as_bytes()), ..NewRecord::default() };
        builder.push(record);
    }
    let view = client.metadata(&["t"]).await.expect("metadata");
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![ProduceRequestTopic {
            name: Str::from("t"),
            topic_id: view.topics["t"].as_ref().expect("it is there").id,
            partition_data: vec![ProduceRequestPartition {
                index,
                records: Some(builder.build().expect("a batch").to_bytes()),
            }],
        }],
        ..ProduceRequest::default()
    };
    let cluster = client.cluster();
    let answer = cluster.call_until(&cluster.deadline(), cluster.pool.any(), &request).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}
