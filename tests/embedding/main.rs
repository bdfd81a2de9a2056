//! Brokers inside a program, as another program would have them: on the machine, on simulated machines, several at once.

use std::net::SocketAddr;

use bytes::Bytes;
use ottla_broker::{Broker, BrokerEnd, StartError};
use ottla_client::admin::NewTopic;
use ottla_client::{Client, ClientConfig, Connection, connect};
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::wire::Str;
use ottla_runtime::simulated::{Crash, Simulation};
use ottla_runtime::{Runtime, real};
use ottla_testkit::batches::{batch, record};

fn config(address: SocketAddr) -> ClientConfig {
    ClientConfig { bootstrap_servers: vec![address.to_string()], ..ClientConfig::default() }
}

/// Creates a topic and appends so many records to it, one by one; answers the last one's offset.
async fn fill(runtime: &Runtime, address: SocketAddr, topic: &str, count: usize) -> i64 {
    let client = Client::connect(runtime.clone(), config(address)).await.expect("the broker serves");
    let created = client.admin().create_topics(&[NewTopic::named(topic)]).await.remove(topic);
    let id = created.expect("the topic was asked for").expect("it is new").id;
    let connection = connect(runtime, &config(address)).await.expect("the broker serves");
    let mut last = -1;
    for number in 0..count {
        last = append(&connection, topic, id, &number.to_string()).await;
    }
    last
}

async fn append(
    connection: &Connection,
    topic: &str,
    id: ottla_protocol::types::TopicId,
    value: &str,
) -> i64 {
    let records: Bytes = batch([record(value)]).to_bytes();
    let partition = ProduceRequestPartition { index: 0, records: Some(records) };
    let topic =
        ProduceRequestTopic { name: Str::copy_of(topic), topic_id: id, partition_data: vec![partition] };
    let request =
        ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() };
    let answer = connection.call(&request).await.expect("the broker answers");
    let row = &answer.responses[0].partition_responses[0];
    assert_eq!(row.error_code, 0);
    row.base_offset
}

#[test]
fn three_brokers_live_in_one_process() {
    let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
    real::block_on(None, |runtime| async move {
        let mut brokers = Vec::new();
        for directory in &directories {
            brokers.push(Broker::builder(directory.path()).start(runtime.clone()).await.unwrap());
        }
        for (number, broker) in brokers.iter().enumerate() {
            // Each has what was written to it, and nothing of the others.
            assert_eq!(fill(&runtime, broker.address(), "numbers", number + 1).await, number as i64);
        }
        for broker in brokers {
            assert_eq!(broker.stop().await, BrokerEnd::Stopped);
        }
    })
    .unwrap();
}

#[test]
fn three_brokers_live_in_one_simulation() {
    let simulation = Simulation::new(3);
    let machines = ["one", "two", "three"].map(|name| simulation.machine(name));
    let client = simulation.machine("client");
    let before = simulation.clock().now();
    simulation.block_on(async {
        let mut brokers = Vec::new();
        for machine in &machines {
            let builder = Broker::builder("/data").listen(format!("{}:0", machine.ip()));
            brokers.push(builder.start(machine.runtime()).await.unwrap());
        }
        for (number, broker) in brokers.iter().enumerate() {
            assert_ne!(broker.address().port(), 0);
            assert_eq!(fill(&client.runtime(), broker.address(), "numbers", number + 1).await, number as i64);
        }
        for broker in brokers {
            assert_eq!(broker.stop().await, BrokerEnd::Stopped);
        }
    });
    assert!(simulation.clock().now() > before, "time went on in the simulation, whatever the wall's did");
}

#[test]
fn a_simulated_broker_keeps_what_it_acknowledged_over_a_power_cut() {
    let simulation = Simulation::new(9);
    let (machine, client) = (simulation.machine("broker"), simulation.machine("client"));
    let address = SocketAddr::new(machine.ip(), 9092);
    let start = |runtime| Broker::builder("/data").listen(address).start(runtime);
    let broker = simulation.block_on(start(machine.runtime())).unwrap();
    simulation.block_on(fill(&client.runtime(), address, "numbers", 3));
    machine.crash(Crash::PowerCut);
    drop(broker);
    let broker = simulation.block_on(start(machine.restart())).unwrap();
    let ends = simulation.block_on(async {
        use ottla_client::admin::OffsetSpec;
        let client = Client::connect(client.runtime(), config(address)).await.unwrap();
        let partition = ottla_protocol::types::PartitionIndex(0);
        client.admin().list_offsets(&[("numbers", partition, OffsetSpec::Latest)]).await
    });
    let end = ends.into_values().next().expect("one was asked for").unwrap();
    assert_eq!(end.offset.map(|offset| offset.0), Some(3));
    assert_eq!(simulation.block_on(broker.stop()), BrokerEnd::Stopped);
}

#[test]
fn a_stopped_broker_starts_again_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    real::block_on(None, |runtime| async move {
        for count in [2, 4] {
            let broker = Broker::builder(directory.path()).start(runtime.clone()).await.unwrap();
            assert_eq!(broker.is_first_start(), count == 2);
            let topic = format!("numbers-{count}");
            fill(&runtime, broker.address(), &topic, count).await;
            broker.stop().await;
        }
    })
    .unwrap();
}

#[test]
fn every_mistake_in_a_builder_is_named() {
    let simulation = Simulation::new(1);
    let runtime = simulation.machine("broker").runtime();
    let wrong =
        Broker::builder("/data").set("num.partitions", "many").set("no.such.key", 1).listen("nowhere");
    let Err(StartError::Config(errors)) = simulation.block_on(wrong.start(runtime)) else {
        panic!("it must not start")
    };
    let text = errors.to_string();
    for mistake in ["num.partitions", "no.such.key", "nowhere", "BrokerBuilder::set", "BrokerBuilder::listen"]
    {
        assert!(text.contains(mistake), "{mistake}: {text}");
    }
}
