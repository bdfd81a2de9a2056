//! A crash at every single disk operation: nothing that was acknowledged is lost, whatever happens to the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::types::{BrokerId, TopicId};
use ottla_runtime::Runtime;
use ottla_runtime::simulated::{Crash, CrashPoint, Machine, Simulation};

use super::super::topics::TopicReference;
use super::super::{
    AlterConfigs, ClusterId, ConfigResource, DeleteTopics, Metadata, MetadataImage, ProposeError,
};
use super::{create, options};
use crate::config::{ConfigAlteration, ConfigEdit};

/// What one run was told is so. `maybe` is what it asked for last and got no answer to.
#[derive(Debug, Clone, Default)]
struct Known {
    cluster: Option<ClusterId>,
    start_count: i32,
    topics: Vec<(String, TopicId, i32)>,
    deleted: Vec<TopicId>,
    next_producer_id: i64,
    config: Option<String>,
    maybe_deleted: Option<String>,
    maybe_config: Option<String>,
}

/// Snapshots come every few changes, so that rolls and removals are among what is interrupted.
const SNAPSHOT_AFTER_BYTES: u64 = 400;

/// Changes things until all is done or the machine stops.
async fn work(runtime: Runtime, known: &mut Known) -> Result<(), String> {
    let text = |error: ProposeError| error.to_string();
    let metadata =
        Metadata::open(&runtime, options(SNAPSHOT_AFTER_BYTES)).await.map_err(|error| error.to_string())?;
    check(&metadata.image(), known);
    known.cluster = Some(metadata.cluster_id());
    known.start_count = metadata.image().broker(BrokerId(1)).map_or(0, |broker| broker.start_count);
    let round = known.start_count;
    for n in 0..4 {
        let name = format!("t{round}-{n}");
        create(&metadata, &[&name]).await.map_err(text)?;
        note_topic(&metadata.image(), &name, known);
        let block = metadata.allocate_producer_ids().await.map_err(text)?.expect("there are more");
        assert!(known.next_producer_id <= block.first.0, "an id is given twice");
        known.next_producer_id = block.first.0 + block.count;
        let value = format!("{round}{n}");
        known.maybe_config = Some(value.clone());
        set_config(&metadata, &value).await.map_err(text)?;
        (known.config, known.maybe_config) = (known.maybe_config.take(), None);
    }
    if let Some((name, id, _)) = known.topics.first().cloned() {
        known.maybe_deleted = Some(name.clone());
        let topics = vec![TopicReference { name: None, id }];
        let request = DeleteTopics { topics, timeout_ms: 1, enabled: true };
        metadata.delete_topics(request).await.map_err(text)?;
        known.topics.remove(0);
        known.deleted.push(id);
        known.maybe_deleted = None;
    }
    metadata.close().await;
    Ok(())
}

async fn set_config(metadata: &Metadata, value: &str) -> Result<(), ProposeError> {
    let edits = BTreeMap::from([("log.retention.ms".to_owned(), ConfigEdit::Set(value.to_owned()))]);
    let request = AlterConfigs {
        alterations: vec![(ConfigResource::EveryBroker, ConfigAlteration::Edit(edits))],
        validate_only: false,
        node: BrokerId(1),
        static_values: Arc::default(),
    };
    let results = metadata.alter_configs(request).await?;
    assert_eq!(results, [Ok(())]);
    Ok(())
}

fn note_topic(image: &MetadataImage, name: &str, known: &mut Known) {
    let topic = image.topic(name).expect("it was just created");
    let epoch = image.leader_epoch(&topic.partitions()[0]).0;
    known.topics.push((name.to_owned(), topic.id(), epoch));
}

/// Whether the image of a new start holds all that was known.
fn check(image: &MetadataImage, known: &mut Known) {
    if let Some(cluster) = known.cluster {
        assert_eq!(image.cluster_id(), cluster);
    }
    let start_count = image.broker(BrokerId(1)).map_or(0, |broker| broker.start_count);
    assert!(known.start_count < start_count, "{known:?}");
    if let Some(name) = known.maybe_deleted.take()
        && image.topic(&name).is_none()
    {
        let (_, id, _) = known.topics.remove(0);
        known.deleted.push(id);
    }
    for (name, id, epoch) in &mut known.topics {
        let topic = image.topic(name).unwrap_or_else(|| panic!("{name} is lost"));
        assert_eq!(topic.id(), *id, "{name}");
        assert_eq!(topic.partitions().len(), 2, "{name}");
        let now = image.leader_epoch(&topic.partitions()[0]).0;
        assert!(*epoch < now, "{name}: leader epoch {now} after {epoch}");
        *epoch = now;
    }
    for id in &known.deleted {
        assert!(image.topic_by_id(*id).is_none(), "a deleted topic is back");
    }
    assert!(known.next_producer_id <= image.next_producer_id().0, "producer ids are lost");
    let config =
        image.configs(&ConfigResource::EveryBroker).and_then(|configs| configs.get("log.retention.ms"));
    let config = config.map(|value| value.to_string());
    assert!(config == known.config || config == known.maybe_config, "{config:?}, {known:?}");
    known.config = config;
    known.maybe_config = None;
}

/// How many disk operations two undisturbed starts take.
fn operation_count() -> u64 {
    let simulation = Simulation::new(21);
    let machine = simulation.machine("one");
    let mut known = Known::default();
    for _ in 0..2 {
        simulation.block_on(work(machine.runtime(), &mut known)).expect("a working disk");
    }
    machine.disk().completed_count()
}

/// Crashes a machine at one operation, again soon after its restart, and then lets it finish.
fn crash_at(seed: u64, point: CrashPoint, crash: Crash) {
    let simulation = Simulation::new(seed);
    let machine = simulation.machine("one");
    machine.disk().crash_at(point, crash);
    let mut known = Known::default();
    for start in 0..2 {
        run(&simulation, &machine, &mut known);
        if start == 0 && !machine.is_up() {
            machine.restart();
            let soon = machine.disk().completed_count() + 1 + simulation.rng().below(30);
            machine.disk().crash_at(CrashPoint::Completed(soon), Crash::PowerCut);
            run(&simulation, &machine, &mut known);
        }
        if !machine.is_up() {
            machine.restart();
        }
    }
    simulation.block_on(work(machine.runtime(), &mut known)).unwrap_or_else(|error| {
        panic!("seed {seed}, {point:?}, {crash:?}: {error}");
    });
}

/// Works until the end or until the machine crashes; any other failure is one of the test.
fn run(simulation: &Simulation, machine: &Machine, known: &mut Known) {
    let worked = simulation.block_on(work(machine.runtime(), known));
    if let Err(error) = worked {
        assert!(!machine.is_up(), "seed {}: {error}", simulation.seed());
    }
}

fn crash_everywhere(crash: Crash, seeds: std::ops::Range<u64>) {
    let count = operation_count();
    for seed in seeds {
        for operation in 1..=count {
            crash_at(seed, CrashPoint::Submitted(operation), crash);
            crash_at(seed, CrashPoint::Completed(operation), crash);
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill_at_any_disk_operation() {
    crash_everywhere(Crash::Kill, 100..101);
}

#[test]
fn nothing_acknowledged_is_lost_by_a_power_cut_at_any_disk_operation() {
    crash_everywhere(Crash::PowerCut, 200..202);
}

/// Run by hand: `cargo test -p ottla-broker --release survival -- --ignored`.
#[test]
#[ignore = "takes a while"]
fn nothing_acknowledged_is_lost_under_many_seeds() {
    crash_everywhere(Crash::Kill, 1000..1050);
    crash_everywhere(Crash::PowerCut, 2000..2050);
}
