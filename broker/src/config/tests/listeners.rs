//! Where the broker listens, and the address that clients are told.

use std::net::SocketAddr;

use super::{config, read};
use crate::config::*;

#[test]
fn the_file_of_a_combined_kafka_node_works_as_it_is() {
    let file = "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
log.dirs=/tmp/kraft
num.partitions=1
num.recovery.threads.per.data.dir=2
offsets.topic.replication.factor=1
log.retention.hours=168
log.segment.bytes=1073741824";
    let (config, without_effect) = read(file, &[]).unwrap();
    assert_eq!(config.listener.bind, Endpoint { host: String::new(), port: 9092 });
    assert_eq!(config.listener.advertised, Some(Endpoint { host: "localhost".to_owned(), port: 9092 }));
    assert_eq!(
        without_effect.to_string(),
        "accepted without effect: controller.quorum.bootstrap.servers, inter.broker.listener.name (a node alone has no peers)\n\
         accepted without effect: num.io.threads, num.network.threads (work is not tied to threads of one kind)"
    );
}

#[test]
fn a_listener_may_have_any_name_that_maps_to_plaintext() {
    let file = "listeners=OUTSIDE://[::1]:1\nlistener.security.protocol.map=outside:plaintext\n\
                advertised.listeners=outside://[fe80::1]:2";
    let listener = config(file).listener;
    assert_eq!(listener.name, "OUTSIDE");
    assert_eq!(listener.bind.to_string(), "[::1]:1");
    assert_eq!(listener.advertised.unwrap().to_string(), "[fe80::1]:2");
}

#[test]
fn the_listen_and_advertise_flags_win_over_a_file_of_any_names() {
    let mut settings = Settings::default();
    settings.read_file("f.properties", "listener.security.protocol.map=X:PLAINTEXT");
    settings.listen("0.0.0.0:0");
    settings.advertise("outside:1");
    settings.data_directory("/d");
    let listener = BrokerConfig::read(&settings).unwrap().0.listener;
    assert_eq!(listener.bind.to_string(), "0.0.0.0:0");
    assert_eq!(listener.advertised.unwrap().to_string(), "outside:1");

    let mut settings = Settings::default();
    settings.read_file("f.properties", "listeners=X://:5\nlistener.security.protocol.map=X:PLAINTEXT");
    settings.advertise("outside:1");
    let listener = BrokerConfig::read(&settings).unwrap().0.listener;
    assert_eq!(listener.advertised.unwrap().to_string(), "outside:1");

    let mut settings = Settings::default();
    settings.listen("nonsense");
    assert_eq!(
        BrokerConfig::read(&settings).unwrap_err().to_string(),
        "--listen nonsense: expected HOST:PORT, such as 127.0.0.1:9092, with an IPv6 address in brackets"
    );
}

#[test]
fn clients_are_told_the_advertised_address_or_else_the_one_they_reached() {
    let told = |bind: &str, advertised: Option<&str>, reached: &str| {
        let mut listener = ListenerConfig { bind: bind.parse().unwrap(), ..ListenerConfig::default() };
        listener.advertised = advertised.map(|endpoint| endpoint.parse().unwrap());
        listener.address_for(reached.parse::<SocketAddr>().unwrap()).to_string()
    };
    assert_eq!(told("127.0.0.1:9092", None, "127.0.0.1:9092"), "127.0.0.1:9092");
    assert_eq!(told("localhost:0", None, "127.0.0.1:4242"), "localhost:4242");
    assert_eq!(told("0.0.0.0:9092", None, "10.0.0.5:9092"), "10.0.0.5:9092");
    assert_eq!(told(":9092", None, "[fe80::1]:9092"), "[fe80::1]:9092");
    assert_eq!(told("[::]:9092", None, "[::ffff:10.0.0.5]:9092"), "10.0.0.5:9092");
    assert_eq!(told("0.0.0.0:9092", Some("kafka:1"), "10.0.0.5:9092"), "kafka:1");
}

#[test]
fn endpoints_are_a_host_and_a_port() {
    for good in ["a:1", "a-b.c_d:65535", "1.2.3.4:0", "[::1]:9092", ":9092"] {
        assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good);
    }
    for bad in ["", "a", "a:", "a:b", "a:65536", "a:-1", "a:+1", "::1:9092", "[::1:9092", "a b:1", "a/b:1"] {
        assert_eq!(bad.parse::<Endpoint>(), Err(InvalidEndpoint), "{bad}");
    }
}
