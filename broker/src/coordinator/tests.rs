//! The task that owns a core, in a whole broker on a simulated machine: what is answered outlives crashes, failed appends
//! and records that can't be read.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::api::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::{BatchBuilder, Compression, NewRecord};
use ottla_protocol::types::{PartitionIndex, ProducerEpoch, ProducerId, TopicId};
use ottla_protocol::wire::Str;
use ottla_runtime::simulated::{Crash, CrashPoint, DiskLatency, Machine, Simulation};

use super::core::ProducerSession;
use super::group::{GroupAnswer, GroupRequest};
use crate::Broker;
use crate::config::{BrokerConfig, Settings};
use crate::controller::topics::{NewTopic, TopicDefaults, TopicReference};
use crate::controller::{CreateTopics, DeleteTopics};
use crate::log::batch_validation::ValidatedBatch;
use crate::log::verification::Verification;
use crate::replication::{Acks, Append, PendingProduce};

const GROUP: &str = "group";
const TOPIC: &str = "topic";
const PRODUCER: ProducerSession = ProducerSession { id: ProducerId(5), epoch: ProducerEpoch(0) };
/// The one partition of the groups' topic.
const LOG: &str = "/data/__consumer_offsets-0/00000000000000000000.log";

struct World {
    simulation: Simulation,
    machine: Machine,
}

impl World {
    fn new(seed: u64) -> World {
        let simulation = Simulation::new(seed);
        let machine = simulation.machine("broker");
        World { simulation, machine }
    }

    /// A broker with one partition for groups.
    async fn broker(&self) -> Broker {
        let mut settings = Settings::default();
        settings.listen("0.0.0.0:9092");
        settings.data_directory("/data");
        settings.set("offsets.topic.num.partitions=1");
        settings.set("ottla.shards=1");
        let (config, _) = BrokerConfig::read(&settings).expect("nothing is wrong with it");
        Broker::start(config, 1000, self.machine.runtime()).await.expect("it starts")
    }

    async fn sleep(&self, millis: u64) {
        self.machine.runtime().clock.sleep(Duration::from_millis(millis)).await;
    }

    /// A broker with a topic to commit offsets of.
    async fn broker_with_topic(&self) -> Broker {
        let broker = self.broker().await;
        let topic = NewTopic {
            name: TOPIC.to_owned(),
            partition_count: 1,
            replication_factor: 1,
            assignments: Vec::new(),
            configs: Ok(std::collections::BTreeMap::new()),
        };
        let request = CreateTopics {
            topics: vec![topic],
            validate_only: false,
            timeout_ms: 1000,
            defaults: TopicDefaults { partition_count: 1, replication_factor: 1 },
        };
        broker.metadata().create_topics(request).await.expect("it can be created");
        broker
    }
}

/// Commits an offset, as a client that is no member.
async fn commit(broker: &Broker, offset: i64) -> Result<(), ErrorCode> {
    let row = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic =
        OffsetCommitRequestTopic { name: Str::from(TOPIC), partitions: vec![row], ..Default::default() };
    let request =
        OffsetCommitRequest { group_id: Str::from(GROUP), topics: vec![topic], ..Default::default() };
    let asked = GroupRequest::OffsetCommit { version: 9, request };
    match broker.coordinators().groups().ask(GROUP, asked).await? {
        GroupAnswer::OffsetCommit(answer) => {
            assert_eq!(answer.topics[0].partitions[0].error_code, 0);
            Ok(())
        }
        other => panic!("{other:?}"),
    }
}

/// Commits an offset within a transaction.
async fn commit_in_transaction(broker: &Broker, offset: i64) -> Result<(), ErrorCode> {
    let row = TxnOffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic = TxnOffsetCommitRequestTopic { name: Str::from(TOPIC), partitions: vec![row] };
    let request = TxnOffsetCommitRequest {
        group_id: Str::from(GROUP),
        producer_id: PRODUCER.id.0,
        producer_epoch: PRODUCER.epoch.0,
        topics: vec![topic],
        ..Default::default()
    };
    let asked = GroupRequest::TxnOffsetCommit { version: 5, request, guard: None };
    match broker.coordinators().groups().ask(GROUP, asked).await? {
        GroupAnswer::TxnOffsetCommit(answer) => {
            assert_eq!(answer.topics[0].partitions[0].error_code, 0);
            Ok(())
        }
        other => panic!("{other:?}"),
    }
}

async fn end_transaction(broker: &Broker, is_commit: bool) -> Result<(), ErrorCode> {
    let marker = GroupRequest::WriteMarker {
        producer: PRODUCER,
        coordinator_epoch: 0,
        is_commit,
        transaction_version: 0,
    };
    match broker.coordinators().groups().ask_partition(PartitionIndex(0), marker).await? {
        GroupAnswer::WriteMarker(ErrorCode::None) => Ok(()),
        other => panic!("{other:?}"),
    }
}

/// What the group has committed; −1 if it is nothing.
async fn committed(broker: &Broker) -> Result<i64, ErrorCode> {
    let topic =
        OffsetFetchRequestTopics { name: Str::from(TOPIC), partition_indexes: vec![0], ..Default::default() };
    let group = OffsetFetchRequestGroup {
        group_id: Str::from(GROUP),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let asked = GroupRequest::OffsetFetch { group, require_stable: false };
    match broker.coordinators().groups().ask(GROUP, asked).await? {
        GroupAnswer::OffsetFetch(answer) => Ok(answer.topics[0].partitions[0].committed_offset),
        other => panic!("{other:?}"),
    }
}

/// The same, as often as it takes until the coordinator is there.
async fn committed_at_last(world: &World, broker: &Broker) -> i64 {
    for _ in 0..600 {
        match committed(broker).await {
            Ok(offset) => return offset,
            Err(_) => world.sleep(100).await,
        }
    }
    panic!("the coordinator doesn't come back");
}

#[test]
fn what_was_committed_is_found_after_a_restart() {
    let world = World::new(1);
    world.simulation.block_on(async {
        let broker = world.broker_with_topic().await;
        assert_eq!(committed(&broker).await, Ok(-1));
        commit(&broker, 7).await.expect("it is kept");
        commit_in_transaction(&broker, 9).await.expect("it is kept");
        assert_eq!(committed(&broker).await, Ok(7));
        broker.stop().await;
        let broker = world.broker().await;
        assert_eq!(committed(&broker).await, Ok(7));
        end_transaction(&broker, true).await.expect("it ends");
        assert_eq!(committed(&broker).await, Ok(9));
        broker.stop().await;
        let broker = world.broker().await;
        assert_eq!(committed(&broker).await, Ok(9));
        broker.stop().await;
    });
}

#[test]
fn requests_that_come_together_share_a_batch() {
    let world = World::new(1);
    world.simulation.block_on(async {
        let broker = world.broker_with_topic().await;
        commit(&broker, 1).await.expect("it is kept");
        let all = futures_util::future::join_all((0..50).map(|offset| commit(&broker, offset))).await;
        assert!(all.iter().all(Result::is_ok));
        let partition = broker.replicas().partitions.topic("__consumer_offsets").expect("it is there");
        let partition = partition.partition(0).expect("it has one").clone();
        assert_eq!(partition.high_watermark().0, 51);
        broker.stop().await;
        let batches = world.machine.disk().read(LOG).expect("it is there");
        assert!(batches.len() < 51 * 100, "{} bytes", batches.len());
    });
}

/// Commits until the machine is down, and says what was acknowledged last: plain offsets rise, and every third is committed
/// in a transaction that ends.
async fn commit_until_down(broker: &Broker, acknowledged: &parking_lot::Mutex<(i64, i64)>) {
    for offset in 1.. {
        let sent = |offset| acknowledged.lock().1 = offset;
        sent(offset);
        let done = if offset % 3 == 0 {
            match commit_in_transaction(broker, offset).await {
                Ok(()) => end_transaction(broker, true).await,
                error => error,
            }
        } else {
            commit(broker, offset).await
        };
        if done.is_err() || 12 < offset {
            return;
        }
        acknowledged.lock().0 = offset;
    }
}

fn check_crash(crash: Crash, point: CrashPoint, before: u64) {
    let world = World::new(before);
    let acknowledged = Arc::new(parking_lot::Mutex::new((-1, -1)));
    world.simulation.block_on(async {
        let broker = world.broker_with_topic().await;
        committed(&broker).await.expect("the topic is made");
        let base = world.machine.disk().submitted_count();
        let point = match point {
            CrashPoint::Submitted(number) => CrashPoint::Submitted(base + number),
            CrashPoint::Completed(number) => CrashPoint::Completed(base + number),
        };
        world.machine.disk().crash_at(point, crash);
        let noted = Arc::clone(&acknowledged);
        let runtime = world.machine.runtime();
        drop(runtime.spawner.spawn("commits", async move {
            commit_until_down(&broker, &noted).await;
            // The broker lives on, until the machine is down.
            broker.stop().await;
        }));
        let patience = world.simulation.machine("another").runtime().clock.sleep(Duration::from_secs(60));
        tokio::select! {
            biased;
            () = world.machine.wait_until_down() => {}
            // It does less than that.
            () = patience => world.machine.crash(crash),
        }
        world.machine.restart();
        let broker = world.broker().await;
        let found = committed_at_last(&world, &broker).await;
        let (kept, sent) = *acknowledged.lock();
        assert!(
            kept <= found && found <= sent,
            "{crash:?} at {point:?}: {found}, but {kept} was acknowledged"
        );
        // A transaction that was under way when the machine went down can still be ended.
        end_transaction(&broker, true).await.expect("it ends");
        commit(&broker, 100).await.expect("it goes on");
        assert_eq!(committed(&broker).await, Ok(100));
        broker.stop().await;
    });
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_machine_crashes() {
    for crash in [Crash::Kill, Crash::PowerCut] {
        for number in (1..40).step_by(2) {
            check_crash(crash, CrashPoint::Submitted(number), number);
            check_crash(crash, CrashPoint::Completed(number), number);
        }
    }
}

#[test]
fn a_failed_append_is_told_and_the_state_is_loaded_again() {
    let world = World::new(3);
    world.simulation.block_on(async {
        let broker = world.broker_with_topic().await;
        commit(&broker, 1).await.expect("it is kept");
        world.machine.disk().set_capacity(0);
        // What fits into the file's last block still fits.
        let mut kept = 1;
        while commit(&broker, kept + 1).await.is_ok() {
            kept += 1;
            assert!(kept < 1000, "there is no room for so much");
        }
        world.machine.disk().set_capacity(u64::MAX);
        let found = committed_at_last(&world, &broker).await;
        assert_eq!(found, kept, "what was not kept is not told");
        for _ in 0..100 {
            if commit(&broker, 3000).await.is_ok() {
                break;
            }
            world.sleep(1000).await;
        }
        assert_eq!(committed_at_last(&world, &broker).await, 3000);
        broker.stop().await;
    });
}

/// Puts a record into the groups' partition past the coordinator.
async fn plant(broker: &Broker, key: &[u8], value: Option<&[u8]>) {
    let topic = broker.replicas().partitions.topic("__consumer_offsets").expect("it is there");
    let mut builder = BatchBuilder::new(Compression::NONE);
    builder.push(NewRecord { timestamp: 0, key: Some(key), value, headers: &[] });
    let batch = builder.build().expect("nothing is compressed");
    let batch = ValidatedBatch {
        header: batch.header,
        records: batch.records,
        first_timestamp: 0,
        max_timestamp_offset_delta: 0,
    };
    let (pending, mut slots) = PendingProduce::new(1, ());
    let append = Append {
        partition: Arc::clone(topic.partition(0).expect("it has one")),
        batch: Box::new(batch),
        acks: Acks::All,
        verification: Verification::Exempt,
        slot: slots.next().expect("one was asked for"),
    };
    broker.replicas().shards.append(append).await;
    std::future::poll_fn(|context| pending.poll_answered(context)).await;
}

#[test]
fn records_that_cannot_be_read_are_left_out() {
    let world = World::new(4);
    world.simulation.block_on(async {
        let broker = world.broker_with_topic().await;
        commit(&broker, 1).await.expect("it is kept");
        plant(&broker, b"", Some(b"junk")).await;
        plant(&broker, &[0, 1, 0, 5], Some(&[0, 4])).await;
        plant(&broker, &[0, 99], None).await;
        commit(&broker, 2).await.expect("it is kept");
        broker.stop().await;
        let broker = world.broker().await;
        assert_eq!(committed_at_last(&world, &broker).await, 2);
        broker.stop().await;
    });
}

#[test]
fn nothing_is_told_from_a_log_that_is_damaged() {
    let world = World::new(5);
    world.simulation.block_on(async {
        let broker = world.broker_with_topic().await;
        commit(&broker, 1).await.expect("it is kept");
        commit(&broker, 2).await.expect("it is kept");
        broker.stop().await;
        let position = world.machine.disk().read(LOG).expect("it is there").len() as u64 - 3;
        world.machine.disk().flip_bit(LOG, position);
        world.machine.disk().evict_all();
        let broker = world.broker().await;
        world.sleep(1000).await;
        assert_eq!(committed(&broker).await, Err(ErrorCode::CoordinatorLoadInProgress));
        broker.stop().await;
    });
}

#[test]
fn who_waits_is_told_when_the_disk_takes_too_long() {
    let world = World::new(6);
    world.simulation.block_on(async {
        let broker = world.broker_with_topic().await;
        commit(&broker, 1).await.expect("it is kept");
        let slow = Duration::from_secs(20)..Duration::from_secs(21);
        let latency = DiskLatency { sync: slow, ..Default::default() };
        world.machine.disk().set_latency(latency);
        let began = world.machine.runtime().clock.now();
        assert_eq!(commit(&broker, 2).await, Err(ErrorCode::CoordinatorNotAvailable));
        let took = world.machine.runtime().clock.now().since(began);
        assert_eq!(took.as_secs(), 5);
        world.machine.disk().set_latency(Default::default());
        world.sleep(30_000).await;
        assert_eq!(committed(&broker).await, Ok(2), "it was kept all the same");
        broker.stop().await;
    });
}

#[test]
fn who_asks_where_there_is_no_coordinator_is_told_so() {
    let world = World::new(8);
    world.simulation.block_on(async {
        let broker = world.broker_with_topic().await;
        commit(&broker, 1).await.expect("it is kept");
        let groups = broker.coordinators().groups().clone();
        let begin = || GroupRequest::BeginTxnOffsetCommit { producer: PRODUCER };
        for partition in [1, -1, i32::MAX] {
            let asked = groups.ask_partition(PartitionIndex(partition), begin()).await;
            assert_eq!(asked.err(), Some(ErrorCode::NotCoordinator), "partition {partition}");
        }
        assert!(groups.ask(GROUP, begin()).await.is_ok());
        broker.stop().await;
        assert_eq!(groups.ask(GROUP, begin()).await.err(), Some(ErrorCode::NotCoordinator));
        assert_eq!(
            groups.ask_partition(PartitionIndex(0), begin()).await.err(),
            Some(ErrorCode::NotCoordinator)
        );
    });
}

#[test]
fn a_group_whose_topic_is_deleted_has_no_offset_of_it() {
    let world = World::new(7);
    world.simulation.block_on(async {
        let broker = world.broker_with_topic().await;
        commit(&broker, 1).await.expect("it is kept");
        let request = DeleteTopics {
            topics: vec![TopicReference { name: Some(TOPIC.to_owned()), id: TopicId::ZERO }],
            timeout_ms: 1000,
            enabled: true,
        };
        broker.metadata().delete_topics(request).await.expect("it can be deleted");
        world.sleep(100).await;
        assert_eq!(committed(&broker).await, Ok(-1));
        broker.stop().await;
        let broker = world.broker().await;
        assert_eq!(committed_at_last(&world, &broker).await, -1);
        broker.stop().await;
    });
}
