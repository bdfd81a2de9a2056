//! Writes what Kafka writes, for tests: metadata records, the files of its metadata log, its directory.

use std::collections::BTreeMap;

use bytes::{BufMut as _, Bytes};
use ottla_protocol::record::control::EndTransactionMarker;
use ottla_protocol::record::{BatchBuilder, Compression, NewRecord};
use ottla_protocol::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use ottla_protocol::wire::varint;
use ottla_runtime::simulated::DiskImage;

/// The bytes of hex digits; blanks between them don't count.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| u8::try_from(digit).expect("a digit"))
        .collect();
    assert!(digits.len().is_multiple_of(2), "{text}");
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The fields of a record in Kafka's compact encoding.
#[derive(Default)]
pub(super) struct Fields(bytes::BytesMut);

impl Fields {
    /// A record's frame.
    pub(super) fn of(kind: u32, version: u32) -> Fields {
        let mut fields = Fields::default();
        [1, kind, version].into_iter().for_each(|number| varint::put_u32(&mut fields.0, number));
        fields
    }

    pub(super) fn text(mut self, text: &str) -> Fields {
        varint::put_u32(&mut self.0, u32::try_from(text.len()).expect("short") + 1);
        self.0.put_slice(text.as_bytes());
        self
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Fields {
        self.0.put_slice(bytes);
        self
    }

    pub(super) fn i32s(self, numbers: &[i32]) -> Fields {
        let count = u8::try_from(numbers.len()).expect("few") + 1;
        numbers.iter().fold(self.raw(&[count]), |fields, number| fields.raw(&number.to_be_bytes()))
    }

    /// Without tagged fields.
    pub(super) fn end(self) -> Vec<u8> {
        self.raw(&[0]).0.to_vec()
    }
}

pub(super) fn feature_record(name: &str, level: i16) -> Vec<u8> {
    Fields::of(12, 0).text(name).raw(&level.to_be_bytes()).end()
}

pub(super) fn topic_record(name: &str, id: [u8; 16]) -> Vec<u8> {
    Fields::of(2, 0).text(name).raw(&id).end()
}

pub(super) fn partition_record(topic: [u8; 16], index: i32, replicas: &[i32], epoch: i32) -> Vec<u8> {
    let fields = Fields::of(3, 2).raw(&index.to_be_bytes()).raw(&topic).i32s(replicas).i32s(replicas);
    let fields = fields.i32s(&[]).i32s(&[]).raw(&replicas[0].to_be_bytes());
    fields.raw(&epoch.to_be_bytes()).raw(&[0; 4]).raw(&[2]).raw(&DIRECTORY).end()
}

pub(super) fn config_record(topic: &str, key: &str, value: &str) -> Vec<u8> {
    Fields::of(4, 0).raw(&[2]).text(topic).text(key).text(value).end()
}

pub(super) fn producer_ids_record(next: i64) -> Vec<u8> {
    Fields::of(15, 0).raw(&[0, 0, 0, 1]).raw(&[0; 8]).raw(&next.to_be_bytes()).end()
}

pub(super) fn broker_record(broker: i32) -> Vec<u8> {
    let fields = Fields::of(0, 4).raw(&broker.to_be_bytes()).raw(&[0]).raw(&[3; 16]).raw(&[0; 8]);
    let fields = fields.raw(&[2]).text("PLAINTEXT").text("localhost").raw(&[0x23, 0x84, 0, 0, 0]);
    let fields = fields.raw(&[1, 0, 1, 0]);
    fields.raw(&[1, 0, 17, 2]).raw(&DIRECTORY).0.to_vec()
}

/// The directory's id in everything that is written here.
pub(super) const DIRECTORY: [u8; 16] = [0x28; 16];

/// A segment or snapshot of the metadata log.
#[derive(Debug, Clone, Default)]
pub(super) struct MetadataLog {
    bytes: Vec<u8>,
    next: i64,
}

impl MetadataLog {
    pub(super) fn starting_at(next: i64) -> MetadataLog {
        MetadataLog { bytes: Vec::new(), next }
    }

    pub(super) fn batch(self, values: &[Vec<u8>]) -> MetadataLog {
        let builder = values.iter().fold(self.builder(), |mut builder, value| {
            builder.push(NewRecord { value: Some(value), ..NewRecord::default() });
            builder
        });
        self.add(builder, values.len())
    }

    /// A control record of this type.
    pub(super) fn control(self, kind: u8, value: &str) -> MetadataLog {
        let (key, value) = ([0, 0, 0, kind], hex(value));
        let mut builder = self.builder().control();
        builder.push(NewRecord { key: Some(&key), value: Some(&value), ..NewRecord::default() });
        self.add(builder, 1)
    }

    fn builder(&self) -> BatchBuilder {
        BatchBuilder::new(Compression::NONE).at(Offset(self.next), LeaderEpoch(1))
    }

    fn add(mut self, builder: BatchBuilder, count: usize) -> MetadataLog {
        self.bytes.extend(builder.build_bytes().expect("it needs no compression"));
        self.next += i64::try_from(count).expect("few");
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }
}

/// A data directory that Kafka wrote, at `/data`: node 1, one topic `orders` of two partitions.
pub(super) struct KafkaDirectory {
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

/// The id of the topic `orders`.
pub(super) const ORDERS: [u8; 16] = [7; 16];

/// The records of a cluster of one node with `orders`.
pub(super) fn cluster_records() -> Vec<Vec<u8>> {
    vec![
        feature_record("metadata.version", 30),
        broker_record(1),
        topic_record("orders", ORDERS),
        partition_record(ORDERS, 0, &[1], 3),
        partition_record(ORDERS, 1, &[1], 0),
        config_record("orders", "max.message.bytes", "2000000"),
        producer_ids_record(4000),
    ]
}

impl KafkaDirectory {
    /// With these records in its metadata log, stopped cleanly. Partition 0 of `orders` has two segments.
    pub(super) fn with(records: &[Vec<u8>]) -> KafkaDirectory {
        let mut directory = KafkaDirectory { files: BTreeMap::new() };
        let id = crate::controller::DirectoryId(DIRECTORY);
        directory.put(
            "meta.properties",
            format!("#\nversion=1\nnode.id=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\ndirectory.id={id}\n"),
        );
        directory.put(".kafka_cleanshutdown", "{\"version\":0,\"brokerEpoch\":15}");
        directory.put("bootstrap.checkpoint", "");
        let log = MetadataLog::default().control(2, "0001 00000001 02 00000001 00 01 00").batch(records);
        directory.put("__cluster_metadata-0/00000000000000000000.log", log.bytes());
        let topic = ottla_protocol::types::TopicId(ORDERS);
        directory.put("orders-0/partition.metadata", format!("version: 0\ntopic_id: {topic}"));
        directory.put("orders-0/leader-epoch-checkpoint", "0\n2\n0 0\n3 2\n");
        directory.put("orders-0/00000000000000000000.log", log_of(0, &["a", "b"]));
        directory.put("orders-0/00000000000000000002.log", log_of(2, &["c", "d", "e"]));
        directory.put("recovery-point-offset-checkpoint", "0\n1\norders 0 5\n");
        directory
    }

    pub(super) fn put(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.files.insert(format!("data/{name}"), bytes.into());
    }

    pub(super) fn remove(&mut self, name: &str) {
        let place = format!("data/{name}");
        self.files.retain(|path, _| *path != place && !path.starts_with(&format!("{place}/")));
    }

    pub(super) fn image(&self) -> DiskImage {
        DiskImage { files: self.files.clone() }
    }
}

/// Batches of one record each, from this offset on.
pub(super) fn log_of(base: i64, values: &[&str]) -> Vec<u8> {
    let mut log = Vec::new();
    for (value, offset) in values.iter().zip(base..) {
        let mut builder = BatchBuilder::new(Compression::NONE)
            .at(Offset(offset), LeaderEpoch(if offset < 2 { 0 } else { 3 }));
        builder.push(NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() });
        log.extend::<Bytes>(builder.build_bytes().expect("it needs no compression"));
    }
    log
}

/// The producer of all transactions here.
pub(super) const PRODUCER: i64 = 4711;

/// Batches of one record each that belong to a transaction, from this offset on.
pub(super) fn transaction_of(base: i64, values: &[&str]) -> Vec<u8> {
    let mut log = Vec::new();
    for ((value, offset), sequence) in values.iter().zip(base..).zip(0..) {
        let mut builder = BatchBuilder::new(Compression::NONE)
            .at(Offset(offset), LeaderEpoch(3))
            .producer(ProducerId(PRODUCER), ProducerEpoch(0), sequence)
            .transactional();
        builder.push(NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() });
        log.extend::<Bytes>(builder.build_bytes().expect("it needs no compression"));
    }
    log
}

/// The marker of its end.
pub(super) fn marker_at(offset: i64, committed: bool) -> Vec<u8> {
    let marker = EndTransactionMarker { committed, coordinator_epoch: 0 };
    let mut batch = marker.to_batch(ProducerId(PRODUCER), ProducerEpoch(0), 0);
    batch.header.base_offset = Offset(offset);
    batch.header.partition_leader_epoch = LeaderEpoch(3);
    batch.to_bytes().to_vec()
}
