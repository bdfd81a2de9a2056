//! How many may connect, and what happens when the system has no more descriptors to give.

use ottla_testkit::batches::{batch, record};
use ottla_testkit::wait::wait_for;
use ottla_testkit::wire_client::WireClient;

use crate::bed::{Bed, PATIENCE, append_to, is_peer, values_from};

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("max.connections", 3));
    let mut served: Vec<WireClient> = (0..3).map(|_| bed.client()).collect();
    assert!(served.iter_mut().all(WireClient::is_served));
    let mut waiting = bed.client();
    let id = waiting.send(0, &ottla_protocol::api::api_versions::ApiVersionsRequest::default());
    assert!(served.iter_mut().all(WireClient::is_served), "those inside are served");
    drop(served.pop());
    waiting.receive::<ottla_protocol::api::api_versions::ApiVersionsRequest>(0, id);
    assert!(served.iter_mut().all(WireClient::is_served));
}

#[test]
fn connections_of_one_address_are_limited() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| command.set("max.connections.per.ip", 2));
    let mut served: Vec<WireClient> = (0..2).map(|_| bed.client()).collect();
    assert!(served.iter_mut().all(WireClient::is_served));
    for _ in 0..3 {
        // Accepted by the system before the broker turns it away.
        let mut refused = bed.client();
        refused.expect_close("one too many");
    }
    assert!(served.iter_mut().all(WireClient::is_served));
    drop(served.pop());
    wait_for("the place is free", PATIENCE, || bed.client().is_served().then_some(()));
}

#[test]
fn some_addresses_may_have_more_connections() {
    if is_peer() {
        return;
    }
    let bed = Bed::with(|command| {
        command.set("max.connections.per.ip", 1).set("max.connections.per.ip.overrides", "127.0.0.1:3")
    });
    let mut served: Vec<WireClient> = (0..3).map(|_| bed.client()).collect();
    assert!(served.iter_mut().all(WireClient::is_served));
    bed.client().expect_close("one too many");
}

#[test]
fn out_of_descriptors_the_broker_goes_on_with_those_it_has() {
    if is_peer() {
        return;
    }
    const PARTITIONS: i32 = 500;
    // The system takes what the broker doesn't, so that clients wait instead of failing to connect.
    let bed = Bed::with(|command| command.descriptor_limit(256).set("socket.listen.backlog.size", 500));
    let topic = bed.topic(PARTITIONS, &[]);
    let mut inside = bed.client();
    for partition in 0..PARTITIONS {
        append_to(&mut inside, &topic, partition, &batch([record("before")]));
    }
    let mut crowd: Vec<WireClient> = Vec::new();
    wait_for("the broker says that it is out of descriptors", PATIENCE, || {
        crowd.extend((crowd.len()..300).map(|_| bed.client()));
        bed.process().said().contains("connections can't be accepted for now").then_some(())
    });
    // Every partition is written and read meanwhile: files are opened as they are needed.
    for partition in 0..PARTITIONS {
        append_to(&mut inside, &topic, partition, &batch([record("during")]));
        assert_eq!(
            values_from(&mut inside, &topic, partition, 0),
            ["before", "during"],
            "partition {partition}"
        );
    }
    drop(crowd);
    let mut newcomer = bed.client();
    for partition in 0..PARTITIONS {
        append_to(&mut newcomer, &topic, partition, &batch([record("after")]));
        assert_eq!(values_from(&mut newcomer, &topic, partition, 0), ["before", "during", "after"]);
    }
    assert!(bed.process().said().contains("connections are accepted again"));
}
