//! InitProducerId: an id that nobody has had, for producers that are only idempotent.

use std::collections::BTreeSet;

use ottla_protocol::api::init_producer_id::InitProducerIdRequest;
use ottla_protocol::wire::Str;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, command, is_peer, producer_id};
use crate::check::Checks;

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
    }
    for version in 0..=5 {
        let request = InitProducerIdRequest { transactional_id: Some(Str::from("")), ..plain.clone() };
        checks.same(
            format!("an empty transactional id, v{version}"),
            ask(&mut client, version, request).0,
            42,
        );
    }
}

#[test]
fn a_transactional_id_is_refused_for_good() {
    // There are no transactions yet, and a client would ask again for ever if it were told anything temporary.
    if is_peer() {
        return;
    }
    let bed = Bed::shared();
    let mut client = bed.client();
    for version in 0..=5 {
        let request = InitProducerIdRequest {
            transactional_id: Some(Str::from("t")),
            transaction_timeout_ms: 60_000,
            ..InitProducerIdRequest::default()
        };
        assert_eq!(ask(&mut client, version, request), (53, -1, -1), "v{version}");
    }
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
