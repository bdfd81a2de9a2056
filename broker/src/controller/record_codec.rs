//! Metadata records as bytes. `docs/formats.md` has the layout field by field.
//!
//! A record is its kind, its version and its length, then the fields of that version, then optional fields, each with
//! a tag and a length of its own. A reader skips optional fields that it does not know, so a newer program can add
//! them; a kind or version that it does not know it refuses, because acting without that record would be wrong.

use ottla_protocol::types::{LeaderEpoch, PartitionIndex, ProducerId, TopicId};
use ottla_runtime::WallTime;

use super::fields::{DecodeError, Decoder, Encoder, text_of};
use super::ids::ClusterId;
use super::record::{
    BrokerEndpoint, BrokerRegistered, ConfigResource, MetadataRecord, NewLeader, PartitionChangeRecord,
    PartitionRecord,
};

const CLUSTER_CREATED: u64 = 1;
const BROKER_REGISTERED: u64 = 2;
const TOPIC: u64 = 3;
const PARTITION: u64 = 4;
const PARTITION_CHANGE: u64 = 5;
const REMOVE_TOPIC: u64 = 6;
const CONFIG_SET: u64 = 7;
const CONFIG_REMOVED: u64 = 8;
const PRODUCER_ID_BLOCK: u64 = 9;
const FEATURE_LEVEL: u64 = 10;
const NO_OP: u64 = 11;

/// The version that every kind is written in so far.
const VERSION: u64 = 0;

/// Appends a record.
pub(super) fn encode_record(record: &MetadataRecord, into: &mut Vec<u8>) {
    let mut body = Encoder(Vec::with_capacity(64));
    let kind = encode_body(record, &mut body);
    let mut head = Encoder(std::mem::take(into));
    head.number(kind);
    head.number(VERSION);
    head.bytes(&body.0);
    *into = head.0;
}

/// Takes one record off the front of `bytes`.
pub(super) fn decode_record(bytes: &mut &[u8]) -> Result<MetadataRecord, DecodeError> {
    let mut head = Decoder(bytes);
    let kind = head.number()?;
    let version = head.number()?;
    let mut body = Decoder(head.bytes()?);
    *bytes = head.0;
    if !(CLUSTER_CREATED..=NO_OP).contains(&kind) {
        return Err(DecodeError::UnknownKind(kind));
    }
    if version != VERSION {
        return Err(DecodeError::UnknownVersion { kind, version });
    }
    let record = decode_body(kind, &mut body)?;
    match body.0.len() {
        0 => Ok(record),
        left => Err(DecodeError::BytesLeft(left)),
    }
}

fn encode_body(record: &MetadataRecord, body: &mut Encoder) -> u64 {
    match record {
        MetadataRecord::ClusterCreated { cluster_id, created_at } => {
            body.id(cluster_id.0);
            body.signed(created_at.0);
            body.optional_fields(&[]);
            CLUSTER_CREATED
        }
        MetadataRecord::BrokerRegistered(broker) => {
            encode_broker(broker, body);
            BROKER_REGISTERED
        }
        MetadataRecord::Topic { id, name, partition_count } => {
            body.id(id.0);
            body.text(name);
            body.number(u64::from(*partition_count));
            body.optional_fields(&[]);
            TOPIC
        }
        MetadataRecord::Partition(partition) => {
            encode_partition(partition, body);
            PARTITION
        }
        MetadataRecord::PartitionChange(change) => {
            encode_partition_change(change, body);
            PARTITION_CHANGE
        }
        MetadataRecord::RemoveTopic { id } => {
            body.id(id.0);
            body.optional_fields(&[]);
            REMOVE_TOPIC
        }
        MetadataRecord::ConfigSet { resource, key, value } => {
            encode_resource(resource, body);
            body.text(key);
            body.text(value);
            body.optional_fields(&[]);
            CONFIG_SET
        }
        MetadataRecord::ConfigRemoved { resource, key } => {
            encode_resource(resource, body);
            body.text(key);
            body.optional_fields(&[]);
            CONFIG_REMOVED
        }
        MetadataRecord::ProducerIdBlock { broker, next } => {
            body.signed(i64::from(broker.0));
            body.signed(next.0);
            body.optional_fields(&[]);
            PRODUCER_ID_BLOCK
        }
        MetadataRecord::FeatureLevel { name, level } => {
            body.text(name);
            body.signed(i64::from(*level));
            body.optional_fields(&[]);
            FEATURE_LEVEL
        }
        MetadataRecord::NoOp => {
            body.optional_fields(&[]);
            NO_OP
        }
    }
}

fn decode_body(kind: u64, body: &mut Decoder<'_>) -> Result<MetadataRecord, DecodeError> {
    let record = match kind {
        CLUSTER_CREATED => MetadataRecord::ClusterCreated {
            cluster_id: ClusterId(body.id()?),
            created_at: WallTime(body.signed()?),
        },
        BROKER_REGISTERED => return decode_broker(body).map(MetadataRecord::BrokerRegistered),
        TOPIC => MetadataRecord::Topic {
            id: TopicId(body.id()?),
            name: body.text()?,
            partition_count: u32::try_from(body.number()?)
                .map_err(|_| DecodeError::OutOfRange("a number of partitions"))?,
        },
        PARTITION => MetadataRecord::Partition(decode_partition(body)?),
        PARTITION_CHANGE => return decode_partition_change(body).map(MetadataRecord::PartitionChange),
        REMOVE_TOPIC => MetadataRecord::RemoveTopic { id: TopicId(body.id()?) },
        CONFIG_SET => MetadataRecord::ConfigSet {
            resource: decode_resource(body)?,
            key: body.text()?,
            value: body.text()?,
        },
        CONFIG_REMOVED => {
            MetadataRecord::ConfigRemoved { resource: decode_resource(body)?, key: body.text()? }
        }
        PRODUCER_ID_BLOCK => {
            MetadataRecord::ProducerIdBlock { broker: body.broker()?, next: ProducerId(body.signed()?) }
        }
        FEATURE_LEVEL => MetadataRecord::FeatureLevel {
            name: body.text()?,
            level: i16::try_from(body.signed()?).map_err(|_| DecodeError::OutOfRange("a feature's level"))?,
        },
        _ => MetadataRecord::NoOp,
    };
    body.optional_fields(|_, _| Ok(()))?;
    Ok(record)
}

const TAG_RACK: u64 = 0;

fn encode_broker(broker: &BrokerRegistered, body: &mut Encoder) {
    body.signed(i64::from(broker.broker.0));
    body.signed(i64::from(broker.start_count));
    body.id(broker.incarnation);
    body.directories(&broker.directories);
    body.number(broker.endpoints.len() as u64);
    for endpoint in &broker.endpoints {
        body.text(&endpoint.listener);
        body.text(&endpoint.host);
        body.number(u64::from(endpoint.port));
    }
    body.signed(broker.registered_at.0);
    let rack = broker.rack.as_ref().map(|rack| rack.as_bytes().to_vec());
    body.optional_fields(&[(TAG_RACK, rack)]);
}

fn decode_broker(body: &mut Decoder<'_>) -> Result<BrokerRegistered, DecodeError> {
    let mut broker = BrokerRegistered {
        broker: body.broker()?,
        start_count: body.epoch("a number of starts")?,
        incarnation: body.id()?,
        directories: body.directories()?,
        endpoints: body.list(|body| {
            Ok(BrokerEndpoint {
                listener: body.text()?,
                host: body.text()?,
                port: u16::try_from(body.number()?).map_err(|_| DecodeError::OutOfRange("a port"))?,
            })
        })?,
        registered_at: WallTime(body.signed()?),
        rack: None,
    };
    body.optional_fields(|tag, field| {
        if tag == TAG_RACK {
            broker.rack = Some(text_of(field.0)?);
        }
        Ok(())
    })?;
    Ok(broker)
}

fn encode_partition(partition: &PartitionRecord, body: &mut Encoder) {
    body.id(partition.topic.0);
    body.signed(i64::from(partition.index.0));
    body.brokers(&partition.replicas);
    body.directories(&partition.directories);
    body.brokers(&partition.isr);
    body.brokers(&partition.elr);
    body.leader(partition.leader);
    body.signed(i64::from(partition.leader_epoch.0));
    body.signed(i64::from(partition.partition_epoch));
    body.optional_fields(&[]);
}

fn decode_partition(body: &mut Decoder<'_>) -> Result<PartitionRecord, DecodeError> {
    Ok(PartitionRecord {
        topic: TopicId(body.id()?),
        index: PartitionIndex(body.epoch("a partition's index")?),
        replicas: body.brokers()?,
        directories: body.directories()?,
        isr: body.brokers()?,
        elr: body.brokers()?,
        leader: body.leader()?,
        leader_epoch: LeaderEpoch(body.epoch("a leader epoch")?),
        partition_epoch: body.epoch("a partition epoch")?,
    })
}

const TAG_LEADER: u64 = 0;
const TAG_ISR: u64 = 1;
const TAG_ELR: u64 = 2;
const TAG_REPLICAS: u64 = 3;

fn encode_partition_change(change: &PartitionChangeRecord, body: &mut Encoder) {
    let field = |encode: &dyn Fn(&mut Encoder)| {
        let mut field = Encoder(vec![]);
        encode(&mut field);
        field.0
    };
    body.id(change.topic.0);
    body.signed(i64::from(change.index.0));
    body.signed(i64::from(change.partition_epoch));
    body.optional_fields(&[
        (
            TAG_LEADER,
            change.leader.map(|new| {
                field(&|body| {
                    body.leader(new.leader);
                    body.signed(i64::from(new.leader_epoch.0));
                })
            }),
        ),
        (TAG_ISR, change.isr.as_ref().map(|isr| field(&|body| body.brokers(isr)))),
        (TAG_ELR, change.elr.as_ref().map(|elr| field(&|body| body.brokers(elr)))),
        (
            TAG_REPLICAS,
            change.replicas.as_ref().map(|(replicas, directories)| {
                field(&|body| {
                    body.brokers(replicas);
                    body.directories(directories);
                })
            }),
        ),
    ]);
}

fn decode_partition_change(body: &mut Decoder<'_>) -> Result<PartitionChangeRecord, DecodeError> {
    let mut change = PartitionChangeRecord {
        topic: TopicId(body.id()?),
        index: PartitionIndex(body.epoch("a partition's index")?),
        partition_epoch: body.epoch("a partition epoch")?,
        leader: None,
        isr: None,
        elr: None,
        replicas: None,
    };
    body.optional_fields(|tag, field| {
        match tag {
            TAG_LEADER => {
                let leader = field.leader()?;
                let leader_epoch = LeaderEpoch(field.epoch("a leader epoch")?);
                change.leader = Some(NewLeader { leader, leader_epoch });
            }
            TAG_ISR => change.isr = Some(field.brokers()?),
            TAG_ELR => change.elr = Some(field.brokers()?),
            TAG_REPLICAS => change.replicas = Some((field.brokers()?, field.directories()?)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(change)
}

fn encode_resource(resource: &ConfigResource, body: &mut Encoder) {
    // The numbers are those of Kafka's ConfigResource.Type, and 0 for the brokers' common defaults.
    match resource {
        ConfigResource::EveryBroker => body.number(0),
        ConfigResource::Topic(name) => {
            body.number(2);
            body.text(name);
        }
        ConfigResource::Broker(id) => {
            body.number(4);
            body.signed(i64::from(id.0));
        }
        ConfigResource::ClientMetrics(name) => {
            body.number(16);
            body.text(name);
        }
        ConfigResource::Group(id) => {
            body.number(32);
            body.text(id);
        }
    }
}

fn decode_resource(body: &mut Decoder<'_>) -> Result<ConfigResource, DecodeError> {
    match body.number()? {
        0 => Ok(ConfigResource::EveryBroker),
        2 => body.text().map(ConfigResource::Topic),
        4 => body.broker().map(ConfigResource::Broker),
        16 => body.text().map(ConfigResource::ClientMetrics),
        32 => body.text().map(ConfigResource::Group),
        _ => Err(DecodeError::OutOfRange("a type of config resource")),
    }
}
