//! Every row of the order of checks, with the exact code; and which of two faults is told.

use bytes::Bytes;
use ottla_protocol::error_code::ErrorCode::{
    self, CorruptMessage, InvalidRecord, InvalidTimestamp, MessageTooLarge, RecordListTooLarge,
    UnsupportedCompressionType,
};
use ottla_protocol::record::{
    Batch, BatchBuilder, BatchHeader, Codec, Compression, NewRecord, TimestampType, compression::Compressor,
};
use ottla_protocol::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::*;

const NOW: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

fn rules() -> ValidationRules {
    ValidationRules::of(&crate::config::TopicConfig::default(), 1 << 20)
}

fn compacted() -> ValidationRules {
    ValidationRules { needs_keys: true, ..rules() }
}

fn log_append_time() -> ValidationRules {
    ValidationRules { timestamp_type: TimestampType::LogAppendTime, ..rules() }
}

fn target(codec: Codec) -> ValidationRules {
    ValidationRules { compression: Some(Compression::of(codec)), ..rules() }
}

fn batch_of(codec: Codec, records: &[(i64, Option<&[u8]>)]) -> Batch {
    let mut builder = BatchBuilder::new(Compression::of(codec));
    for (timestamp, key) in records {
        let value = Some(b"a value of some length, a value of some length".as_slice());
        builder.push(NewRecord { timestamp: *timestamp, key: *key, value, headers: &[] });
    }
    builder.build().unwrap()
}

/// Two records with keys, of now.
fn sound(codec: Codec) -> Batch {
    batch_of(codec, &[(NOW, Some(b"k1")), (NOW + 1, Some(b"k2"))])
}

/// A sound batch of `codec` whose decompressed records are `records`.
fn with_records(codec: Codec, count: i32, records: &[u8]) -> Batch {
    let mut batch = sound(codec);
    batch.records = Compression::of(codec).compress(records).unwrap().into();
    batch.header.record_count = count;
    batch.header.last_offset_delta = count - 1;
    batch.seal();
    batch
}

/// A bare record with this offset delta.
fn bare(offset_delta: u8) -> [u8; 7] {
    [12, 0, 0, offset_delta * 2, 1, 1, 0]
}

fn produce_at(version: i16, records: &[u8], rules: &ValidationRules) -> Result<ValidatedBatch, ProduceError> {
    let records = Bytes::copy_from_slice(records);
    check_batch(check_shape(Some(&records), version)?, rules, NOW)
}

fn produce(records: &[u8], rules: &ValidationRules) -> Result<ValidatedBatch, ProduceError> {
    produce_at(12, records, rules)
}

fn accepted(batch: &Batch, rules: &ValidationRules) -> ValidatedBatch {
    let found = produce(&batch.to_bytes(), rules).expect("a sound batch");
    assert_eq!(found.header.crc, found.header.compute_crc(&found.records), "the CRC is that of the bytes");
    assert_eq!(found.total_size(), HEADER_BYTES + found.records.len());
    found
}

fn check_bytes(records: &[u8], rules: &ValidationRules, code: ErrorCode, tells_log_start_offset: bool) {
    let error = produce(records, rules).expect_err("a refusal");
    assert_eq!((error.code, error.tells_log_start_offset), (code, tells_log_start_offset), "{error}");
    assert_eq!(error.record_errors, []);
}

/// Refused with this code, with and without the partition's log start offset as Kafka does it.
fn check(batch: &Batch, rules: &ValidationRules, code: ErrorCode) {
    check_bytes(&batch.to_bytes(), rules, code, code == InvalidRecord);
}

/// Refused with this code for these records.
fn check_named(batch: &Batch, rules: &ValidationRules, code: ErrorCode, named: &[i32]) {
    let error = produce(&batch.to_bytes(), rules).expect_err("a refusal");
    assert_eq!(error.code, code, "{error}");
    let indexes: Vec<i32> = error.record_errors.iter().map(|record| record.batch_index).collect();
    assert_eq!(indexes, named, "{error}");
    assert!(error.tells_log_start_offset);
}

/// What a client may get wrong. Those of the header keep the CRC right unless `BadCrc` is among them.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    Magic(i8),
    BaseOffset,
    Big,
    BadCrc,
    Count,
    LastOffsetDelta,
    Control,
    Sequence,
    Codec(u8),
    Timestamp,
    Zstd,
    Second,
}

use Wrong::*;

/// The code for a batch with all of these faults, sent by Produce of `version`.
fn check_first_at(version: i16, wrongs: &[Wrong], code: ErrorCode) {
    let codec = if wrongs.contains(&Zstd) { Codec::Zstd } else { Codec::None };
    let mut batch = sound(codec);
    let mut rules = rules();
    for wrong in wrongs {
        let header = &mut batch.header;
        match *wrong {
            BaseOffset => header.base_offset = Offset(5),
            Big => rules.max_message_bytes = 100,
            Count => header.record_count += 1,
            LastOffsetDelta => header.last_offset_delta += 1,
            Control => header.attributes = header.attributes.with_control(true),
            Sequence => header.producer_id = ProducerId(7),
            Wrong::Codec(id) => header.attributes.0 |= i16::from(id),
            Timestamp => rules.timestamp_after_max_ms = -10,
            Magic(_) | BadCrc | Zstd | Second => {}
        }
    }
    batch.seal();
    if wrongs.contains(&BadCrc) {
        batch.header.crc ^= 1;
    }
    let mut bytes = batch.to_bytes().to_vec();
    for wrong in wrongs {
        match *wrong {
            Magic(magic) => bytes[16] = magic as u8,
            Second => bytes.extend_from_slice(&sound(Codec::None).to_bytes()),
            _ => {}
        }
    }
    let error = produce_at(version, &bytes, &rules).expect_err("a refusal");
    assert_eq!(error.code, code, "{error}");
}

fn check_first(wrongs: &[Wrong], code: ErrorCode) {
    check_first_at(12, wrongs, code);
}

#[test]
fn record_set_has_to_be_one_batch() {
    assert_eq!(check_shape(None, 12).unwrap_err().code, InvalidRecord);
    let bytes = sound(Codec::None).to_bytes();
    let refused = |records: &[u8], code| check_bytes(records, &rules(), code, false);
    refused(b"", InvalidRecord);
    refused(b"\0\0\0\0\0", InvalidRecord);
    refused(&bytes[..bytes.len() - 3], InvalidRecord);
    refused(&bytes[..30], InvalidRecord);
    refused(&[bytes.as_ref(), &bytes].concat(), InvalidRecord);
    refused(&[bytes.as_ref(), &bytes[..40]].concat(), InvalidRecord);
    refused(&[bytes.as_ref(), &[0; 20]].concat(), CorruptMessage);

    let stray = [bytes.as_ref(), &[1, 2, 3]].concat();
    assert_eq!(produce(&stray, &rules()).unwrap().total_size(), bytes.len());
}

#[test]
fn lengths_below_the_header_are_corrupt_and_lengths_beyond_the_bytes_are_no_batch() {
    let bytes = sound(Codec::None).to_bytes();
    let with_length = |length: i32| {
        let mut bytes = bytes.to_vec();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    for length in [48, 20, 14, 13, 5, 0, -1, i32::MIN] {
        // The rest of the bytes would be a second batch, so they are not there.
        let total = usize::try_from(length).unwrap_or(0).saturating_add(12).max(17);
        check_bytes(&with_length(length)[..total], &rules(), CorruptMessage, false);
    }
    for length in [bytes.len() as i32 - 11, 100_000, i32::MAX] {
        check_bytes(&with_length(length), &rules(), InvalidRecord, false);
    }
}

#[test]
fn old_magics_are_invalid_and_unknown_ones_corrupt() {
    for magic in [0, 1] {
        check_first(&[Magic(magic)], InvalidRecord);
    }
    for magic in [3, 4, 127, -1, -128] {
        check_first(&[Magic(magic)], CorruptMessage);
    }
}

#[test]
fn single_faults_of_the_header() {
    check_first(&[BaseOffset], InvalidRecord);
    check_first(&[Big], MessageTooLarge);
    check_first(&[BadCrc], CorruptMessage);
    check_first(&[Count], InvalidRecord);
    check_first(&[LastOffsetDelta], InvalidRecord);
    check_first(&[Count, LastOffsetDelta], InvalidRecord);
    check_first(&[Control], InvalidRecord);
    check_first(&[Sequence], InvalidRecord);
    for id in 5..8 {
        check_first(&[Wrong::Codec(id)], CorruptMessage);
    }
    for (record_count, last_offset_delta) in [(0, -1), (-1, -2), (0, 0), (2, -1), (i32::MIN, i32::MAX)] {
        let mut batch = sound(Codec::None);
        batch.header.record_count = record_count;
        batch.header.last_offset_delta = last_offset_delta;
        batch.seal();
        check(&batch, &rules(), InvalidRecord);
    }
}

#[test]
fn of_two_faults_the_one_that_kafka_tells_is_told() {
    check_first(&[Magic(1), BaseOffset], InvalidRecord);
    check_first(&[Magic(3), Big], CorruptMessage);
    check_first(&[Second, Big], InvalidRecord);
    check_first(&[Second, BadCrc], InvalidRecord);
    check_first(&[BaseOffset, Big], InvalidRecord);
    check_first(&[BaseOffset, BadCrc], InvalidRecord);
    check_first(&[Big, BadCrc], MessageTooLarge);
    check_first(&[Big, Count], MessageTooLarge);
    for wrong in [Control, LastOffsetDelta, Count, Sequence, Wrong::Codec(5), Timestamp] {
        check_first(&[wrong, BadCrc], CorruptMessage);
    }
    check_first(&[Control, Timestamp], InvalidRecord);
    check_first(&[Timestamp], InvalidTimestamp);
}

#[test]
fn zstd_needs_produce_7() {
    check_first_at(6, &[Zstd], UnsupportedCompressionType);
    check_first_at(3, &[Zstd, BadCrc], UnsupportedCompressionType);
    check_first_at(6, &[Zstd, Second], UnsupportedCompressionType);
    check_first_at(6, &[Zstd, Magic(1)], InvalidRecord);
    assert!(produce_at(7, &sound(Codec::Zstd).to_bytes(), &rules()).is_ok());
    assert!(produce_at(3, &sound(Codec::Lz4).to_bytes(), &rules()).is_ok());
}

#[test]
fn batch_size_counts_the_whole_batch() {
    let batch = sound(Codec::None);
    let size = batch.to_bytes().len();
    let at_most = |max_message_bytes| ValidationRules { max_message_bytes, ..rules() };
    accepted(&batch, &at_most(size));
    check(&batch, &at_most(size - 1), MessageTooLarge);
    check(&batch, &at_most(0), MessageTooLarge);
}

#[test]
fn batch_has_to_fit_into_a_segment() {
    let batch = sound(Codec::None);
    let size = batch.to_bytes().len();
    let segments_of = |segment_bytes| ValidationRules { segment_bytes, ..rules() };
    accepted(&batch, &segments_of(size));
    check(&batch, &segments_of(size - 1), RecordListTooLarge);
    let old = batch_of(Codec::None, &[(NOW + 2 * HOUR, None)]);
    check_named(&old, &segments_of(10), InvalidTimestamp, &[0]);
}

#[test]
fn undecodable_records_are_corrupt() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        for garbage in [b"".as_slice(), b"garbage", &[0xff; 100]] {
            let mut batch = sound(codec);
            batch.records = Bytes::copy_from_slice(garbage);
            batch.seal();
            check(&batch, &rules(), CorruptMessage);
        }
    }
}

#[test]
fn records_beyond_the_budget_are_too_large() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let batch = sound(codec);
        let size = sound(Codec::None).records.len();
        let budget = |decompressed_bytes_max| ValidationRules { decompressed_bytes_max, ..rules() };
        accepted(&batch, &budget(size));
        check(&batch, &budget(size - 1), MessageTooLarge);
    }
}

#[test]
fn records_have_to_be_whole_as_many_as_counted_and_nothing_else() {
    for codec in Codec::ALL {
        let refused = |count, records: &[u8]| {
            check(&with_records(codec, count, records), &rules(), InvalidRecord);
        };
        refused(2, &bare(0));
        refused(1, &[bare(0), bare(1)].concat());
        refused(1, &[bare(0).as_slice(), &[0]].concat());
        refused(1, &bare(0)[..6]);
        refused(1, &[1, 0, 0, 0, 1, 1, 0]);
        refused(1, &[10, 0, 0, 0, 1, 1, 0]);
        refused(1, &[0x80; 20]);
        refused(1, &[12, 0, 0, 0, 1, 1, 1]); // header count −1
        refused(1, &[20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]); // header count 2147483647
        refused(1, &[16, 0, 0, 0, 1, 1, 2, 1, 1]); // header without key
    }
}

#[test]
fn oddities_that_kafka_accepts_are_accepted() {
    for codec in Codec::ALL {
        accepted(&with_records(codec, 1, &[12, 0x55, 0, 0, 3, 5, 0]), &rules()); // attributes, lengths −2 and −3
        accepted(&with_records(codec, 1, &[16, 0, 0, 0, 1, 1, 2, 0, 1]), &rules()); // null header value
        for bits in [1 << 6, 1 << 7, 1 << 14, i16::MIN] {
            let mut batch = sound(codec);
            batch.header.attributes.0 |= bits;
            batch.seal();
            let found = accepted(&batch, &rules());
            assert_eq!(found.header, batch.header, "stored with the bits as they came");
        }
        let mut batch = sound(codec);
        batch.header.producer_id = ProducerId(-2);
        batch.seal();
        accepted(&batch, &rules());
        batch.header.producer_id = ProducerId(9);
        batch.header.producer_epoch = ProducerEpoch(-1);
        batch.header.base_sequence = 0;
        batch.seal();
        accepted(&batch, &rules());
    }
}

#[test]
fn wrong_inner_offsets_are_named() {
    for codec in Codec::ALL {
        let two = |first, second| with_records(codec, 2, &[bare(first), bare(second)].concat());
        accepted(&two(0, 1), &rules());
        check_named(&two(1, 0), &rules(), InvalidRecord, &[0, 1]);
        check_named(&two(0, 5), &rules(), InvalidRecord, &[1]);
        check_named(&two(0, 0), &rules(), InvalidRecord, &[1]);
        check_named(&with_records(codec, 1, &bare(3)), &rules(), InvalidRecord, &[0]);
    }
}

#[test]
fn compacted_topic_names_the_records_without_keys() {
    for codec in Codec::ALL {
        let keys = |keys: &[Option<&[u8]>]| {
            let records: Vec<_> = keys.iter().map(|key| (NOW, *key)).collect();
            batch_of(codec, &records)
        };
        check_named(&keys(&[None, Some(b"k"), None]), &compacted(), InvalidRecord, &[0, 2]);
        accepted(&keys(&[Some(b"k"), Some(b"")]), &compacted());
        accepted(&keys(&[None]), &rules());
    }
}

#[test]
fn timestamps_out_of_range_are_named() {
    let limits = |before, after| ValidationRules {
        timestamp_before_max_ms: before,
        timestamp_after_max_ms: after,
        ..rules()
    };
    let at = |timestamps: &[i64]| {
        let records: Vec<_> = timestamps.iter().map(|timestamp| (*timestamp, None)).collect();
        batch_of(Codec::None, &records)
    };
    check_named(&at(&[NOW, NOW + HOUR + 1, NOW]), &rules(), InvalidTimestamp, &[1]);
    accepted(&at(&[NOW + HOUR, 0, -1, -5, i64::MIN / 2]), &rules());
    check_named(&at(&[NOW - 11, NOW - 10, -1, 0]), &limits(10, 10), InvalidTimestamp, &[0, 3]);
    accepted(&at(&[NOW - 10, NOW + 10, -1]), &limits(10, 10));
    check_named(&at(&[i64::MAX]), &rules(), InvalidTimestamp, &[0]);
    accepted(&at(&[i64::MAX]), &limits(0, i64::MAX));
    // The broker's own time replaces these.
    let old = ValidationRules { timestamp_before_max_ms: 0, ..log_append_time() };
    accepted(&at(&[0, i64::MAX]), &old);
}

#[test]
fn of_mixed_record_errors_the_timestamp_wins_and_one_fault_per_record_is_named() {
    let late = NOW + 2 * HOUR;
    let mixed = batch_of(Codec::None, &[(late, Some(b"k")), (NOW, None)]);
    check_named(&mixed, &compacted(), InvalidTimestamp, &[0, 1]);
    let both = batch_of(Codec::None, &[(late, None), (NOW, Some(b"k"))]);
    check_named(&both, &compacted(), InvalidRecord, &[0]);
}

#[test]
fn record_errors_are_as_many_as_anybody_reads() {
    let records = vec![(NOW, None); 5_000];
    let batch = batch_of(Codec::Zstd, &records);
    let error = produce(&batch.to_bytes(), &compacted()).unwrap_err();
    assert_eq!(error.record_errors.len(), RECORD_ERRORS_MAX);
    assert!(error.message.unwrap().starts_with("5000 of"));
}

#[test]
fn sound_batch_stays_as_it_came() {
    for codec in Codec::ALL {
        let batch = sound(codec);
        let bytes = batch.to_bytes();
        let found = check_batch(check_shape(Some(&bytes), 12).unwrap(), &rules(), NOW).unwrap();
        assert_eq!(found.header, batch.header);
        assert_eq!(found.records.as_ptr(), bytes[HEADER_BYTES..].as_ptr(), "a slice of the frame");
        assert_eq!((found.first_timestamp, found.max_timestamp_offset_delta), (NOW, 1));

        let head = found.head(Offset(0x0102), LeaderEpoch(9));
        let stored = BatchHeader::parse(&head, 0).unwrap();
        assert_eq!((stored.base_offset, stored.partition_leader_epoch), (Offset(0x0102), LeaderEpoch(9)));
        assert_eq!(head[16..], bytes[16..HEADER_BYTES]);
    }
}

#[test]
fn max_timestamp_is_recomputed_and_belongs_to_the_first_record_that_has_it() {
    let check = |timestamps: &[i64], max: i64, delta: i32| {
        for claimed in [max, 0, -1, i64::MAX] {
            let records: Vec<_> = timestamps.iter().map(|timestamp| (*timestamp, None)).collect();
            let mut batch = batch_of(Codec::Lz4, &records);
            batch.header.max_timestamp = claimed;
            batch.seal();
            let found = accepted(&batch, &rules());
            assert_eq!((found.header.max_timestamp, found.max_timestamp_offset_delta), (max, delta));
            assert_eq!(found.first_timestamp, timestamps[0]);
        }
    };
    check(&[NOW], NOW, 0);
    check(&[NOW - 2, NOW, NOW - 1, NOW], NOW, 1);
    check(&[-1, -1], -1, 0);
    check(&[-5, -7], -1, 0);
    check(&[-1, 0], 0, 1);
}

#[test]
fn log_append_time_replaces_the_producers_time() {
    for codec in Codec::ALL {
        let batch = batch_of(codec, &[(5, None), (7, None)]);
        let found = accepted(&batch, &log_append_time());
        assert_eq!(found.header.attributes.0, batch.header.attributes.0 | 8);
        assert_eq!((found.header.max_timestamp, found.max_timestamp_offset_delta), (NOW, 0));
        assert_eq!(found.header.base_timestamp, 5);
        assert_eq!(found.first_timestamp, NOW);
        assert_eq!(found.records, batch.records);
    }
}

#[test]
fn timestamp_type_set_by_the_client_is_cleared_or_refused() {
    let mut batch = sound(Codec::None);
    batch.set_log_append_time(NOW - 77);
    let found = accepted(&batch, &rules());
    assert_eq!(found.header.attributes.timestamp_type(), TimestampType::CreateTime);
    assert_eq!((found.header.max_timestamp, found.max_timestamp_offset_delta), (NOW - 77, 0));
    check_named(&batch, &log_append_time(), InvalidTimestamp, &[0, 1]);

    batch.set_log_append_time(NOW + 2 * HOUR);
    check_named(&batch, &rules(), InvalidTimestamp, &[0, 1]);
    batch.set_log_append_time(-1);
    check_named(&batch, &rules(), InvalidTimestamp, &[0, 1]);
}

#[test]
fn topics_codec_replaces_the_producers() {
    let records = |header: BatchHeader, records: &Bytes| {
        let batch = Batch { header, records: records.clone() };
        batch.records(1 << 20).unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    for from in Codec::ALL {
        let mut batch = sound(from);
        batch.header.attributes.0 |= 1 << 9;
        batch.header.producer_id = ProducerId(4);
        batch.header.base_sequence = 11;
        batch.seal();
        for to in Codec::ALL {
            let found = accepted(&batch, &target(to));
            assert_eq!(found.header.attributes, batch.header.attributes.with_codec(to));
            assert_eq!(records(found.header, &found.records), records(batch.header, &batch.records));
            let same = BatchHeader {
                batch_length: batch.header.batch_length,
                crc: batch.header.crc,
                attributes: batch.header.attributes,
                ..found.header
            };
            assert_eq!(same, batch.header);
            if from == to {
                assert_eq!(found.records, batch.records);
            }
        }
    }
}

#[test]
fn size_is_checked_again_after_compression() {
    let records = vec![(NOW, None); 100];
    let batch = batch_of(Codec::Zstd, &records);
    let plain = batch_of(Codec::None, &records);
    let at_most = |max_message_bytes| ValidationRules { max_message_bytes, ..target(Codec::None) };
    accepted(&batch, &at_most(plain.header.total_size()));
    check(&batch, &at_most(plain.header.total_size() - 1), MessageTooLarge);
    let segment_bytes = plain.header.total_size() - 1;
    check(&batch, &ValidationRules { segment_bytes, ..target(Codec::None) }, RecordListTooLarge);
}

#[test]
fn bomb_costs_its_budget_and_no_more() {
    // A record that claims 100 MB of value, all zeros.
    let mut prefix = vec![0xfe, 0xff, 0xff, 0x5f, 0, 0, 0, 1];
    prefix.extend([0xe0, 0xff, 0xff, 0x5f]);
    let mut compressor = Compressor::new(Compression::of(Codec::Zstd), usize::MAX).unwrap();
    compressor.write(&prefix).unwrap();
    for _ in 0..100 {
        compressor.write(&vec![0; 1 << 20]).unwrap();
    }
    let mut batch = sound(Codec::Zstd);
    batch.records = compressor.finish().unwrap().into();
    batch.header.record_count = 1;
    batch.header.last_offset_delta = 0;
    batch.seal();
    check(&batch, &rules(), MessageTooLarge);
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused_or_harmless() {
    let bytes = sound(Codec::None).to_bytes();
    for cut in 0..bytes.len() {
        check_bytes(&bytes[..cut], &rules(), InvalidRecord, false);
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let outcome = produce(&flipped, &rules());
        // The leader epoch is the broker's to write, so nothing speaks for the client's.
        assert_eq!(outcome.is_ok(), (12..16).contains(&(bit / 8)), "bit {bit}");
    }
}

#[test]
fn flipped_records_under_a_right_crc_never_panic() {
    for codec in Codec::ALL {
        let sound = sound(codec);
        for bit in 0..sound.records.len() * 8 {
            let mut records = sound.records.to_vec();
            records[bit / 8] ^= 1 << (bit % 8);
            let mut batch = Batch { header: sound.header, records: records.into() };
            batch.seal();
            for rules in [rules(), compacted(), target(Codec::Gzip)] {
                if let Ok(found) = produce(&batch.to_bytes(), &rules) {
                    let stored = Batch { header: found.header, records: found.records };
                    assert!(stored.records(1 << 20).unwrap().all(|record| record.is_ok()));
                }
            }
        }
    }
}
