//! InitProducerId: an id that nobody has had for producers that are only idempotent, and who holds a transactional id.

use std::collections::BTreeSet;

use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::wire::Str;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, command, fresh_name, is_peer, producer_id};
use crate::check::Checks;
use crate::transactional::Producer;

fn ask(client: &mut WireClient, version: i16, request: InitProducerIdRequest) -> (i16, i64, i16) {
    let response = client.request(version, &request);
    (response.error_code, response.producer_id, response.producer_epoch)
}

#[test]
fn every_version_gives_a_fresh_id() {
    let bed = Bed::shared();
    let mut client = bed.client();
    let mut seen = BTreeSet::from([producer_id(&mut client)]);
    for version in 0..=5 {
        // Without a transaction its time-out means nothing.
        for transaction_timeout_ms in [60_000, 0, -1, i32::MAX, i32::MIN] {
            let request =
                InitProducerIdRequest { transaction_timeout_ms, ..InitProducerIdRequest::default() };
            let (error, id, epoch) = ask(&mut client, version, request);
            assert_eq!((error, epoch), (0, 0), "v{version}");
            assert!(seen.insert(id) && 0 <= id, "v{version}: {id}");
        }
    }
    // Nor does an id that the producer had before.
    for version in [3, 4, 5] {
        let request =
            InitProducerIdRequest { producer_id: 7, producer_epoch: 3, ..InitProducerIdRequest::default() };
        let (error, id, epoch) = ask(&mut client, version, request);
        assert_eq!((error, epoch), (0, 0));
        assert!(seen.insert(id), "v{version}: {id}");
    }
}

#[test]
fn half_a_producer_and_an_empty_transactional_id_are_refused() {
    let bed = Bed::shared();
    let mut client = bed.client();
    producer_id(&mut client);
    let plain = InitProducerIdRequest { transaction_timeout_ms: 60_000, ..InitProducerIdRequest::default() };
    let mut checks = Checks::new();
    for version in [3, 4, 5] {
        let request = InitProducerIdRequest { producer_id: 7, ..plain.clone() };
        checks.same("no epoch", ask(&mut client, version, request).0, 42);
        let request = InitProducerIdRequest { producer_epoch: 7, ..plain.clone() };
        checks.same("no id", ask(&mut client, version, request).0, 42);
        let request = InitProducerIdRequest {
            transactional_id: Some(fresh_name()),
            transaction_timeout_ms: 0,
            producer_id: 7,
            ..plain.clone()
        };
        checks.same("no epoch and no time", ask(&mut client, version, request).0, 42);
    }
    for version in 0..=5 {
        let request = InitProducerIdRequest { transactional_id: Some(Str::from("")), ..plain.clone() };
        let timeless = InitProducerIdRequest { transaction_timeout_ms: 0, ..request.clone() };
        for request in [request, timeless] {
            let found = ask(&mut client, version, request).0;
            checks.same(format!("an empty transactional id, v{version}"), found, 42);
        }
    }
}

#[test]
fn a_transactional_id_has_one_producer_at_a_time() {
    let bed = Bed::shared();
    let mut checks = Checks::new();
    for version in 0..=5 {
        let mut producer = Producer::new(&bed);
        checks.same(format!("v{version}"), producer.init(version), (0, 1));
        checks.same(format!("v{version}, again"), producer.init(version), (0, 2));
        let mut held = Producer::new(&bed);
        for timeout in [0, -1, 900_001, i32::MAX] {
            let request = InitProducerIdRequest { transaction_timeout_ms: timeout, ..held.init_request() };
            let response = held.client.request(version, &request);
            checks.same(format!("v{version} {timeout}"), response.error_code, 50);
        }
    }
}

#[test]
fn a_producer_that_says_what_it_has_is_held_against_it() {
    let bed = Bed::shared();
    let mut checks = Checks::new();
    for version in [3, 4, 5] {
        let fenced = if version < 4 { 47 } else { 90 };
        let mut producer = Producer::new(&bed);
        let id = producer.id;
        let mut same =
            |name: &str, found, expected| checks.same(format!("v{version} {name}"), found, expected);
        same("its session", producer.init_from(version, id, 0), (0, 1));
        same("the same again", producer.init_from(version, id, 0), (0, 1));
        same("the next", producer.init_from(version, id, 1), (0, 2));
        same("an older one", producer.init_from(version, id, 0), (fenced, 0));
        same("a newer one", producer.init_from(version, id, 7), (fenced, 0));
        same("another's", producer.init_from(version, id + 100_000, 2), (fenced, 0));
        same("another's older one", producer.init_from(version, id + 100_000, 0), (fenced, 0));
        same("nothing", producer.init(version), (0, 3));
        same("what was taken over", producer.init_from(version, id, 2), (fenced, 0));
    }
}

#[test]
fn an_open_transaction_is_aborted_before_its_id_is_given() {
    let bed = Bed::shared();
    let topic = bed.topic(1, &[]);
    for version in [0, 3, 5] {
        let mut producer = Producer::new(&bed);
        assert_eq!(producer.add(3, &[(&topic, 0)]), [0]);
        assert_eq!(producer.init(version), (51, 0), "v{version}");
        producer.wait_for_state("CompleteAbort");
        assert_eq!(producer.described().producer_epoch, producer.epoch + 1);
        assert_eq!(producer.init(version), (0, 2), "v{version}: the second epoch");
    }
    // Whoever names the producer id may do so, whatever its epoch.
    let mut producer = Producer::new(&bed);
    assert_eq!(producer.add(3, &[(&topic, 0)]), [0]);
    assert_eq!(producer.init_from(5, producer.id + 100_000, 0), (90, 0));
    assert_eq!(producer.init_from(5, producer.id, 7), (51, 0));
    producer.wait_for_state("CompleteAbort");
}

#[test]
fn ids_are_given_once_over_any_restart() {
    if is_peer() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut seen = BTreeSet::new();
    for round in 0..4 {
        let broker = command(directory.path()).start();
        let mut client = WireClient::connect(broker.address());
        for _ in 0..3 {
            assert!(seen.insert(producer_id(&mut client)), "round {round}: {seen:?}");
        }
        if round % 2 == 0 {
            broker.kill();
        } else {
            assert!(broker.stop().success());
        }
    }
    // More than one block of a thousand.
    let broker = command(directory.path()).start();
    let mut client = WireClient::connect(broker.address());
    let pending: Vec<i32> = (0..2500).map(|_| client.send(4, &InitProducerIdRequest::default())).collect();
    for id in pending {
        let response = client.receive::<InitProducerIdRequest>(4, id);
        assert_eq!(response.error_code, 0);
        assert!(seen.insert(response.producer_id));
    }
}
