//! The records of Kafka's metadata log (KRaft), as far as they matter to a node alone. Pure.
//!
//! A record's value is frame version (1), API key and version, each an unsigned varint, and then the fields of that
//! version, which are always flexible (KIP-482). The kinds and versions are those of Kafka 4.3; a newer one is an error,
//! because nobody can tell what it changes.

use bytes::Bytes;
use ottla_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};
use ottla_protocol::wire::{DecodeError, Field, FrameWriter, Reader, Str, Version};

use crate::controller::{ConfigResource, DirectoryId};

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KafkaRecord {
    /// A broker started; its log directories are those that it said it has.
    RegisterBroker { broker: BrokerId, directories: Vec<DirectoryId> },
    /// A broker is gone.
    UnregisterBroker { broker: BrokerId },
    /// A broker has other log directories, unless there are none here.
    BrokerDirectories { broker: BrokerId, directories: Vec<DirectoryId> },
    /// A controller started.
    RegisterController { controller: BrokerId },
    /// A topic came into being.
    Topic { name: String, id: TopicId },
    /// A topic is gone.
    RemoveTopic { id: TopicId },
    /// A partition came into being, or is said anew.
    Partition(KafkaPartition),
    /// A partition changed.
    PartitionChange(KafkaPartitionChange),
    /// A config has a value, or none any more.
    Config { resource: ConfigResource, key: String, value: Option<String> },
    /// A config of something that has none here, such as the loggers of a process.
    OtherConfig { kind: i8 },
    /// A feature is finalized; 0 takes it back.
    FeatureLevel { name: String, level: i16 },
    /// The first producer id that nobody has.
    ProducerIds { next: ProducerId },
    /// Where a migration from ZooKeeper stands.
    ZooKeeperMigration { state: i8 },
    /// Something that nothing here stands for: it is there, or is gone.
    Unserved { kind: Unserved, key: String, is_there: bool },
    /// The records up to the next end of a transaction happen together.
    BeginTransaction,
    /// They have happened.
    EndTransaction,
    /// They have not.
    AbortTransaction,
    /// Of no consequence once nobody runs: fencing, liveness, eligible replicas other than the one there is.
    Nothing,
}

/// What a cluster of Kafka's may have that nothing here stands for yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unserved {
    Acl,
    ScramUser,
    DelegationToken,
    ClientQuota,
}

/// A partition as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KafkaPartition {
    pub(super) topic: TopicId,
    pub(super) index: PartitionIndex,
    pub(super) replicas: Vec<BrokerId>,
    /// Empty in versions that don't have them.
    pub(super) directories: Vec<DirectoryId>,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) partition_epoch: i32,
}

/// What changed in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KafkaPartitionChange {
    pub(super) topic: TopicId,
    pub(super) index: PartitionIndex,
    /// Whether the leader is named, be it the same: each time, the leader epoch grows by one.
    pub(super) names_leader: bool,
    pub(super) replicas: Option<Vec<BrokerId>>,
    pub(super) directories: Option<Vec<DirectoryId>>,
}

/// Why a record can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    #[error("a frame of version {0}, expected 1")]
    Frame(u32),
    #[error("a record of kind {0}, which Kafka 4.3 does not have")]
    Kind(u32),
    #[error("{name} of version {found}, which is newer than {newest}")]
    Version { name: &'static str, found: u32, newest: i16 },
    #[error("{name}: {source}")]
    Fields { name: &'static str, source: DecodeError },
    #[error("its head: {0}")]
    Head(DecodeError),
}

/// The kinds of Kafka 4.3: API key, name, newest version.
const KINDS: &[(u32, &str, i16)] = &[
    (0, "RegisterBroker", 4),
    (1, "UnregisterBroker", 0),
    (2, "Topic", 0),
    (3, "Partition", 2),
    (4, "Config", 0),
    (5, "PartitionChange", 2),
    (7, "FenceBroker", 0),
    (8, "UnfenceBroker", 0),
    (9, "RemoveTopic", 0),
    (10, "DelegationToken", 0),
    (11, "UserScramCredential", 0),
    (12, "FeatureLevel", 0),
    (14, "ClientQuota", 0),
    (15, "ProducerIds", 0),
    (17, "BrokerRegistrationChange", 3),
    (18, "AccessControlEntry", 0),
    (19, "RemoveAccessControlEntry", 0),
    (20, "NoOp", 0),
    (21, "ZkMigrationState", 0),
    (22, "RemoveUserScramCredential", 0),
    (23, "BeginTransaction", 0),
    (24, "EndTransaction", 0),
    (25, "AbortTransaction", 0),
    (26, "RemoveDelegationToken", 0),
    (27, "RegisterController", 0),
    (28, "ClearElr", 0),
];

/// Reads the value of a record.
pub(super) fn decode(value: &Bytes) -> Result<KafkaRecord, RecordError> {
    let mut reader = Reader::new(value.clone());
    let frame = reader.unsigned_varint().map_err(RecordError::Head)?;
    if frame != 1 {
        return Err(RecordError::Frame(frame));
    }
    let kind = reader.unsigned_varint().map_err(RecordError::Head)?;
    let found = reader.unsigned_varint().map_err(RecordError::Head)?;
    let (_, name, newest) = *KINDS.iter().find(|(key, ..)| *key == kind).ok_or(RecordError::Kind(kind))?;
    let number = i16::try_from(found).ok().filter(|number| *number <= newest);
    let number = number.ok_or(RecordError::Version { name, found, newest })?;
    let mut fields = Fields { reader, version: Version { number, flexible: true } };
    fields.record(kind).map_err(|source| RecordError::Fields { name, source })
}

/// The fields of one record, in their order.
struct Fields {
    reader: Reader,
    version: Version,
}

impl Fields {
    fn record(&mut self, kind: u32) -> Result<KafkaRecord, DecodeError> {
        Ok(match kind {
            0 => self.register_broker()?,
            1 => KafkaRecord::UnregisterBroker { broker: self.broker()? },
            2 => KafkaRecord::Topic { name: self.text()?, id: self.id()? },
            3 => self.partition()?,
            4 => self.config()?,
            5 => self.partition_change()?,
            9 => KafkaRecord::RemoveTopic { id: self.id()? },
            10 => {
                let _owner_and_requester = (self.text()?, self.text()?);
                let _renewers: Vec<Str> = self.reader.array(self.version)?;
                let _times = (self.reader.i64()?, self.reader.i64()?, self.reader.i64()?);
                self.unserved(Unserved::DelegationToken, true)?
            }
            11 => self.scram_user(true)?,
            12 => KafkaRecord::FeatureLevel { name: self.text()?, level: self.reader.i16()? },
            14 => self.client_quota()?,
            15 => {
                let _broker_and_epoch = (self.reader.i32()?, self.reader.i64()?);
                KafkaRecord::ProducerIds { next: ProducerId(self.reader.i64()?) }
            }
            17 => self.registration_change()?,
            18 | 19 => {
                let key = self.id()?.to_string();
                KafkaRecord::Unserved { kind: Unserved::Acl, key, is_there: kind == 18 }
            }
            21 => KafkaRecord::ZooKeeperMigration { state: self.reader.i8()? },
            22 => self.scram_user(false)?,
            23 => KafkaRecord::BeginTransaction,
            24 => KafkaRecord::EndTransaction,
            25 => KafkaRecord::AbortTransaction,
            26 => self.unserved(Unserved::DelegationToken, false)?,
            27 => KafkaRecord::RegisterController { controller: self.broker()? },
            // Fencing and unfencing, no operation, clearing of eligible leader replicas.
            _ => KafkaRecord::Nothing,
        })
    }

    fn broker(&mut self) -> Result<BrokerId, DecodeError> {
        self.reader.i32().map(BrokerId)
    }

    fn id(&mut self) -> Result<TopicId, DecodeError> {
        self.reader.uuid().map(TopicId)
    }

    fn text(&mut self) -> Result<String, DecodeError> {
        self.reader.string(true).map(|text| text.as_str().to_owned())
    }

    fn optional_text(&mut self) -> Result<Option<String>, DecodeError> {
        Ok(self.reader.nullable_string(true)?.map(|text| text.as_str().to_owned()))
    }

    fn brokers(&mut self) -> Result<Vec<BrokerId>, DecodeError> {
        brokers(&mut self.reader, self.version)
    }

    fn register_broker(&mut self) -> Result<KafkaRecord, DecodeError> {
        let broker = self.broker()?;
        if 2 <= self.version.number {
            self.reader.bool()?;
        }
        let _incarnation_and_epoch = (self.reader.uuid()?, self.reader.i64()?);
        let _endpoints: Vec<Endpoint> = self.reader.array(self.version)?;
        let _features: Vec<FeatureRange> = self.reader.array(self.version)?;
        let _rack = self.optional_text()?;
        let _is_fenced = self.reader.bool()?;
        if 1 <= self.version.number {
            self.reader.bool()?;
        }
        let directories = self.tagged_directories(0)?;
        Ok(KafkaRecord::RegisterBroker { broker, directories })
    }

    fn registration_change(&mut self) -> Result<KafkaRecord, DecodeError> {
        let broker = self.broker()?;
        let _epoch = self.reader.i64()?;
        match self.tagged_directories(2)? {
            directories if directories.is_empty() => Ok(KafkaRecord::Nothing),
            directories => Ok(KafkaRecord::BrokerDirectories { broker, directories }),
        }
    }

    fn tagged_directories(&mut self, wanted: u32) -> Result<Vec<DirectoryId>, DecodeError> {
        let (mut found, version) = (Vec::new(), self.version);
        self.reader.tagged_fields(|tag, reader| {
            if tag == wanted {
                found = directories(reader, version)?.unwrap_or_default();
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn partition(&mut self) -> Result<KafkaRecord, DecodeError> {
        let (index, topic) = (PartitionIndex(self.reader.i32()?), self.id()?);
        let (replicas, _isr) = (self.brokers()?, self.brokers()?);
        let _removing_and_adding = (self.brokers()?, self.brokers()?);
        let _leader = self.broker()?;
        let leader_epoch = LeaderEpoch(self.reader.i32()?);
        let partition_epoch = self.reader.i32()?;
        let directories = match self.version.number {
            0 => Vec::new(),
            _ => directories(&mut self.reader, self.version)?.unwrap_or_default(),
        };
        Ok(KafkaRecord::Partition(KafkaPartition {
            topic,
            index,
            replicas,
            directories,
            leader_epoch,
            partition_epoch,
        }))
    }

    fn partition_change(&mut self) -> Result<KafkaRecord, DecodeError> {
        const NO_CHANGE: i32 = -2;
        let (index, topic, version) = (PartitionIndex(self.reader.i32()?), self.id()?, self.version);
        let mut change =
            KafkaPartitionChange { topic, index, names_leader: false, replicas: None, directories: None };
        self.reader.tagged_fields(|tag, reader| {
            match tag {
                1 => change.names_leader = reader.i32()? != NO_CHANGE,
                2 => change.replicas = Some(brokers(reader, version)?),
                8 => change.directories = directories(reader, version)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(KafkaRecord::PartitionChange(change))
    }

    fn config(&mut self) -> Result<KafkaRecord, DecodeError> {
        let (kind, name, key) = (self.reader.i8()?, self.text()?, self.text()?);
        let value = self.optional_text()?;
        let resource = match kind {
            2 => Some(ConfigResource::Topic(name)),
            4 if name.is_empty() => Some(ConfigResource::EveryBroker),
            4 => name.parse().ok().map(|id| ConfigResource::Broker(BrokerId(id))),
            16 => Some(ConfigResource::ClientMetrics(name)),
            32 => Some(ConfigResource::Group(name)),
            _ => None,
        };
        Ok(match resource {
            Some(resource) => KafkaRecord::Config { resource, key, value },
            None => KafkaRecord::OtherConfig { kind },
        })
    }

    fn scram_user(&mut self, is_there: bool) -> Result<KafkaRecord, DecodeError> {
        let key = format!("{} (mechanism {})", self.text()?, self.reader.i8()?);
        Ok(KafkaRecord::Unserved { kind: Unserved::ScramUser, key, is_there })
    }

    fn client_quota(&mut self) -> Result<KafkaRecord, DecodeError> {
        let entities: Vec<QuotaEntity> = self.reader.array(self.version)?;
        let mut key: String = entities
            .iter()
            .map(|QuotaEntity(kind, name)| {
                format!("{} {} ", kind.as_str(), name.as_ref().map_or("<default>", Str::as_str))
            })
            .collect();
        key.push_str(&self.text()?);
        let _value = self.reader.i64()?;
        let is_there = !self.reader.bool()?;
        Ok(KafkaRecord::Unserved { kind: Unserved::ClientQuota, key, is_there })
    }

    fn unserved(&mut self, kind: Unserved, is_there: bool) -> Result<KafkaRecord, DecodeError> {
        Ok(KafkaRecord::Unserved { kind, key: self.text()?, is_there })
    }
}

fn brokers(reader: &mut Reader, version: Version) -> Result<Vec<BrokerId>, DecodeError> {
    Ok(reader.array::<i32>(version)?.into_iter().map(BrokerId).collect())
}

fn directories(reader: &mut Reader, version: Version) -> Result<Option<Vec<DirectoryId>>, DecodeError> {
    let ids = reader.nullable_array::<TopicId>(version)?;
    Ok(ids.map(|ids| ids.into_iter().map(|id| DirectoryId(id.0)).collect()))
}

/// Declares parts of records that are only read past.
macro_rules! part {
    ($name:ident ( $($type:ty),* ), $read:expr) => {
        #[allow(dead_code, reason = "some are read for their length alone")]
        struct $name($($type),*);

        impl Field for $name {
            fn bytes_min(_: Version) -> usize {
                1
            }

            fn read(reader: &mut Reader, _: Version) -> Result<$name, DecodeError> {
                let read: fn(&mut Reader) -> Result<$name, DecodeError> = $read;
                let part = read(reader)?;
                reader.skip_tagged_fields()?;
                Ok(part)
            }

            fn write(&self, _: &mut FrameWriter, _: Version) {
                unreachable!("Kafka's records are only read");
            }
        }
    };
}

part!(Endpoint(Str, Str, i16, i16), |reader| {
    Ok(Endpoint(reader.string(true)?, reader.string(true)?, reader.i16()?, reader.i16()?))
});
part!(FeatureRange(Str, i16, i16), |reader| {
    Ok(FeatureRange(reader.string(true)?, reader.i16()?, reader.i16()?))
});
part!(QuotaEntity(Str, Option<Str>), |reader| {
    Ok(QuotaEntity(reader.string(true)?, reader.nullable_string(true)?))
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::take_over::testing::hex;

    #[track_caller]
    fn check(bytes: &str, expected: KafkaRecord) {
        assert_eq!(decode(&Bytes::from(hex(bytes))), Ok(expected), "{bytes}");
    }

    fn id(text: &str) -> TopicId {
        text.parse().expect("22 characters")
    }

    #[test]
    fn what_a_kafka_wrote_is_understood() {
        let one = id("VSvpUd2jROyu00sz9pyF1g");
        let directory = DirectoryId(id("KB8qzwLOS1ynVqNDR0N1jg").0);
        let node = BrokerId(1);
        check("01 17 00 01 00 12 42 6f6f747374726170207265636f726473", KafkaRecord::BeginTransaction);
        check("01 18 00 00", KafkaRecord::EndTransaction);
        check("01 19 00 00", KafkaRecord::AbortTransaction);
        check("01 14 00 00", KafkaRecord::Nothing);
        check(
            "01 0f 00 00000001 000000000000000f 00000000000003e8 00",
            KafkaRecord::ProducerIds { next: ProducerId(1000) },
        );
        check(
            "01 0c 00 11 6d657461646174612e76657273696f6e 001e 00",
            KafkaRecord::FeatureLevel { name: "metadata.version".to_owned(), level: 30 },
        );
        check(
            "01 02 00 04 6f6e65 552be951dda344ecaed34b33f69c85d6 00",
            KafkaRecord::Topic { name: "one".to_owned(), id: one },
        );
        check("01 09 00 552be951dda344ecaed34b33f69c85d6 00", KafkaRecord::RemoveTopic { id: one });
        check(
            "01 03 02 00000002 552be951dda344ecaed34b33f69c85d6 02 00000001 02 00000001 01 01 00000001 00000000 \
             00000003 02 281f2acf02ce4b5ca756a3434743758e 00",
            KafkaRecord::Partition(KafkaPartition {
                topic: one,
                index: PartitionIndex(2),
                replicas: vec![node],
                directories: vec![directory],
                leader_epoch: LeaderEpoch(0),
                partition_epoch: 3,
            }),
        );
        check(
            "01 05 02 00000004 552be951dda344ecaed34b33f69c85d6 04 00 01 01 01 04 ffffffff 06 05 02 00000001 07 05 \
             02 00000001",
            KafkaRecord::PartitionChange(KafkaPartitionChange {
                topic: one,
                index: PartitionIndex(4),
                names_leader: true,
                replicas: None,
                directories: None,
            }),
        );
        check(
            "01 00 04 00000001 00 c9ef09a1067b44d5b22fff29fe44a100 000000000000000f 02 0a504c41494e54455854 \
             0a3132372e302e302e31 4c88 0000 00 02 0e67726f75702e76657273696f6e 0000 0001 00 00 01 00 01 00 11 02 \
             281f2acf02ce4b5ca756a3434743758e",
            KafkaRecord::RegisterBroker { broker: node, directories: vec![directory] },
        );
        check("01 11 03 00000001 000000000000000f 01 03 01 01", KafkaRecord::Nothing);
        check("01 11 01 00000001 000000000000000f 01 01 01 01", KafkaRecord::Nothing);
        check(
            "01 1b 00 00000001 a25ba1ea55474ce48c3ed0b5979791f5 00 01 01 00",
            KafkaRecord::RegisterController { controller: node },
        );
    }

    #[test]
    fn configs_belong_to_what_their_record_names() {
        let config = |resource, value: Option<&str>| KafkaRecord::Config {
            resource,
            key: "k".to_owned(),
            value: value.map(str::to_owned),
        };
        check("01 04 00 02 02 74 02 6b 02 76 00", config(ConfigResource::Topic("t".to_owned()), Some("v")));
        check("01 04 00 02 02 74 02 6b 00 00", config(ConfigResource::Topic("t".to_owned()), None));
        check("01 04 00 04 01 02 6b 01 00", config(ConfigResource::EveryBroker, Some("")));
        check("01 04 00 04 02 37 02 6b 02 76 00", config(ConfigResource::Broker(BrokerId(7)), Some("v")));
        check(
            "01 04 00 10 02 6d 02 6b 02 76 00",
            config(ConfigResource::ClientMetrics("m".to_owned()), Some("v")),
        );
        check("01 04 00 20 02 67 02 6b 02 76 00", config(ConfigResource::Group("g".to_owned()), Some("v")));
        check("01 04 00 08 02 37 02 6b 02 76 00", KafkaRecord::OtherConfig { kind: 8 });
    }

    #[test]
    fn what_nothing_here_stands_for_is_named() {
        let unserved =
            |kind, key: &str, is_there| KafkaRecord::Unserved { kind, key: key.to_owned(), is_there };
        check("01 12 00 552be951dda344ecaed34b33f69c85d6 02 02 74 03 02 75 02 2a 03 03 00", {
            unserved(Unserved::Acl, "VSvpUd2jROyu00sz9pyF1g", true)
        });
        check("01 13 00 552be951dda344ecaed34b33f69c85d6 00", {
            unserved(Unserved::Acl, "VSvpUd2jROyu00sz9pyF1g", false)
        });
        check("01 0b 00 02 75 01 02 00 02 00 02 00 00001000 00", {
            unserved(Unserved::ScramUser, "u (mechanism 1)", true)
        });
        check("01 16 00 02 75 01 00", unserved(Unserved::ScramUser, "u (mechanism 1)", false));
        check("01 0e 00 02 05 75736572 00 00 02 6b 3ff0000000000000 00 00", {
            unserved(Unserved::ClientQuota, "user <default> k", true)
        });
        check("01 0e 00 02 05 75736572 02 75 00 02 6b 0000000000000000 01 00", {
            unserved(Unserved::ClientQuota, "user u k", false)
        });
        check("01 1a 00 02 74 00", unserved(Unserved::DelegationToken, "t", false));
    }

    #[test]
    fn what_is_newer_or_unknown_is_refused() {
        for (bytes, expected) in [
            ("02 14 00 00", RecordError::Frame(2)),
            ("01 1d 00 00", RecordError::Kind(29)),
            ("01 06 00 00", RecordError::Kind(6)),
            ("01 02 01 00", RecordError::Version { name: "Topic", found: 1, newest: 0 }),
            ("01 03 ff ff ff ff 0f", RecordError::Version { name: "Partition", found: u32::MAX, newest: 2 }),
        ] {
            assert_eq!(decode(&Bytes::from(hex(bytes))), Err(expected), "{bytes}");
        }
    }
}
