//! The accumulator alone: what it does at each event, in small scripts; and whether it keeps its promises with brokers
//! and connections that fail at random.

mod broker;
mod promises;
mod scripts;

use ottla_protocol::record::{BatchHeader, NewRecord};
use ottla_protocol::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::*;
use crate::metadata::{ClusterView, PartitionView, TopicView};

fn settings() -> Settings {
    Settings {
        is_idempotent: true,
        batch_size: 1_000,
        linger: Duration::from_millis(5),
        buffer_memory: 100_000,
        max_request_size: 100_000,
        max_in_flight: 5,
        delivery_timeout: Duration::from_secs(10),
        retries: u32::MAX,
        compression: Compression::NONE,
        backoff: Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) },
        ignores_keys: false,
        is_adaptive: true,
        metadata_max_age: Duration::from_secs(300),
    }
}

/// A cluster with a topic `t` whose partitions have these leaders.
fn view(leaders: &[Option<i32>]) -> ClusterView {
    let partition = |leader: &Option<i32>| PartitionView {
        leader: leader.map(BrokerId),
        leader_epoch: LeaderEpoch(0),
        replicas: Vec::new(),
        in_sync: Vec::new(),
        offline: Vec::new(),
    };
    let indexes = (0..).map(PartitionIndex);
    let partitions = indexes.zip(leaders.iter().map(partition)).collect();
    let topic = TopicView { id: TopicId([1; 16]), is_internal: false, partitions };
    ClusterView { topics: [("t".to_owned(), Ok(topic))].into(), ..ClusterView::default() }
}

const IDENTITY: ProducerIdentity = ProducerIdentity { id: ProducerId(7), epoch: ProducerEpoch(0) };

/// The header of a batch that is sent, and the batch as its next try would send it.
fn built(payload: Payload) -> (BatchHeader, Payload) {
    let bytes = match payload {
        Payload::Built(bytes) => bytes,
        Payload::Filled(builder) => builder.build_bytes().expect("a batch"),
    };
    (BatchHeader::parse(&bytes, 0).expect("a header"), Payload::Built(bytes))
}
