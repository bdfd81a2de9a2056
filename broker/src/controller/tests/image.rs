//! What records do to an image.

use ottla_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};

use super::super::proposal::{Outcome, ProducerIdBlock, Proposal};
use super::super::{
    AlterConfigs, AlterConfigsError, ApplyError, ConfigResource, MetadataImage, MetadataRecord, NewLeader,
    PartitionChangeRecord, TopicChange,
};
use super::{Cluster, topic};
use crate::config::{ConfigAlteration, ConfigEdit};

fn epoch(cluster: &Cluster, name: &str) -> i32 {
    let topic = cluster.image.topic(name).expect("a topic of the test");
    cluster.image.leader_epoch(&topic.partitions()[0]).0
}

fn change(cluster: &Cluster, partition_epoch: i32) -> PartitionChangeRecord {
    PartitionChangeRecord {
        topic: cluster.image.topic("a").expect("a topic of the test").id(),
        index: PartitionIndex(0),
        partition_epoch,
        leader: None,
        isr: None,
        elr: None,
        replicas: None,
    }
}

fn apply(cluster: &mut Cluster, record: PartitionChangeRecord) -> Result<(), ApplyError> {
    cluster.image.apply(&MetadataRecord::PartitionChange(record))
}

#[test]
fn a_restart_raises_every_leader_epoch_by_one_record() {
    let mut cluster = Cluster::of(1);
    cluster.create(vec![topic("a", 2, 1)]);
    assert_eq!(epoch(&cluster, "a"), 0);
    let records = cluster.records.len();
    cluster.start(1);
    assert_eq!(cluster.records.len(), records + 1);
    assert_eq!(epoch(&cluster, "a"), 1);
    cluster.create(vec![topic("b", 1, 1)]);
    cluster.start(1);
    assert_eq!((epoch(&cluster, "a"), epoch(&cluster, "b")), (2, 1));
}

#[test]
fn a_leader_epoch_never_goes_back_whoever_leads() {
    let mut cluster = Cluster::of(2);
    cluster.create(vec![super::NewTopic {
        assignments: vec![(PartitionIndex(0), vec![BrokerId(1), BrokerId(2)])],
        ..topic("a", -1, -1)
    }]);
    for _ in 0..5 {
        cluster.start(1);
    }
    assert_eq!(epoch(&cluster, "a"), 5);
    let to = |leader, epoch| Some(NewLeader { leader, leader_epoch: LeaderEpoch(epoch) });

    let stale = PartitionChangeRecord { leader: to(Some(BrokerId(2)), 5), ..change(&cluster, 1) };
    assert!(matches!(apply(&mut cluster, stale), Err(ApplyError::EpochGoesBack { known: 5, found: 5, .. })));

    // Broker 2 has started once only; its epochs go on from where broker 1's ended.
    let moved = PartitionChangeRecord { leader: to(Some(BrokerId(2)), 6), ..change(&cluster, 1) };
    apply(&mut cluster, moved).expect("the epochs grow");
    assert_eq!(epoch(&cluster, "a"), 6);
    cluster.start(1);
    assert_eq!(epoch(&cluster, "a"), 6);
    cluster.start(2);
    assert_eq!(epoch(&cluster, "a"), 7);

    let nobody = PartitionChangeRecord { leader: to(None, 8), ..change(&cluster, 2) };
    apply(&mut cluster, nobody).expect("the epochs grow");
    cluster.start(2);
    assert_eq!(epoch(&cluster, "a"), 8);
}

#[test]
fn a_change_leaves_what_it_does_not_name() {
    let mut cluster = Cluster::of(2);
    cluster.create(vec![topic("a", 1, 2)]);
    let before = cluster.image.topic("a").expect("a topic of the test").partitions()[0].clone();
    let only = vec![before.leader().expect("it has a leader")];
    let shrunk = PartitionChangeRecord { isr: Some(only.clone()), ..change(&cluster, 1) };
    apply(&mut cluster, shrunk).expect("the epoch grows");
    let after = cluster.image.topic("a").expect("a topic of the test").partitions()[0].clone();
    assert_eq!(after.isr(), only);
    assert_eq!((after.replicas(), after.leader()), (before.replicas(), before.leader()));
    assert_eq!(after.partition_epoch(), 1);
    let repeated = change(&cluster, 1);
    assert!(matches!(apply(&mut cluster, repeated), Err(ApplyError::EpochGoesBack { .. })));
}

#[test]
fn records_that_contradict_the_image_are_refused() {
    let mut cluster = Cluster::of(1);
    cluster.create(vec![topic("a", 1, 1)]);
    let id = TopicId([3; 16]);
    let create =
        |id, name: &str| MetadataRecord::Topic { id, name: name.to_owned(), partition_count: u32::MAX };
    let refuse = |record: MetadataRecord| cluster.image.clone().apply(&record).expect_err("refused");
    assert_eq!(refuse(MetadataRecord::RemoveTopic { id }), ApplyError::UnknownTopic(id));
    assert!(matches!(refuse(create(id, "a")), ApplyError::TopicExists { .. }));
    let next = ProducerId(0);
    let again = MetadataRecord::ProducerIdBlock { broker: BrokerId(1), next };
    assert!(matches!(refuse(again), ApplyError::ProducerIdGoesBack { .. }));
    for record in &cluster.records {
        if !matches!(record, MetadataRecord::ConfigSet { .. }) {
            assert!(cluster.image.clone().apply(record).is_err(), "{record:?}");
        }
    }
}

#[test]
fn producer_ids_are_given_away_once() {
    let mut cluster = Cluster::of(2);
    for (broker, first) in [(1, 0), (2, 1000), (1, 2000)] {
        let outcome = cluster.propose(Proposal::AllocateProducerIds { broker: BrokerId(broker) });
        let block = ProducerIdBlock { first: ProducerId(first), count: 1000 };
        assert_eq!(outcome, Outcome::ProducerIds(Some(block)));
    }
    let last = MetadataRecord::ProducerIdBlock { broker: BrokerId(1), next: ProducerId(i64::MAX - 3) };
    cluster.image.apply(&last).expect("it is above the last");
    let outcome = cluster.propose(Proposal::AllocateProducerIds { broker: BrokerId(1) });
    assert_eq!(outcome, Outcome::ProducerIds(None));
}

#[test]
fn configs_are_set_and_taken_back() {
    let mut cluster = Cluster::of(1);
    cluster.create(vec![topic("a", 1, 1)]);
    let before = cluster.image.clone();
    let mut set = |name: &str, value: Option<&str>| {
        let edit = value.map_or(ConfigEdit::Delete, |value| ConfigEdit::Set(value.to_owned()));
        let edits = [("retention.ms".to_owned(), edit)].into();
        let resource = ConfigResource::Topic(name.to_owned());
        let outcome = cluster.propose(Proposal::AlterConfigs(AlterConfigs {
            alterations: vec![(resource, ConfigAlteration::Edit(edits))],
            validate_only: false,
            node: BrokerId(1),
            static_values: Default::default(),
        }));
        (outcome, cluster.image.topic_configs(name).cloned())
    };
    let (outcome, configs) = set("a", Some("7"));
    assert_eq!(outcome, Outcome::ConfigsAltered(vec![Ok(())]));
    assert_eq!(configs.map(|configs| configs.len()), Some(1));
    let (outcome, configs) = set("unknown", Some("7"));
    let unknown = AlterConfigsError::UnknownTopic("unknown".to_owned());
    assert_eq!(outcome, Outcome::ConfigsAltered(vec![Err(unknown)]));
    assert_eq!(configs, None);
    assert_eq!(set("a", None).1, None);
    assert_eq!(cluster.image.configured().count(), before.configured().count());
}

#[test]
fn an_image_tells_what_changed_since_another() {
    let mut cluster = Cluster::of(1);
    cluster.create(vec![topic("a", 1, 1), topic("b", 1, 1), topic("c", 1, 1)]);
    let before = cluster.image.clone();
    assert_eq!(cluster.image.changes_since(&before), Default::default());
    let removed = cluster.image.topic("b").expect("a topic of the test").clone();
    cluster.image.apply(&MetadataRecord::RemoveTopic { id: removed.id() }).expect("it exists");
    let shrunk = PartitionChangeRecord { isr: Some(vec![]), ..change(&cluster, 1) };
    apply(&mut cluster, shrunk).expect("the epoch grows");
    cluster.create(vec![topic("d", 1, 1)]);
    let changes = cluster.image.changes_since(&before);
    assert!(!changes.brokers);
    assert_eq!(changes.topics.len(), 3);
    assert!(changes.topics.contains(&TopicChange::Removed(removed)));
    let created =
        |change: &TopicChange| matches!(change, TopicChange::Created(topic) if &**topic.name() == "d");
    assert!(changes.topics.iter().any(created));
    cluster.start(1);
    assert!(cluster.image.changes_since(&before).brokers);
}

#[test]
fn an_image_is_made_again_by_its_own_records() {
    let mut cluster = Cluster::of(3);
    cluster.create(vec![topic("a", 7, 3), topic("b.c", 1, 1)]);
    cluster.start(2);
    cluster.create(vec![topic("d", 2, 2)]);
    cluster.propose(Proposal::AllocateProducerIds { broker: BrokerId(2) });
    let feature = MetadataRecord::FeatureLevel { name: "f".to_owned(), level: 3 };
    cluster.image.apply(&feature).expect("features are free");
    let moved = PartitionChangeRecord {
        leader: Some(NewLeader { leader: None, leader_epoch: LeaderEpoch(40) }),
        elr: Some(vec![BrokerId(1)]),
        ..change(&cluster, 9)
    };
    apply(&mut cluster, moved).expect("the epochs grow");

    let mut again = MetadataImage::default();
    for record in cluster.image.to_records() {
        again.apply(&record).expect("an image's own records");
    }
    again.advance_to(cluster.image.offset());
    assert_eq!(again, cluster.image);
}
