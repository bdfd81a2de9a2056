//! Where a test runs: a runtime, and the address of a broker.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use ottla_broker::Broker;
use ottla_client::admin::{NewTopic, OffsetSpec};
use ottla_client::consumer::{ConsumerConfig, ConsumerRecord, SeekTo, TopicPartition};
use ottla_client::{Client, ClientConfig};
use ottla_protocol::types::PartitionIndex;
use ottla_runtime::simulated::Simulation;
use ottla_runtime::{Runtime, real};
use ottla_testkit::process::{BrokerCommand, BrokerProcess};
use tokio::sync::oneshot;

use crate::kafka;

/// A runtime, and the address of a broker.
pub(crate) struct Bed {
    pub(crate) runtime: Runtime,
    pub(crate) bootstrap: String,
}

/// The process that tests share. It lives as long as one of them runs.
struct Shared {
    process: BrokerProcess,
    _directory: tempfile::TempDir,
}

/// The broker of one test alone, as a process: it can be killed, and comes back at the same address with its data.
pub(crate) struct OwnBroker {
    directory: tempfile::TempDir,
    address: String,
    process: Option<BrokerProcess>,
}

/// `ottla serve` with its data there.
fn command(directory: &tempfile::TempDir) -> BrokerCommand {
    BrokerCommand::new(env!("CARGO_BIN_EXE_ottla"), directory.path().join("data"))
}

/// Runs a test against our broker as a process.
pub(crate) fn on_process<F: Future<Output = ()>>(test: impl FnOnce(Bed) -> F) {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    let shared = {
        let mut place = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        place.upgrade().unwrap_or_else(|| {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let process = command(&directory).start();
            let shared = Arc::new(Shared { process, _directory: directory });
            *place = Arc::downgrade(&shared);
            shared
        })
    };
    on_machine(shared.process.address().to_string(), test);
}

/// Runs a test against our broker on the simulated seams.
pub(crate) fn on_simulation<F: Future<Output = ()>>(test: impl FnOnce(Bed) -> F) {
    let simulation = Simulation::new(1);
    let machine = simulation.machine("broker");
    simulation.block_on(async {
        let builder = Broker::builder("/data").listen(format!("{}:9092", machine.ip()));
        let _broker = builder.start(machine.runtime()).await.expect("a broker");
        let runtime = simulation.machine("client").runtime();
        run(Bed { runtime, bootstrap: "broker:9092".to_owned() }, test).await;
    });
}

/// Runs a test against Apache Kafka, or says why it can't.
pub(crate) fn on_kafka<F: Future<Output = ()>>(test: impl FnOnce(Bed) -> F) {
    match kafka::address() {
        Ok(address) => on_machine(address, test),
        Err(skip) => skip.say("Apache Kafka"),
    }
}

/// Runs a test against a broker of its own.
pub(crate) fn on_own_broker<F: Future<Output = ()>>(test: impl FnOnce(Bed, OwnBroker) -> F) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let process = command(&directory).start();
    let address = process.address().to_string();
    let broker = OwnBroker { directory, address: address.clone(), process: Some(process) };
    on_machine(address, |bed| test(bed, broker));
}

/// Runs a test on the machine itself.
fn on_machine<F: Future<Output = ()>>(bootstrap: String, test: impl FnOnce(Bed) -> F) {
    real::block_on(None, |runtime| run(Bed { runtime, bootstrap }, test)).expect("a runtime");
}

async fn run<F: Future<Output = ()>>(bed: Bed, test: impl FnOnce(Bed) -> F) {
    let stuck = bed.runtime.clock.sleep(2 * PATIENCE);
    tokio::select! {
        biased;
        () = test(bed) => {}
        () = stuck => panic!("the test is stuck"),
    }
}

impl OwnBroker {
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Starts it again while the test goes on.
    pub(crate) async fn restart(&mut self, runtime: &Runtime) {
        let command = command(&self.directory).listen(self.address.clone());
        let (tell, started) = oneshot::channel();
        runtime.spawner.spawn_thread("start", move || drop(tell.send(command.start())));
        self.process = Some(started.await.expect("it starts"));
    }
}

impl Bed {
    pub(crate) async fn client(&self) -> Client {
        let config =
            ClientConfig { bootstrap_servers: vec![self.bootstrap.clone()], ..ClientConfig::default() };
        Client::connect(self.runtime.clone(), config).await.expect("a broker")
    }

    /// Waits for what a broker does by itself, a little later.
    pub(crate) async fn until(&self, condition: impl AsyncFn() -> bool) {
        while !condition().await {
            self.runtime.clock.sleep(Duration::from_millis(20)).await;
        }
    }

    /// A client, and a topic of the test's own.
    pub(crate) async fn client_and_topic(
        &self,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> (Client, String) {
        let (client, name) = (self.client().await, fresh_name());
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let topic = NewTopic { partition_count: Some(partitions), configs, ..NewTopic::named(name.clone()) };
        let made = client.admin().create_topics(&[topic]).await;
        assert!(made[&name].is_ok(), "{made:?}");
        // Kafka answers before its broker knows that it leads the partitions.
        let places: Vec<_> =
            (0..partitions).map(|index| (name.as_str(), PartitionIndex(index), OffsetSpec::Latest)).collect();
        self.until(async || client.admin().list_offsets(&places).await.values().all(Result::is_ok)).await;
        (client, name)
    }
}

/// A topic name that no other test has.
pub(crate) fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// So many records of a partition, from its beginning.
pub(crate) async fn read(client: &Client, topic: &str, partition: i32, count: usize) -> Vec<ConsumerRecord> {
    let mut consumer = client.consumer(ConsumerConfig::default());
    let place = TopicPartition::new(topic, PartitionIndex(partition));
    consumer.assign([place.clone()]);
    consumer.seek(&place, SeekTo::Beginning).expect("it is assigned");
    let mut records = Vec::new();
    while records.len() < count {
        records.push(consumer.next_record().await.expect("a record"));
    }
    records
}

/// How long a test waits for what a broker does by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
