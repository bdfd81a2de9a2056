//! Records and frames as bytes: round trips, damage at every place, and hostile input.

use ottla_protocol::types::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};
use ottla_runtime::WallTime;
use proptest::prelude::*;

use super::super::DecodeError;
use super::super::frame::{
    FILE_HEADER_LEN, FileKind, FrameError, TransactionGroup, check_file_header, file_header, frame, frame_at,
    read_snapshot, read_transactions, snapshot_footer_frame, snapshot_records_frame, sound_frame_behind,
};
use super::super::record_codec::{decode_record, encode_record};
use super::super::{
    BrokerEndpoint, BrokerRegistered, ClusterId, ConfigResource, DirectoryId, MetadataOffset, MetadataRecord,
    NewLeader, PartitionChangeRecord, PartitionRecord,
};

prop_compose! {
    fn directories()(ids in prop::collection::vec(any::<[u8; 16]>(), 0..4)) -> Vec<DirectoryId> {
        ids.into_iter().map(DirectoryId).collect()
    }
}

fn broker() -> impl Strategy<Value = BrokerId> {
    (0..=i32::MAX).prop_map(BrokerId)
}

fn brokers() -> impl Strategy<Value = Vec<BrokerId>> {
    prop::collection::vec(broker(), 0..5)
}

fn epoch() -> impl Strategy<Value = i32> {
    0..=i32::MAX
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

fn topic_id() -> impl Strategy<Value = TopicId> {
    any::<[u8; 16]>().prop_map(TopicId)
}

fn resource() -> impl Strategy<Value = ConfigResource> {
    prop_oneof![
        text().prop_map(ConfigResource::Topic),
        broker().prop_map(ConfigResource::Broker),
        Just(ConfigResource::EveryBroker),
        text().prop_map(ConfigResource::Group),
        text().prop_map(ConfigResource::ClientMetrics),
    ]
}

prop_compose! {
    fn registered()(
        broker in broker(),
        start_count in epoch(),
        incarnation in any::<[u8; 16]>(),
        directories in directories(),
        endpoints in prop::collection::vec((text(), text(), any::<u16>()), 0..3),
        rack in prop::option::of(text()),
        at in any::<i64>(),
    ) -> MetadataRecord {
        let endpoint = |(listener, host, port)| BrokerEndpoint { listener, host, port };
        MetadataRecord::BrokerRegistered(BrokerRegistered {
            broker,
            start_count,
            incarnation,
            directories,
            endpoints: endpoints.into_iter().map(endpoint).collect(),
            rack,
            registered_at: WallTime(at),
        })
    }
}

prop_compose! {
    fn partition()(
        topic in topic_id(),
        index in epoch(),
        replicas in brokers(),
        directories in directories(),
        isr in brokers(),
        elr in brokers(),
        leader in prop::option::of(broker()),
        leader_epoch in epoch(),
        partition_epoch in epoch(),
    ) -> MetadataRecord {
        MetadataRecord::Partition(PartitionRecord {
            topic,
            index: PartitionIndex(index),
            replicas,
            directories,
            isr,
            elr,
            leader,
            leader_epoch: LeaderEpoch(leader_epoch),
            partition_epoch,
        })
    }
}

prop_compose! {
    fn partition_change()(
        topic in topic_id(),
        index in epoch(),
        partition_epoch in epoch(),
        leader in prop::option::of((prop::option::of(broker()), epoch())),
        isr in prop::option::of(brokers()),
        elr in prop::option::of(brokers()),
        replicas in prop::option::of((brokers(), directories())),
    ) -> MetadataRecord {
        let new = |(leader, epoch)| NewLeader { leader, leader_epoch: LeaderEpoch(epoch) };
        MetadataRecord::PartitionChange(PartitionChangeRecord {
            topic,
            index: PartitionIndex(index),
            partition_epoch,
            leader: leader.map(new),
            isr,
            elr,
            replicas,
        })
    }
}

fn record() -> impl Strategy<Value = MetadataRecord> {
    prop_oneof![
        (any::<[u8; 16]>(), any::<i64>()).prop_map(|(id, at)| MetadataRecord::ClusterCreated {
            cluster_id: ClusterId(id),
            created_at: WallTime(at),
        }),
        registered(),
        (topic_id(), text(), any::<u32>()).prop_map(|(id, name, partition_count)| MetadataRecord::Topic {
            id,
            name,
            partition_count
        }),
        partition(),
        partition_change(),
        topic_id().prop_map(|id| MetadataRecord::RemoveTopic { id }),
        (resource(), text(), text()).prop_map(|(resource, key, value)| MetadataRecord::ConfigSet {
            resource,
            key,
            value
        }),
        (resource(), text()).prop_map(|(resource, key)| MetadataRecord::ConfigRemoved { resource, key }),
        (broker(), any::<i64>())
            .prop_map(|(broker, next)| MetadataRecord::ProducerIdBlock { broker, next: ProducerId(next) }),
        (text(), any::<i16>()).prop_map(|(name, level)| MetadataRecord::FeatureLevel { name, level }),
        Just(MetadataRecord::NoOp),
    ]
}

fn encoded(record: &MetadataRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(record, &mut bytes);
    bytes
}

proptest! {
    #[test]
    fn a_record_reads_back_what_was_written(record in record()) {
        let bytes = encoded(&record);
        let mut rest = bytes.as_slice();
        prop_assert_eq!(decode_record(&mut rest), Ok(record));
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_record_cut_short_is_an_error(record in record(), cut in any::<prop::sample::Index>()) {
        let bytes = encoded(&record);
        let mut rest = &bytes[..cut.index(bytes.len())];
        prop_assert!(decode_record(&mut rest).is_err());
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() && decode_record(&mut rest).is_ok() {}
    }

    #[test]
    fn a_changed_byte_of_a_frame_is_noticed(
        records in prop::collection::vec(record(), 0..4),
        place in any::<prop::sample::Index>(),
        flip in 1..=u8::MAX,
    ) {
        let mut group = TransactionGroup::new(1);
        group.push(5, &records);
        let mut bytes = group.to_frame();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        prop_assert!(frame_at(&bytes, 0).is_err());
    }

    #[test]
    fn a_transaction_reads_back_what_was_written(
        transactions in prop::collection::vec(prop::collection::vec(record(), 0..4), 0..4),
    ) {
        let mut group = TransactionGroup::new(3);
        for (records, index) in transactions.iter().zip(10..) {
            group.push(index, records);
        }
        let bytes = group.to_frame();
        let (body, next) = frame_at(&bytes, 0).expect("it is sound").expect("it is there");
        prop_assert_eq!(next, bytes.len());
        let mut read = Vec::new();
        read_transactions(body, |offset, records| {
            read.push((offset, records.to_vec()));
            Ok::<(), FrameError>(())
        }).expect("it is sound");
        let written: Vec<_> = transactions
            .into_iter()
            .zip(10..)
            .map(|(records, index)| (MetadataOffset { epoch: 3, index }, records))
            .collect();
        prop_assert_eq!(read, written);
    }
}

/// The bytes of a record that a newer program may have written.
fn record_bytes(kind: u8, version: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, version, u8::try_from(body.len()).expect("short")];
    bytes.extend_from_slice(body);
    bytes
}

fn check(bytes: &[u8], expected: Result<MetadataRecord, DecodeError>) {
    assert_eq!(decode_record(&mut &*bytes), expected, "{bytes:?}");
}

#[test]
fn an_unknown_optional_field_is_skipped() {
    // No required field; one optional field of tag 99 with two bytes.
    check(&record_bytes(11, 0, &[1, 99, 2, 7, 7]), Ok(MetadataRecord::NoOp));
}

#[test]
fn what_a_newer_program_wrote_is_refused_as_such() {
    check(&record_bytes(12, 0, &[0]), Err(DecodeError::UnknownKind(12)));
    check(&record_bytes(11, 1, &[0]), Err(DecodeError::UnknownVersion { kind: 11, version: 1 }));
    check(&record_bytes(11, 0, &[0, 5]), Err(DecodeError::BytesLeft(1)));
    check(&record_bytes(11, 0, &[1, 99, 200, 1]), Err(DecodeError::Truncated));
    check(&[0xff; 12], Err(DecodeError::NumberTooLarge));
}

#[test]
fn a_count_that_the_bytes_cannot_hold_is_refused_before_memory_is_taken() {
    // A partition whose list of replicas claims 2^40 elements.
    let mut body = vec![0; 16];
    body.extend_from_slice(&[0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20]);
    check(&record_bytes(4, 0, &body), Err(DecodeError::Truncated));
}

#[test]
fn a_file_header_is_checked() {
    let header = file_header(FileKind::Log, 7);
    assert_eq!(header.len(), FILE_HEADER_LEN);
    assert_eq!(check_file_header(&header, FileKind::Log, 7), Ok(()));
    assert_eq!(check_file_header(&header, FileKind::Log, 8), Err(FrameError::WrongFile));
    assert_eq!(check_file_header(&header, FileKind::Snapshot, 7), Err(FrameError::WrongFile));
    for place in 0..header.len() {
        let mut damaged = header.clone();
        damaged[place] ^= 1;
        assert_eq!(check_file_header(&damaged, FileKind::Log, 7), Err(FrameError::FileHeader));
        assert_eq!(check_file_header(&header[..place], FileKind::Log, 7), Err(FrameError::FileHeader));
    }
    let mut newer = header[..20].to_vec();
    newer[9] = 2;
    newer.extend(crc32fast::hash(&newer).to_be_bytes());
    assert_eq!(check_file_header(&newer, FileKind::Log, 7), Err(FrameError::NewerFormat(2)));
}

#[test]
fn a_sound_frame_behind_a_bad_one_is_found() {
    let (first, second) = (frame(b"one"), frame(b"two"));
    let mut bytes = [first.clone(), second].concat();
    for place in 0..first.len() {
        bytes[place] ^= 0x10;
        assert!(frame_at(&bytes, 0).is_err());
        assert_eq!(sound_frame_behind(&bytes, 0), Some(first.len()));
        bytes[place] ^= 0x10;
    }
    assert_eq!(sound_frame_behind(&bytes, first.len()), None);
    assert_eq!(sound_frame_behind(&bytes[..bytes.len() - 1], 0), None);
    assert_eq!(sound_frame_behind(&[], 0), None);
}

fn snapshot(records: &[MetadataRecord]) -> Vec<u8> {
    let offset = MetadataOffset { epoch: 2, index: 9 };
    let count = records.len() as u64;
    [
        file_header(FileKind::Snapshot, 9),
        snapshot_records_frame(records),
        snapshot_footer_frame(offset, count),
    ]
    .concat()
}

fn read(bytes: &[u8]) -> Result<(MetadataOffset, usize), FrameError> {
    let mut count = 0;
    let offset = read_snapshot(bytes, 9, |_| {
        count += 1;
        Ok::<(), FrameError>(())
    })?;
    Ok((offset, count))
}

#[test]
fn a_snapshot_cut_or_changed_at_any_byte_is_refused() {
    let records = [MetadataRecord::NoOp, MetadataRecord::RemoveTopic { id: TopicId([1; 16]) }];
    let bytes = snapshot(&records);
    assert_eq!(read(&bytes), Ok((MetadataOffset { epoch: 2, index: 9 }, 2)));
    for place in 0..bytes.len() {
        assert!(read(&bytes[..place]).is_err(), "cut at {place}");
        let mut damaged = bytes.clone();
        damaged[place] ^= 4;
        assert!(read(&damaged).is_err(), "changed at {place}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(read(&longer), Err(FrameError::Incomplete));
}
