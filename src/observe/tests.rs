//! A broker and its HTTP server in a simulated world: what probes are told at every stage, and clients that are slow.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_broker::config::{BrokerConfig, Endpoint, Settings};
use ottla_broker::{Broker, BrokerStatus};
use ottla_runtime::Connection;
use ottla_runtime::simulated::{Machine, OperationKind, Simulation};

use super::recorder::recorder;
use super::{HttpListen, pages, server};
use crate::Failure;

const PORT: u16 = 9644;

struct World {
    simulation: Simulation,
    machine: Machine,
    status: BrokerStatus,
}

impl World {
    /// HTTP is served; there is no broker yet.
    fn new() -> World {
        let simulation = Simulation::new(5);
        let machine = simulation.machine("broker");
        let runtime = machine.runtime();
        let status = BrokerStatus::new(runtime.clock.clone());
        simulation.block_on(async {
            let listener = runtime.net.listen((machine.ip(), PORT).into(), 50).await.unwrap();
            let router = pages::router(status.clone(), recorder().handle(), runtime.clock.clone());
            let (clock, spawner) = (runtime.clock.clone(), runtime.spawner.clone());
            runtime.spawner.spawn("http", server::serve(listener, router, clock, spawner));
        });
        World { simulation, machine, status }
    }

    async fn broker(&self) -> Broker {
        Broker::start_watched(config(), 1000, self.machine.runtime(), self.status.clone()).await.unwrap()
    }

    async fn connect(&self) -> Connection {
        let runtime = self.simulation.machine("probe").runtime();
        runtime.net.connect((self.machine.ip(), PORT).into()).await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let mut connection = self.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: broker\r\n\r\n");
        connection.writer.write_all(&[Bytes::from(request)]).await.unwrap();
        let text = rest(&mut connection).await;
        let answer = ottla_testkit::http::parse(&text).unwrap_or_else(|| panic!("no answer: {text:?}"));
        (answer.status, answer.body)
    }

    /// What the two probes say.
    async fn health(&self) -> ((u16, String), (u16, String)) {
        (self.get("/health/live").await, self.get("/health/ready").await)
    }
}

fn config() -> BrokerConfig {
    let mut settings = Settings::default();
    settings.listen("0.0.0.0:9092");
    settings.data_directory("/data");
    BrokerConfig::read(&settings).unwrap().0
}

/// All that still comes.
async fn rest(connection: &mut Connection) -> String {
    let mut text = BytesMut::new();
    loop {
        text.reserve(4096);
        match connection.reader.read(&mut text).await {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&text).into_owned(),
            Ok(_) => {}
        }
    }
}

fn alive() -> (u16, String) {
    (200, "alive\n".to_owned())
}

fn unready(words: &str) -> (u16, String) {
    (503, format!("{words}\n"))
}

#[test]
fn a_broker_is_ready_once_it_serves_and_no_longer_when_it_stops() {
    let world = World::new();
    world.simulation.block_on(async {
        assert_eq!(world.health().await, (alive(), unready("starting: nothing is open yet")));
        let broker = world.broker().await;
        assert_eq!(world.health().await, (alive(), (200, "ready\n".to_owned())));
        broker.stop().await;
        assert_eq!(world.health().await, (alive(), unready("stopping")));
    });
}

#[test]
fn a_start_that_takes_long_is_alive_and_says_what_it_is_at() {
    let world = World::new();
    world.simulation.block_on(async {
        world.machine.disk().set_latency(ottla_runtime::simulated::DiskLatency {
            sync: Duration::from_secs(5)..Duration::from_secs(6),
            ..Default::default()
        });
        let (status, runtime) = (world.status.clone(), world.machine.runtime());
        let clock = runtime.clock.clone();
        let starting = runtime.spawner.clone().spawn("broker", async move {
            Broker::start_watched(config(), 1000, runtime, status).await.unwrap();
        });
        clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(world.health().await, (alive(), unready("starting: opening the metadata")));
        starting.await;
        assert_eq!(world.health().await.1, (200, "ready\n".to_owned()));
    });
}

#[test]
fn a_full_disk_makes_it_unready_until_there_is_room() {
    let world = World::new();
    world.simulation.block_on(async {
        let clock = world.machine.runtime().clock;
        world.machine.disk().set_capacity(1 << 20);
        // Its reserve alone is larger.
        let _broker = world.broker().await;
        clock.sleep(Duration::from_secs(2)).await;
        let (live, (status, reason)) = world.health().await;
        assert_eq!((live, status), (alive(), 503));
        assert!(reason.contains("disk is full"), "{reason}");
        world.machine.disk().set_capacity(1 << 40);
        clock.sleep(Duration::from_secs(5)).await;
        assert_eq!(world.health().await.1.0, 200);
    });
}

#[test]
fn a_disk_that_fails_is_the_end_of_it() {
    let world = World::new();
    world.simulation.block_on(async {
        world.machine.disk().fail_next(OperationKind::Preallocate, "ottla-reserve");
        let mut broker = world.broker().await;
        let clock = world.machine.runtime().clock;
        clock.sleep(Duration::from_secs(1)).await;
        let (live, (status, reason)) = world.health().await;
        assert_eq!((live, status), (alive(), 503));
        assert!(reason.contains("data directory has failed"), "{reason}");
        let reason = broker.ended().await;
        assert_eq!(world.health().await, (unready(&reason), unready(&reason)));
    });
}

#[test]
fn brokers_of_one_process_share_their_metrics() {
    let (simulation, recorder) = (Simulation::new(6), recorder());
    let budgets = |statuses: &[BrokerStatus]| {
        statuses.iter().for_each(BrokerStatus::update_gauges);
        ottla_testkit::http::sample(&recorder.handle().render(), "ottla_request_budget_limit_bytes")
    };
    metrics::with_local_recorder(&recorder, || {
        simulation.block_on(async {
            let mut brokers = Vec::new();
            let mut statuses = Vec::new();
            for name in ["a", "b", "c"] {
                let broker = Broker::start(config(), 1000, simulation.machine(name).runtime()).await.unwrap();
                statuses.push(broker.status().clone());
                brokers.push(broker);
            }
            let one = f64::from(64 << 20);
            assert_eq!(budgets(&statuses), Some(3.0 * one));
            brokers.pop().unwrap().stop().await;
            assert_eq!(budgets(&statuses), Some(2.0 * one), "what has stopped has no part in it");
        });
    });
}

#[test]
fn clients_that_say_nothing_or_read_nothing_are_cut_off() {
    let world = World::new();
    world.simulation.block_on(async {
        let clock = world.machine.runtime().clock;
        let began = clock.now();
        let mut silent = world.connect().await;
        rest(&mut silent).await;
        let took = clock.now().since(began);
        assert!(Duration::from_secs(4) < took && took < Duration::from_secs(21), "{took:?}");

        // As many as may be connected, then one more.
        let mut crowd = Vec::new();
        for _ in 0..32 {
            crowd.push(world.connect().await);
        }
        clock.sleep(Duration::from_millis(100)).await;
        let mut late = world.connect().await;
        assert_eq!(rest(&mut late).await, "", "it is hung up on");
        clock.sleep(Duration::from_secs(30)).await;
        assert_eq!(world.get("/health/live").await, alive());
    });
}

#[test]
fn a_head_that_does_not_end_is_refused() {
    let world = World::new();
    world.simulation.block_on(async {
        let mut connection = world.connect().await;
        let line = Bytes::from(format!("X-Long: {}\r\n", "x".repeat(1000)));
        connection.writer.write_all(&[Bytes::from("GET /metrics HTTP/1.1\r\n")]).await.unwrap();
        for _ in 0..64 {
            if connection.writer.write_all(std::slice::from_ref(&line)).await.is_err() {
                break;
            }
        }
        let text = rest(&mut connection).await;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
    });
}

#[test]
fn the_option_is_an_address_or_none() {
    assert_eq!(HttpListen::read(None).unwrap(), HttpListen::Default);
    assert_eq!(HttpListen::read(Some("none")).unwrap(), HttpListen::Nowhere);
    let at = |host: &str, port| HttpListen::At(Endpoint { host: host.to_owned(), port });
    assert_eq!(HttpListen::read(Some("0.0.0.0:0")).unwrap(), at("0.0.0.0", 0));
    assert_eq!(HttpListen::read(Some("[::1]:9644")).unwrap(), at("::1", 9644));
    for wrong in ["", "None", "9644", "localhost", "a:b", "127.0.0.1:99999"] {
        let error = HttpListen::read(Some(wrong)).unwrap_err();
        assert!(
            matches!(&error, Failure::Usage(text) if text.contains("--http-listen")),
            "{wrong}: {error:?}"
        );
    }
}
