//! What Kafka's metadata log says about the cluster, and whether a node alone can go on from it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::types::{BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId};
use ottla_runtime::WallTime;

use super::metadata_log::Said;
use super::plan::Objection;
use super::record::{KafkaPartition, KafkaPartitionChange, KafkaRecord, Unserved};
use crate::config::validate_topic_overrides;
use crate::controller::{ClusterId, ConfigResource, DirectoryId, MetadataRecord, PartitionRecord, TopicName};

/// The features that are known here, with the highest level of Kafka 4.3. None of the lower levels changes what is on
/// disk in a way that is not read.
const FEATURES: &[(&str, i16)] = &[
    (METADATA_VERSION, 30),
    ("kraft.version", 1),
    ("transaction.version", 2),
    ("group.version", 1),
    ("eligible.leader.replicas.version", 1),
    ("share.version", 1),
    ("streams.version", 1),
];
const METADATA_VERSION: &str = "metadata.version";
/// 3.3-IV3, the lowest that Kafka 4 starts with.
const METADATA_VERSION_MIN: i16 = 7;

/// More partitions than this do not fit into the one transaction that takes them over.
const PARTITIONS_MAX: usize = 400_000;

/// A cluster as Kafka's records describe it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct KafkaCluster {
    /// Brokers with their log directories, where they named them.
    brokers: BTreeMap<BrokerId, Vec<DirectoryId>>,
    controllers: BTreeSet<BrokerId>,
    voters: u32,
    topics: BTreeMap<TopicId, KafkaTopic>,
    configs: BTreeMap<ConfigResource, BTreeMap<String, String>>,
    features: BTreeMap<String, i16>,
    next_producer_id: ProducerId,
    unserved: BTreeSet<(Unserved, String)>,
    zookeeper_migration: i8,
    /// Records of a transaction that has not ended.
    pending: Option<Vec<(Offset, KafkaRecord)>>,
    /// The first record that contradicts those before it.
    contradiction: Option<Objection>,
}

/// A topic of Kafka's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KafkaTopic {
    pub(super) name: String,
    pub(super) partitions: BTreeMap<PartitionIndex, KafkaPartition>,
}

/// Who takes over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heir {
    pub(super) node: BrokerId,
    pub(super) directory: DirectoryId,
}

impl KafkaCluster {
    /// The next of what the log says.
    pub(super) fn on(&mut self, offset: Offset, said: Said) {
        match said {
            Said::Voters(count) => self.voters = count,
            Said::Record(KafkaRecord::BeginTransaction) => self.pending = Some(Vec::new()),
            Said::Record(KafkaRecord::AbortTransaction) => self.pending = None,
            Said::Record(KafkaRecord::EndTransaction) => {
                for (offset, record) in self.pending.take().unwrap_or_default() {
                    self.apply(offset, record);
                }
            }
            Said::Record(record) => match &mut self.pending {
                Some(pending) => pending.push((offset, record)),
                None => self.apply(offset, record),
            },
        }
    }

    fn apply(&mut self, offset: Offset, record: KafkaRecord) {
        let is_possible = match record {
            KafkaRecord::RegisterBroker { broker, directories }
            | KafkaRecord::BrokerDirectories { broker, directories } => {
                self.brokers.insert(broker, directories);
                true
            }
            KafkaRecord::UnregisterBroker { broker } => self.brokers.remove(&broker).is_some(),
            KafkaRecord::RegisterController { controller } => {
                self.controllers.insert(controller);
                true
            }
            KafkaRecord::Topic { name, id } => {
                let topic = KafkaTopic { name, partitions: BTreeMap::new() };
                self.topics.insert(id, topic).is_none()
            }
            KafkaRecord::RemoveTopic { id } => self.remove_topic(id),
            KafkaRecord::Partition(partition) => self.set_partition(partition),
            KafkaRecord::PartitionChange(change) => self.change_partition(change),
            KafkaRecord::Config { resource, key, value } => {
                self.set_config(resource, key, value);
                true
            }
            KafkaRecord::FeatureLevel { name, level } => {
                match level {
                    0 => self.features.remove(&name),
                    _ => self.features.insert(name, level),
                };
                true
            }
            KafkaRecord::ProducerIds { next } => {
                self.next_producer_id = self.next_producer_id.max(next);
                true
            }
            KafkaRecord::ZooKeeperMigration { state } => {
                self.zookeeper_migration = state;
                true
            }
            KafkaRecord::Unserved { kind, key, is_there } => {
                match is_there {
                    true => self.unserved.insert((kind, key)),
                    false => self.unserved.remove(&(kind, key)),
                };
                true
            }
            KafkaRecord::OtherConfig { .. }
            | KafkaRecord::Nothing
            | KafkaRecord::BeginTransaction
            | KafkaRecord::EndTransaction
            | KafkaRecord::AbortTransaction => true,
        };
        if !is_possible && self.contradiction.is_none() {
            self.contradiction = Some(Objection::Contradiction { offset });
        }
    }

    fn remove_topic(&mut self, id: TopicId) -> bool {
        let Some(topic) = self.topics.remove(&id) else { return false };
        self.configs.remove(&ConfigResource::Topic(topic.name));
        true
    }

    fn set_partition(&mut self, partition: KafkaPartition) -> bool {
        let Some(topic) = self.topics.get_mut(&partition.topic) else { return false };
        topic.partitions.insert(partition.index, partition);
        true
    }

    fn change_partition(&mut self, change: KafkaPartitionChange) -> bool {
        let topic = self.topics.get_mut(&change.topic);
        let Some(partition) = topic.and_then(|topic| topic.partitions.get_mut(&change.index)) else {
            return false;
        };
        partition.partition_epoch = partition.partition_epoch.saturating_add(1);
        if change.names_leader {
            partition.leader_epoch = LeaderEpoch(partition.leader_epoch.0.saturating_add(1));
        }
        if let Some(replicas) = change.replicas {
            partition.replicas = replicas;
        }
        if let Some(directories) = change.directories {
            partition.directories = directories;
        }
        true
    }

    fn set_config(&mut self, resource: ConfigResource, key: String, value: Option<String>) {
        let configs = self.configs.entry(resource.clone()).or_default();
        match value {
            Some(value) => configs.insert(key, value),
            None => configs.remove(&key),
        };
        if configs.is_empty() {
            self.configs.remove(&resource);
        }
    }

    pub(super) fn topics(&self) -> &BTreeMap<TopicId, KafkaTopic> {
        &self.topics
    }

    /// How many configs are set on anything.
    pub(super) fn config_count(&self) -> usize {
        self.configs.values().map(BTreeMap::len).sum()
    }

    pub(super) fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// The level of `metadata.version`.
    pub(super) fn metadata_version(&self) -> i16 {
        self.features.get(METADATA_VERSION).copied().unwrap_or(0)
    }

    /// Every reason why `heir` can't go on from here.
    pub(super) fn objections(&self, heir: Heir) -> Vec<Objection> {
        let mut found: Vec<Objection> = self.contradiction.clone().into_iter().collect();
        if matches!(self.zookeeper_migration, 1 | 2) {
            found.push(Objection::ZooKeeperMigration);
        }
        self.object_to_features(&mut found);
        self.object_to_nodes(heir, &mut found);
        self.object_to_unserved(&mut found);
        self.object_to_topics(heir, &mut found);
        found
    }

    fn object_to_features(&self, found: &mut Vec<Objection>) {
        if self.metadata_version() < METADATA_VERSION_MIN {
            found.push(Objection::MetadataVersion { found: self.metadata_version() });
        }
        for (name, level) in &self.features {
            let newest = FEATURES.iter().find(|(known, _)| known == name).map_or(0, |(_, newest)| *newest);
            if newest < *level {
                found.push(Objection::Feature { name: name.clone(), level: *level, newest });
            }
        }
    }

    fn object_to_nodes(&self, heir: Heir, found: &mut Vec<Objection>) {
        let mut others: BTreeSet<BrokerId> = self.brokers.keys().chain(&self.controllers).copied().collect();
        others.remove(&heir.node);
        if !others.is_empty() {
            found.push(Objection::OtherNodes(others.into_iter().collect()));
        } else if 1 < self.voters {
            found.push(Objection::Voters(self.voters));
        }
        let directories = self.brokers.get(&heir.node).map_or(0, Vec::len);
        if 1 < directories {
            found.push(Objection::SeveralDirectories(directories));
        }
    }

    fn object_to_unserved(&self, found: &mut Vec<Objection>) {
        for (kind, what) in [
            (Unserved::Acl, "access control entries"),
            (Unserved::ScramUser, "SCRAM credentials"),
            (Unserved::DelegationToken, "delegation tokens"),
            (Unserved::ClientQuota, "client quotas"),
        ] {
            let count = self.unserved.iter().filter(|(of, _)| *of == kind).count();
            if 0 < count {
                found.push(Objection::Unserved { what, count });
            }
        }
    }

    fn object_to_topics(&self, heir: Heir, found: &mut Vec<Objection>) {
        let count: usize = self.topics.values().map(|topic| topic.partitions.len()).sum();
        if PARTITIONS_MAX < count {
            found.push(Objection::TooManyPartitions(count));
        }
        for topic in self.topics.values() {
            let name = &topic.name;
            if TopicName::check(name).is_err() {
                found.push(Objection::TopicName(name.clone()));
            }
            let is_dense = topic.partitions.keys().zip(0..).all(|(index, place)| index.0 == place);
            if topic.partitions.is_empty() || !is_dense {
                found.push(Objection::Partitions(name.clone()));
            }
            let is_elsewhere = |partition: &KafkaPartition| {
                let is_here = |id: &DirectoryId| *id == heir.directory || is_reserved(*id);
                partition.replicas != [heir.node] || !partition.directories.iter().all(is_here)
            };
            if topic.partitions.values().any(is_elsewhere) {
                found.push(Objection::Elsewhere(name.clone()));
            }
            if let Err(error) = self.topic_overrides(name) {
                found.push(Objection::TopicConfig { topic: name.clone(), reason: error });
            }
        }
    }

    /// A topic's configs as they are kept here.
    fn topic_overrides(&self, topic: &str) -> Result<BTreeMap<String, String>, String> {
        let configs = self.configs.get(&ConfigResource::Topic(topic.to_owned()));
        let requested = configs.into_iter().flatten().map(|(key, value)| (&**key, Some(&**value)));
        validate_topic_overrides(requested).map_err(|error| error.to_string())
    }

    /// The records that the metadata log of `heir` begins with. `epochs` are the highest leader epochs that logs know,
    /// where that is more than the metadata has.
    ///
    /// Only for a cluster without objections.
    pub(super) fn to_records(
        &self,
        heir: Heir,
        cluster_id: ClusterId,
        now: WallTime,
        epochs: &BTreeMap<(TopicId, PartitionIndex), LeaderEpoch>,
    ) -> Vec<MetadataRecord> {
        let mut records = vec![MetadataRecord::ClusterCreated { cluster_id, created_at: now }];
        records.extend(
            self.features
                .iter()
                .map(|(name, level)| MetadataRecord::FeatureLevel { name: name.clone(), level: *level }),
        );
        if ProducerId(0) < self.next_producer_id {
            records.push(MetadataRecord::ProducerIdBlock { broker: heir.node, next: self.next_producer_id });
        }
        for (id, topic) in &self.topics {
            records.push(MetadataRecord::Topic {
                id: *id,
                name: topic.name.clone(),
                partition_count: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX),
            });
            for partition in topic.partitions.values() {
                let known = epochs.get(&(*id, partition.index)).copied().unwrap_or(LeaderEpoch(0));
                records.push(MetadataRecord::Partition(PartitionRecord {
                    topic: *id,
                    index: partition.index,
                    replicas: vec![heir.node],
                    directories: vec![heir.directory],
                    isr: vec![heir.node],
                    elr: vec![],
                    leader: Some(heir.node),
                    leader_epoch: partition.leader_epoch.max(known),
                    partition_epoch: partition.partition_epoch,
                }));
            }
        }
        for (resource, configs) in &self.configs {
            let configs = match resource {
                ConfigResource::Topic(name) => self.topic_overrides(name).unwrap_or_default(),
                _ => configs.clone(),
            };
            records.extend(configs.into_iter().map(|(key, value)| MetadataRecord::ConfigSet {
                resource: resource.clone(),
                key,
                value,
            }));
        }
        records
    }
}

/// Ids of Kafka's that name no directory: unassigned, lost, migrating.
fn is_reserved(id: DirectoryId) -> bool {
    u128::from_be_bytes(id.0) < 100
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEIR: Heir = Heir { node: BrokerId(1), directory: DirectoryId([9; 16]) };
    const ONE: TopicId = TopicId([1; 16]);

    fn topic() -> KafkaRecord {
        KafkaRecord::Topic { name: "one".to_owned(), id: ONE }
    }

    fn partition(index: i32) -> KafkaRecord {
        KafkaRecord::Partition(KafkaPartition {
            topic: ONE,
            index: PartitionIndex(index),
            replicas: vec![BrokerId(1)],
            directories: vec![HEIR.directory],
            leader_epoch: LeaderEpoch(4),
            partition_epoch: 6,
        })
    }

    fn change(names_leader: bool) -> KafkaRecord {
        KafkaRecord::PartitionChange(KafkaPartitionChange {
            topic: ONE,
            index: PartitionIndex(0),
            names_leader,
            replicas: None,
            directories: None,
        })
    }

    fn feature(name: &str, level: i16) -> KafkaRecord {
        KafkaRecord::FeatureLevel { name: name.to_owned(), level }
    }

    fn config(topic: &str, key: &str, value: Option<&str>) -> KafkaRecord {
        let resource = ConfigResource::Topic(topic.to_owned());
        KafkaRecord::Config { resource, key: key.to_owned(), value: value.map(str::to_owned) }
    }

    /// A cluster of one node with what these records say.
    fn cluster(records: impl IntoIterator<Item = KafkaRecord>) -> KafkaCluster {
        let mut cluster = KafkaCluster::default();
        let node = KafkaRecord::RegisterBroker { broker: BrokerId(1), directories: vec![HEIR.directory] };
        let records = [feature(METADATA_VERSION, 30), node].into_iter().chain(records);
        records.zip(0..).for_each(|(record, offset)| cluster.on(Offset(offset), Said::Record(record)));
        cluster
    }

    #[track_caller]
    fn check(records: impl IntoIterator<Item = KafkaRecord>, expected: &[Objection]) {
        assert_eq!(cluster(records).objections(HEIR), expected);
    }

    fn records_of(records: impl IntoIterator<Item = KafkaRecord>) -> Vec<MetadataRecord> {
        let cluster = cluster(records);
        assert_eq!(cluster.objections(HEIR), []);
        cluster.to_records(HEIR, ClusterId([7; 16]), WallTime(5), &BTreeMap::new())
    }

    fn partition_of(records: &[MetadataRecord]) -> &PartitionRecord {
        let found = records.iter().find_map(|record| match record {
            MetadataRecord::Partition(partition) => Some(partition),
            _ => None,
        });
        found.expect("there is a partition")
    }

    #[test]
    fn topics_keep_their_ids_and_epochs_and_get_the_one_node_as_leader() {
        let records = records_of([topic(), partition(0), change(true), change(false), change(true)]);
        let expected = PartitionRecord {
            topic: ONE,
            index: PartitionIndex(0),
            replicas: vec![BrokerId(1)],
            directories: vec![HEIR.directory],
            isr: vec![BrokerId(1)],
            elr: vec![],
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(6),
            partition_epoch: 9,
        };
        assert_eq!(partition_of(&records), &expected);
    }

    #[test]
    fn an_epoch_that_a_log_knows_is_not_gone_back_from() {
        let cluster = cluster([topic(), partition(0)]);
        let epochs = [((ONE, PartitionIndex(0)), LeaderEpoch(11))].into();
        let records = cluster.to_records(HEIR, ClusterId([7; 16]), WallTime(5), &epochs);
        assert_eq!(partition_of(&records).leader_epoch, LeaderEpoch(11));
    }

    #[test]
    fn what_is_gone_is_not_taken_over() {
        let records = records_of([
            topic(),
            partition(0),
            config("one", "retention.ms", Some("5")),
            KafkaRecord::RemoveTopic { id: ONE },
            feature("group.version", 1),
            feature("group.version", 0),
        ]);
        let expected = [
            MetadataRecord::ClusterCreated { cluster_id: ClusterId([7; 16]), created_at: WallTime(5) },
            MetadataRecord::FeatureLevel { name: METADATA_VERSION.to_owned(), level: 30 },
        ];
        assert_eq!(records, expected);
    }

    #[test]
    fn a_transaction_counts_when_it_has_ended() {
        let (begin, end, abort) =
            (KafkaRecord::BeginTransaction, KafkaRecord::EndTransaction, KafkaRecord::AbortTransaction);
        let count = |records: Vec<KafkaRecord>| cluster(records).topics().len();
        assert_eq!(count(vec![begin.clone(), topic(), partition(0), end]), 1);
        assert_eq!(count(vec![begin.clone(), topic(), partition(0), abort]), 0);
        assert_eq!(count(vec![begin, topic(), partition(0)]), 0);
    }

    #[test]
    fn configs_and_producer_ids_come_along() {
        let records = records_of([
            topic(),
            partition(0),
            config("one", "retention.ms", Some("05")),
            config("one", "segment.bytes", Some("1048576")),
            config("one", "segment.bytes", None),
            KafkaRecord::ProducerIds { next: ProducerId(3000) },
        ]);
        assert!(
            records
                .contains(&MetadataRecord::ProducerIdBlock { broker: BrokerId(1), next: ProducerId(3000) })
        );
        let set: Vec<_> =
            records.iter().filter(|record| matches!(record, MetadataRecord::ConfigSet { .. })).collect();
        let resource = ConfigResource::Topic("one".to_owned());
        let expected =
            MetadataRecord::ConfigSet { resource, key: "retention.ms".to_owned(), value: "5".to_owned() };
        assert_eq!(set, [&expected]);
    }

    #[test]
    fn a_node_that_is_not_alone_is_left_alone() {
        let register = |id, count| KafkaRecord::RegisterBroker {
            broker: BrokerId(id),
            directories: vec![DirectoryId::UNASSIGNED; count],
        };
        check([register(2, 1), register(3, 1)], &[Objection::OtherNodes(vec![BrokerId(2), BrokerId(3)])]);
        check([register(2, 1), KafkaRecord::UnregisterBroker { broker: BrokerId(2) }], &[]);
        check(
            [KafkaRecord::RegisterController { controller: BrokerId(4) }],
            &[Objection::OtherNodes(vec![BrokerId(4)])],
        );
        check([register(1, 2)], &[Objection::SeveralDirectories(2)]);
        let mut three = cluster([]);
        three.on(Offset(9), Said::Voters(3));
        assert_eq!(three.objections(HEIR), [Objection::Voters(3)]);
    }

    #[test]
    fn what_changes_the_meaning_is_refused() {
        check(
            [feature(METADATA_VERSION, 31)],
            &[Objection::Feature { name: METADATA_VERSION.to_owned(), level: 31, newest: 30 }],
        );
        check([feature(METADATA_VERSION, 6)], &[Objection::MetadataVersion { found: 6 }]);
        check(
            [feature("share.version", 2)],
            &[Objection::Feature { name: "share.version".to_owned(), level: 2, newest: 1 }],
        );
        check(
            [feature("diskless.version", 1)],
            &[Objection::Feature { name: "diskless.version".to_owned(), level: 1, newest: 0 }],
        );
        check([KafkaRecord::ZooKeeperMigration { state: 2 }], &[Objection::ZooKeeperMigration]);
        check([KafkaRecord::ZooKeeperMigration { state: 3 }], &[]);
        let acl = |is_there| KafkaRecord::Unserved { kind: Unserved::Acl, key: "a".to_owned(), is_there };
        check([acl(true)], &[Objection::Unserved { what: "access control entries", count: 1 }]);
        check([acl(true), acl(false)], &[]);
    }

    #[test]
    fn topics_that_are_elsewhere_or_not_whole_are_refused() {
        let name = || "one".to_owned();
        check([topic()], &[Objection::Partitions(name())]);
        check([topic(), partition(1)], &[Objection::Partitions(name())]);
        let moved = |replicas: &[i32], directory: [u8; 16]| {
            KafkaRecord::PartitionChange(KafkaPartitionChange {
                topic: ONE,
                index: PartitionIndex(0),
                names_leader: false,
                replicas: Some(replicas.iter().copied().map(BrokerId).collect()),
                directories: Some(vec![DirectoryId(directory)]),
            })
        };
        check([topic(), partition(0), moved(&[1, 2], [9; 16])], &[Objection::Elsewhere(name())]);
        check([topic(), partition(0), moved(&[1], [8; 16])], &[Objection::Elsewhere(name())]);
        check([topic(), partition(0), moved(&[1], [0; 16])], &[]);
        check([partition(0)], &[Objection::Contradiction { offset: Offset(2) }]);
        let found = cluster([topic(), partition(0), config("one", "remote.storage.enable", Some("true"))]);
        assert!(
            matches!(&found.objections(HEIR)[..], [Objection::TopicConfig { topic, .. }] if topic == "one")
        );
    }
}
