//! Directories of Kafka's, written by `testing` onto a simulated disk: what is said of them, and that nothing is lost
//! whenever a take-over is interrupted.

use std::path::Path;
use std::sync::Arc;

use ottla_protocol::types::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId,
};
use ottla_runtime::Runtime;
use ottla_runtime::disk::DiskWait as _;
use ottla_runtime::simulated::{Crash, CrashPoint, DiskImage, Machine, Simulation};

use super::testing::{
    DIRECTORY, Fields, KafkaDirectory, MetadataLog, ORDERS, PRODUCER, broker_record, cluster_records,
    config_record, feature_record, log_of, marker_at, partition_record, topic_record, transaction_of,
};
use super::{ASIDE, TakeOverError, dry_run, prepare};
use crate::Broker;
use crate::config::{BrokerConfig, Settings};
use crate::controller::{Metadata, MetadataImage, OpenOptions};
use crate::log::producer_snapshot::encode_snapshot;
use crate::log::producer_state::{BatchIdentity, ProducerState};
use crate::log::safe_ends::{self, PartitionKey};
use crate::log::transaction_index::AbortedTransaction;

const DATA: &str = "/data";
const NODE: BrokerId = BrokerId(1);

fn machine_with(simulation: &Simulation, image: &DiskImage) -> Machine {
    let machine = simulation.machine("broker");
    for (path, bytes) in &image.files {
        machine.disk().write(path, bytes.clone());
    }
    machine
}

/// What a dry run says, and that it changes nothing.
fn said_of(directory: &KafkaDirectory) -> Result<Option<String>, String> {
    let (simulation, before) = (Simulation::new(3), directory.image());
    let machine = machine_with(&simulation, &before);
    let said = simulation.block_on(dry_run(&machine.runtime(), Path::new(DATA), NODE));
    assert_eq!(machine.disk().clone_image(), before, "nothing is changed");
    said.map(|plan| plan.map(|plan| plan.to_string())).map_err(|error| error.to_string())
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut KafkaDirectory), words: &str) {
    let mut directory = KafkaDirectory::with(&cluster_records());
    change(&mut directory);
    let said = said_of(&directory).expect_err("it can't be taken over");
    assert!(said.contains(words), "{words:?} in\n{said}");
    assert!(said.contains("--data-dir"), "{said}");
    // Nor does a start change anything.
    let (simulation, before) = (Simulation::new(3), directory.image());
    let machine = machine_with(&simulation, &before);
    let refused = simulation.block_on(prepare(&machine.runtime(), Path::new(DATA), NODE));
    assert!(matches!(refused, Err(TakeOverError::Refused(_))));
    assert_eq!(machine.disk().clone_image(), before, "nothing is changed");
}

/// The directory with more records in its metadata log.
fn with_records(directory: &mut KafkaDirectory, more: &[Vec<u8>]) {
    let log = MetadataLog::default().batch(&cluster_records()).batch(more);
    directory.put("__cluster_metadata-0/00000000000000000000.log", log.bytes());
}

/// Starts as the broker does, up to the metadata.
async fn start(runtime: &Runtime) -> Result<Metadata, String> {
    let mut prepared = prepare(runtime, Path::new(DATA), NODE).await.map_err(|error| error.to_string())?;
    let mut options = OpenOptions::new(Path::new(DATA), NODE);
    options.begin_with = prepared.as_mut().map(super::Prepared::take_beginning);
    let metadata = Metadata::open(runtime, options).await.map_err(|error| error.to_string())?;
    if let Some(prepared) = prepared {
        prepared.finish(&runtime.disk).await;
    }
    Ok(metadata)
}

/// That the metadata is what Kafka's was, after this many starts.
fn check_image(image: &MetadataImage, starts: i32) {
    assert_eq!(image.cluster_id().to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    let topic = image.topic("orders").expect("it was taken over");
    assert_eq!(topic.id(), TopicId(ORDERS));
    let epochs: Vec<i32> =
        topic.partitions().iter().map(|partition| image.leader_epoch(partition).0).collect();
    assert_eq!(epochs, [3 + starts, starts]);
    assert!(topic.partitions().iter().all(|partition| partition.leader() == Some(NODE)));
    let configs = image.topic_configs("orders").expect("it has one");
    assert_eq!(configs.get("max.message.bytes").map(|value| &**value), Some("2000000"));
    assert_eq!(image.next_producer_id(), ProducerId(4000));
    assert!(image.features().any(|feature| feature == ("metadata.version", 30)));
}

/// That every file of Kafka's is where it was or has moved aside, as it was.
fn check_files(machine: &Machine, before: &DiskImage) {
    for (path, bytes) in &before.files {
        let aside = path.replacen("data/", &format!("data/{ASIDE}/"), 1);
        let found = machine.disk().read(path).or_else(|| machine.disk().read(&aside));
        assert_eq!(found.as_ref(), Some(bytes), "{path}");
    }
}

#[test]
fn a_plan_says_what_is_there_and_what_would_move() {
    let said = said_of(&KafkaDirectory::with(&cluster_records())).expect("it can be taken over");
    let expected = "\
/data: node 1 of cluster AAAAAAAAAAAAAAAAAAAAAQ, metadata.version 30, stopped cleanly
  metadata: 1 topics, 2 partitions, 1 configs, next producer id 4000
  logs: 1 with 2 segments of 345 bytes, served where they are
  moved to ottla-kafka/: meta.properties, __cluster_metadata-0, bootstrap.checkpoint, .kafka_cleanshutdown";
    assert_eq!(said.as_deref(), Some(expected));
}

#[test]
fn what_is_not_kafkas_has_no_plan() {
    let mut directory = KafkaDirectory::with(&cluster_records());
    directory.files.clear();
    assert_eq!(said_of(&directory), Ok(None));
    directory.put("orders-0/00000000000000000000.log", log_of(0, &["a"]));
    assert_eq!(said_of(&directory), Ok(None));
}

#[test]
fn a_directory_without_its_parts_is_refused() {
    check_refused(|directory| directory.remove("meta.properties"), "meta.properties is missing");
    check_refused(|directory| directory.remove("__cluster_metadata-0"), "__cluster_metadata-0 is missing");
    check_refused(
        |directory| directory.put("meta.properties", "version=0\nbroker.id=1\ncluster.id=x\n"),
        "ZooKeeper",
    );
    check_refused(|directory| directory.put("ottla-metadata/identity", "version=1\n"), "ottla-metadata");
    let properties = "version=1\nnode.id=5\ncluster.id=my-cluster\n";
    check_refused(|directory| directory.put("meta.properties", properties), "set node.id to 5");
    check_refused(|directory| directory.put("meta.properties", properties), "\"my-cluster\"");
    check_refused(
        |directory| directory.put("recovery-point-offset-checkpoint", "1\n"),
        "recovery-point-offset-checkpoint can't be read",
    );
}

#[test]
fn an_unclean_stop_needs_a_checkpoint() {
    let unclean = |directory: &mut KafkaDirectory| {
        directory.remove(".kafka_cleanshutdown");
        directory.remove("recovery-point-offset-checkpoint");
    };
    check_refused(unclean, "no checkpoint");
    let emptied = |directory: &mut KafkaDirectory| {
        directory.remove(".kafka_cleanshutdown");
        directory.put("recovery-point-offset-checkpoint", "");
    };
    check_refused(emptied, "no checkpoint");
    let mut directory = KafkaDirectory::with(&cluster_records());
    directory.remove(".kafka_cleanshutdown");
    directory.put("recovery-point-offset-checkpoint", "0\n1\norders 0 3\n");
    let said = said_of(&directory).expect("there is a checkpoint").expect("it is Kafka's");
    assert!(said.contains("not stopped cleanly"), "{said}");
}

#[test]
fn metadata_that_means_more_than_is_known_is_refused() {
    check_refused(
        |directory| with_records(directory, &[feature_record("metadata.version", 31)]),
        "metadata.version",
    );
    check_refused(|directory| with_records(directory, &[Fields::of(29, 0).end()]), "a record of kind 29");
    check_refused(
        |directory| with_records(directory, &[broker_record(2)]),
        "other nodes belong to the cluster: 2",
    );
    let tiered = config_record("orders", "remote.storage.enable", "true");
    check_refused(|directory| with_records(directory, &[tiered]), "topic orders: ");
    let elsewhere = [topic_record("far", [8; 16]), partition_record([8; 16], 0, &[2], 0)];
    check_refused(|directory| with_records(directory, &elsewhere), "topic far: replicas are assigned");
    check_refused(
        |directory| {
            let mut log = MetadataLog::default().batch(&cluster_records()).bytes();
            log[70] ^= 1;
            directory.put("__cluster_metadata-0/00000000000000000000.log", log);
        },
        "00000000000000000000.log can't be read",
    );
}

#[test]
fn logs_that_can_not_be_served_are_refused() {
    let first = "orders-0/00000000000000000000.log";
    check_refused(
        |directory| {
            let mut old = vec![0; 8];
            old.extend([0, 0, 0, 40, 1, 2, 3, 4, 1]);
            old.extend([0; 36]);
            directory.put(first, old);
        },
        "orders-0: 00000000000000000000.log: messages of the old format 1",
    );
    check_refused(
        |directory| directory.put("orders-0/00000000000000000000.log.swap", ""),
        "orders-0: 00000000000000000000.log.swap",
    );
    check_refused(
        |directory| directory.put("recovery-point-offset-checkpoint", "0\n1\norders 0 9\n"),
        "it ends at offset 5",
    );
    check_refused(
        |directory| directory.put("recovery-point-offset-checkpoint", "0\n1\norders 1 9\n"),
        "it ends at offset 0",
    );
    check_refused(
        |directory| {
            let other = TopicId([9; 16]);
            directory.put("orders-0/partition.metadata", format!("version: 0\ntopic_id: {other}"));
        },
        "orders-0: it holds topic id",
    );
}

#[test]
fn what_kafka_wrote_may_have_gaps() {
    let gaps_of = |change: &dyn Fn(&mut KafkaDirectory)| {
        let mut directory = KafkaDirectory::with(&cluster_records());
        change(&mut directory);
        let simulation = Simulation::new(3);
        let machine = machine_with(&simulation, &directory.image());
        simulation.block_on(async {
            start(&machine.runtime()).await.expect("it is taken over").close().await;
        });
        let ends = machine.disk().read("data/ottla-safe-ends").expect("it is written");
        let ends = safe_ends::parse(&ends).expect("as it is read").partitions;
        let gaps = machine.disk().read("data/orders-0/ottla-gaps").expect("it is written");
        assert_eq!(machine.disk().read("data/orders-1/ottla-gaps"), None);
        let ends = ends.first_key_value().expect("there is a log").1;
        (String::from_utf8(gaps).expect("text"), ends.safe_end.0, ends.active_base.0)
    };
    let point = |directory: &mut KafkaDirectory, offset: i64| {
        directory.put("recovery-point-offset-checkpoint", format!("0\n1\norders 0 {offset}\n"));
    };
    assert_eq!(gaps_of(&|_| ()), ("0\n5\n".to_owned(), 5, 2));
    // Nothing was compacted that is not synced, nor the last segment.
    assert_eq!(gaps_of(&|directory| point(directory, 3)), ("0\n3\n".to_owned(), 3, 2));
    assert_eq!(gaps_of(&|directory| point(directory, 1)), ("0\n2\n".to_owned(), 1, 0));
    // A recovery point may lie in a gap, before a batch or at a segment's end.
    let thinned = |directory: &mut KafkaDirectory| {
        directory.put("orders-0/00000000000000000000.log", log_of(0, &["a"]));
        directory.put("orders-0/00000000000000000009.log", log_of(12, &["f"]));
    };
    for (recovery_point, expected) in [(1, ("0\n9\n", 1, 0)), (7, ("0\n9\n", 7, 2)), (11, ("0\n11\n", 11, 9))]
    {
        let (gaps, safe_end, base) = gaps_of(&|directory| {
            thinned(directory);
            point(directory, recovery_point);
        });
        assert_eq!((&*gaps, safe_end, base), expected, "{recovery_point}");
    }
}

const SECOND_SEGMENT: &str = "orders-0/00000000000000000002.log";

/// Partition 0 of `orders`, as long as always, with records of a transaction from offset 3 on and its end if there is one.
fn with_transaction(directory: &mut KafkaDirectory, marker: Option<bool>) {
    let mut log = log_of(2, &["c"]);
    log.extend(transaction_of(3, if marker.is_some() { &["d"] } else { &["d", "e"] }));
    log.extend(marker.map(|committed| marker_at(4, committed)).unwrap_or_default());
    directory.put(SECOND_SEGMENT, log);
}

#[test]
fn transactions_that_have_ended_are_taken_over() {
    let mut directory = KafkaDirectory::with(&cluster_records());
    for committed in [true, false] {
        with_transaction(&mut directory, Some(committed));
        said_of(&directory).expect("it can be taken over").expect("it is Kafka's");
    }
    let aborted = AbortedTransaction {
        producer_id: ProducerId(PRODUCER),
        first_offset: Offset(3),
        last_offset: Offset(4),
        last_stable_offset: Offset(5),
    };
    directory.put("orders-0/00000000000000000002.txnindex", aborted.encode());
    said_of(&directory).expect("it can be taken over").expect("it is Kafka's");
    check_refused(
        |directory| {
            with_transaction(directory, Some(false));
            directory.put("orders-0/00000000000000000002.txnindex", [0; 33]);
        },
        "orders-0: 00000000000000000002.txnindex: 33 bytes",
    );
}

#[test]
fn transactions_that_are_open_are_taken_over() {
    let mut directory = KafkaDirectory::with(&cluster_records());
    with_transaction(&mut directory, None);
    said_of(&directory).expect("it can be taken over").expect("it is Kafka's");
    // A snapshot that was taken since knows it alone.
    let producer = BatchIdentity {
        producer_id: ProducerId(PRODUCER),
        producer_epoch: ProducerEpoch(0),
        base_sequence: 0,
        last_offset_delta: 1,
        is_transactional: true,
    };
    let mut state = ProducerState::default();
    state.replay(Default::default(), &producer, Offset(1), 0);
    directory.put("orders-0/00000000000000000005.snapshot", encode_snapshot(&state));
    said_of(&directory).expect("it can be taken over").expect("it is Kafka's");
}

#[test]
fn transactions_behind_the_recovery_point_are_refused_if_only_a_snapshot_may_know_them() {
    let killed = |directory: &mut KafkaDirectory| {
        with_transaction(directory, Some(true));
        directory.remove(".kafka_cleanshutdown");
        directory.put("recovery-point-offset-checkpoint", "0\n1\norders 0 4\n");
    };
    let mut directory = KafkaDirectory::with(&cluster_records());
    killed(&mut directory);
    said_of(&directory).expect("it can be taken over").expect("it is Kafka's");
    check_refused(
        |directory| {
            killed(directory);
            let state = encode_snapshot(&ProducerState::default());
            directory.put("orders-0/00000000000000000005.snapshot", state);
        },
        "orders-0: offset 4 belongs to a transaction",
    );
}

#[test]
fn a_snapshot_and_the_log_behind_it_are_read() {
    let mut directory = KafkaDirectory::with(&cluster_records());
    let snapshot = MetadataLog::default().control(3, "0000").batch(&cluster_records()).control(4, "0000");
    directory.put("__cluster_metadata-0/00000000000000000100-0000000002.checkpoint", snapshot.bytes());
    let old = MetadataLog::starting_at(0).batch(&[topic_record("gone", [2; 16])]);
    directory.put("__cluster_metadata-0/00000000000000000000-0000000000.checkpoint", old.bytes());
    // The log's segment begins before the snapshot's end, with what the snapshot no longer has.
    let log = MetadataLog::starting_at(99).batch(&[topic_record("gone", [2; 16])]).batch(&[config_record(
        "orders",
        "retention.ms",
        "5",
    )]);
    directory.remove("__cluster_metadata-0/00000000000000000000.log");
    directory.put("__cluster_metadata-0/00000000000000000099.log", log.bytes());
    let said = said_of(&directory).expect("it can be taken over").expect("it is Kafka's");
    assert!(said.contains("1 topics, 2 partitions, 2 configs"), "{said}");
}

#[test]
fn what_kafka_has_synced_is_what_recovery_begins_from() {
    let safe_ends_at = |recovery_point: i64| {
        let mut directory = KafkaDirectory::with(&cluster_records());
        directory.put("recovery-point-offset-checkpoint", format!("0\n1\norders 0 {recovery_point}\n"));
        directory.put("log-start-offset-checkpoint", "0\n1\norders 0 1\n");
        let simulation = Simulation::new(3);
        let machine = machine_with(&simulation, &directory.image());
        simulation.block_on(async {
            start(&machine.runtime()).await.expect("it is taken over").close().await;
        });
        let bytes = machine.disk().read("data/ottla-safe-ends").expect("it is written");
        let ends = safe_ends::parse(&bytes).expect("as it is read").partitions;
        let key = PartitionKey { topic_id: TopicId(ORDERS), partition: PartitionIndex(0) };
        assert_eq!(ends.len(), 1, "partition 1 has no log");
        ends[&key]
    };
    let batch_bytes = u32::try_from(log_of(0, &["a"]).len()).expect("it is small");
    for (recovery_point, base, batches, epoch) in
        [(0, 0, 0, -1), (1, 0, 1, 0), (2, 2, 0, 0), (3, 2, 1, 3), (5, 2, 3, 3)]
    {
        let ends = safe_ends_at(recovery_point);
        assert_eq!(ends.safe_end, Offset(recovery_point));
        assert_eq!(
            (ends.active_base, ends.safe_position),
            (Offset(base), batches * batch_bytes),
            "{recovery_point}"
        );
        assert_eq!(ends.leader_epoch, LeaderEpoch(epoch), "{recovery_point}");
        assert_eq!(ends.log_start, Offset(recovery_point.min(1)), "{recovery_point}");
    }
}

#[test]
fn a_directory_is_taken_over_once() {
    let (simulation, before) = (Simulation::new(3), KafkaDirectory::with(&cluster_records()).image());
    let machine = machine_with(&simulation, &before);
    simulation.block_on(async {
        for starts in 1..4 {
            let metadata = start(&machine.runtime()).await.expect("a sound directory");
            check_image(&metadata.image(), starts);
            assert_eq!(metadata.directory_id().0, DIRECTORY);
            assert_eq!(metadata.is_new(), starts == 1);
            metadata.close().await;
            let runtime = machine.runtime();
            let plan = dry_run(&runtime, Path::new(DATA), NODE).await.expect("it is ours");
            assert_eq!(plan, None);
        }
    });
    check_files(&machine, &before);
    assert_eq!(machine.disk().read("data/.lock"), None);
    assert_eq!(machine.disk().read("data/meta.properties"), None);
}

#[test]
fn a_directory_that_kafka_uses_is_refused() {
    let (simulation, before) = (Simulation::new(3), KafkaDirectory::with(&cluster_records()).image());
    let machine = machine_with(&simulation, &before);
    simulation.block_on(async {
        let runtime = machine.runtime();
        let held = runtime.disk.lock_wait(Path::new("/data/.lock")).await.expect("it is free");
        let error = dry_run(&runtime, Path::new(DATA), NODE).await.expect_err("it is in use");
        assert!(error.to_string().contains("Kafka is running on it"), "{error}");
        assert!(start(&runtime).await.is_err());
        drop(held);
        start(&runtime).await.expect("it is free again").close().await;
    });
}

#[test]
fn a_broker_serves_what_kafka_wrote() {
    let (simulation, before) = (Simulation::new(3), KafkaDirectory::with(&cluster_records()).image());
    let machine = machine_with(&simulation, &before);
    simulation.block_on(async {
        let mut settings = Settings::default();
        settings.listen("0.0.0.0:9092");
        settings.data_directory(DATA);
        for _ in 0..2 {
            let (config, _) = BrokerConfig::read(&settings).expect("nothing is wrong with it");
            let broker = Broker::start(config, 1000, machine.runtime()).await.expect("it is taken over");
            assert!(!broker.is_first_start(), "there is something in it");
            broker.stop().await;
        }
    });
    check_files_of_logs(&machine, &before);
}

/// That no segment was changed.
fn check_files_of_logs(machine: &Machine, before: &DiskImage) {
    for (path, bytes) in before.files.iter().filter(|(path, _)| path.contains("orders-0/0000")) {
        assert_eq!(machine.disk().read(path).as_ref(), Some(bytes), "{path}");
    }
}

/// Starts until the end or until the machine crashes.
fn run(simulation: &Simulation, machine: &Machine) -> Option<Arc<MetadataImage>> {
    let runtime = machine.runtime();
    let started = simulation.block_on(async {
        let metadata = start(&runtime).await?;
        let image = metadata.image();
        metadata.close().await;
        Ok::<_, String>(image)
    });
    match started {
        Ok(image) => Some(image),
        Err(error) => {
            assert!(!machine.is_up(), "{error}");
            None
        }
    }
}

fn interrupt_everywhere(crash: Crash) {
    let before = KafkaDirectory::with(&cluster_records()).image();
    let count = {
        let simulation = Simulation::new(3);
        let machine = machine_with(&simulation, &before);
        run(&simulation, &machine).expect("a working disk");
        machine.disk().completed_count()
    };
    for operation in 1..=count {
        for point in [CrashPoint::Submitted(operation), CrashPoint::Completed(operation)] {
            let simulation = Simulation::new(40 + operation);
            let machine = machine_with(&simulation, &before);
            machine.disk().crash_at(point, crash);
            let first = run(&simulation, &machine);
            if !machine.is_up() {
                machine.restart();
            }
            check_files(&machine, &before);
            let image = run(&simulation, &machine).expect("the second start has a working disk");
            let starts = image.broker(NODE).map_or(0, |broker| broker.start_count);
            assert!(first.is_none() || starts == 2, "{point:?}");
            check_image(&image, starts);
            check_files(&machine, &before);
        }
    }
}

#[test]
fn a_take_over_killed_at_any_disk_operation_goes_on() {
    interrupt_everywhere(Crash::Kill);
}

#[test]
fn a_power_cut_at_any_disk_operation_costs_nothing() {
    interrupt_everywhere(Crash::PowerCut);
}
