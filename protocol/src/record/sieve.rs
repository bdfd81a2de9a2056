//! What compaction makes of a batch: some of its records, in a batch that keeps offsets, sequence and producer.
//!
//! Records that stay are copied as they lie, since neither base offset nor base timestamp changes. Only where a delete
//! horizon (KIP-534) takes the place of the base timestamp are their timestamps written anew.

use super::attributes::TimestampType;
use super::batch::Batch;
use super::compression::{CompressError, Compression};
use super::header::{BatchHeader, NO_TIMESTAMP};
use super::layout::{SliceSource, Source as _, varint, varlong};
use super::records::{Records, RecordsError};
use super::varint::{put_varint, varint_bytes};
use super::views::RecordView;

/// The records of a batch that stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sieved {
    /// As they are laid out in the batch, not compressed.
    bytes: Vec<u8>,
    /// How many they are.
    pub kept: i32,
    /// How many go.
    pub dropped: i32,
    /// Whether a record without a value is among those that stay.
    pub has_tombstones: bool,
    /// The largest timestamp delta of those that stay.
    max_timestamp_delta: Option<i64>,
}

impl Records {
    /// Goes through the records that are left and keeps those that `keep` wants.
    pub fn sieve(&self, mut keep: impl FnMut(&RecordView<'_>) -> bool) -> Result<Sieved, RecordsError> {
        let mut sieved = Sieved {
            bytes: Vec::new(),
            kept: 0,
            dropped: 0,
            has_tombstones: false,
            max_timestamp_delta: None,
        };
        let mut views = self.views();
        loop {
            let before = views.clone();
            let Some(view) = views.next() else { return Ok(sieved) };
            let view = view?;
            if !keep(&view) {
                if sieved.dropped == 0 {
                    // Until then nothing had to be copied.
                    sieved.bytes.extend_from_slice(self.views().bytes_before(&before));
                }
                sieved.dropped += 1;
                continue;
            }
            if 0 < sieved.dropped {
                sieved.bytes.extend_from_slice(before.bytes_before(&views));
            }
            sieved.kept += 1;
            sieved.has_tombstones |= view.value.is_none();
            sieved.max_timestamp_delta = sieved.max_timestamp_delta.max(Some(view.timestamp_delta));
        }
    }
}

impl Sieved {
    /// The batch that `header` becomes with only these records, of `records`, which they were chosen from. With
    /// `delete_horizon_ms` that takes the place of its base timestamp.
    pub fn into_batch(
        self,
        header: &BatchHeader,
        records: &Records,
        delete_horizon_ms: Option<i64>,
        compression: Compression,
    ) -> Result<Batch, CompressError> {
        let mut header = BatchHeader { record_count: self.kept, ..*header };
        let bytes = if self.dropped == 0 { records.views().rest() } else { &self.bytes };
        if header.attributes.timestamp_type() == TimestampType::CreateTime {
            let largest = self.max_timestamp_delta.map(|delta| header.timestamp_of(delta));
            header.max_timestamp = largest.unwrap_or(NO_TIMESTAMP);
        }
        let stored = match delete_horizon_ms {
            None => compression.compress(bytes)?,
            Some(horizon) => {
                let shift = header.base_timestamp.wrapping_sub(horizon);
                header.base_timestamp = horizon;
                header.attributes = header.attributes.with_delete_horizon(true);
                compression.compress(&restamped(bytes, shift))?
            }
        };
        header.attributes = header.attributes.with_codec(compression.codec());
        let mut batch = Batch { header, records: stored.into() };
        batch.seal();
        Ok(batch)
    }
}

/// What is left of a batch without records: its offsets, and its place in its producer's sequence.
pub fn emptied(header: &BatchHeader) -> Batch {
    let attributes = header.attributes.with_codec(super::attributes::Codec::None).with_delete_horizon(false);
    let header = BatchHeader { attributes, base_timestamp: NO_TIMESTAMP, record_count: 0, ..*header };
    let mut batch = Batch { header, records: bytes::Bytes::new() };
    batch.seal();
    batch
}

/// Records whose timestamp deltas are larger by `shift`. They have been read before, so they can be read.
fn restamped(records: &[u8], shift: i64) -> Vec<u8> {
    let mut to = Vec::with_capacity(records.len() + records.len() / 8);
    let mut source = SliceSource::at(records, 0);
    while let Some((length, start, delta)) = front(&mut source) {
        let behind = source.position();
        let end = start + length;
        let rest = records.get(behind..end).unwrap_or_default();
        let attributes = records.get(start).copied().unwrap_or(0);
        let delta = delta.wrapping_add(shift);
        put_varint(&mut to, (1 + varint_bytes(delta) + rest.len()) as i64);
        to.push(attributes);
        put_varint(&mut to, delta);
        to.extend_from_slice(rest);
        source = SliceSource::at(records, end);
    }
    to
}

/// A record's length, where what it counts begins, and its timestamp delta.
fn front(source: &mut SliceSource<'_>) -> Option<(usize, usize, i64)> {
    let length = usize::try_from(varint(source).ok()?).ok()?;
    let start = source.position();
    source.byte().ok()?;
    Some((length, start, varlong(source).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Codec, NewRecord};
    use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

    fn batch(codec: Codec) -> Batch {
        let mut builder = BatchBuilder::new(Compression::of(codec)).at(Offset(100), LeaderEpoch(3)).producer(
            ProducerId(9),
            ProducerEpoch(1),
            40,
        );
        for number in 0..6_u8 {
            let value = vec![number; 70];
            builder.push(NewRecord {
                timestamp: 1_000 + 10 * i64::from(number),
                key: Some(&[number]),
                value: (number % 3 != 0).then_some(&*value),
                headers: &[(b"h", None), (b"", Some(b"x"))],
            });
        }
        builder.build().expect("a batch")
    }

    /// Offset and timestamp deltas of what is left, with their keys.
    fn rows(batch: &Batch) -> Vec<(i32, i64, u8)> {
        batch.verify_crc().expect("its CRC");
        let records = batch.records(10_000).expect("records");
        let row = |record: crate::record::Record| {
            let timestamp = batch.header.timestamp_of(record.timestamp_delta);
            assert_eq!(record.headers.len(), 2);
            (record.offset_delta, timestamp, record.key.expect("a key")[0])
        };
        records.map(|record| row(record.expect("a record"))).collect()
    }

    fn check(kept: &[u8], horizon: Option<i64>) {
        for codec in Codec::ALL {
            let batch = batch(codec);
            let records = batch.records(10_000).expect("records");
            let sieved =
                records.sieve(|record| kept.contains(&record.key.expect("a key")[0])).expect("sound");
            assert_eq!(sieved.kept as usize, kept.len());
            assert_eq!(sieved.dropped as usize, 6 - kept.len());
            assert_eq!(sieved.has_tombstones, kept.iter().any(|number| number % 3 == 0));
            let made = sieved
                .into_batch(&batch.header, &records, horizon, Compression::of(codec))
                .expect("it can be compressed");
            let expected: Vec<(i32, i64, u8)> =
                kept.iter().map(|n| (i32::from(*n), 1_000 + 10 * i64::from(*n), *n)).collect();
            assert_eq!(rows(&made), expected, "{codec} {kept:?} {horizon:?}");
            let BatchHeader { base_offset, last_offset_delta, base_sequence, max_timestamp, .. } =
                made.header;
            assert_eq!((base_offset, last_offset_delta, base_sequence), (Offset(100), 5, 40));
            assert_eq!(max_timestamp, 1_000 + 10 * i64::from(*kept.last().expect("some")));
            assert_eq!(made.header.delete_horizon_ms(), horizon);
            assert_eq!(made.header.attributes.codec(), Some(codec));
        }
    }

    #[test]
    fn what_stays_keeps_offset_and_time() {
        for kept in [&[0, 1, 2, 3, 4, 5][..], &[0], &[5], &[1, 4], &[0, 1, 2], &[3, 4, 5]] {
            for horizon in [None, Some(0), Some(1_000), Some(i64::from(u32::MAX) * 900)] {
                check(kept, horizon);
            }
        }
    }

    #[test]
    fn an_emptied_batch_keeps_its_place() {
        let header = batch(Codec::Zstd).header;
        let empty = emptied(&header);
        empty.verify_crc().expect("its CRC");
        assert_eq!(empty.header.total_size(), super::super::HEADER_BYTES);
        let BatchHeader {
            base_offset, last_offset_delta, base_sequence, max_timestamp, record_count, ..
        } = empty.header;
        assert_eq!((base_offset, last_offset_delta, base_sequence), (Offset(100), 5, 40));
        assert_eq!((max_timestamp, record_count), (1_050, 0));
        assert_eq!(empty.records(0).expect("none").count(), 0);
    }

    #[test]
    fn nothing_is_kept_of_records_that_cannot_be_read() {
        let mut batch = batch(Codec::None);
        batch.header.record_count = 7;
        let records = batch.records(0).expect("records");
        assert!(records.sieve(|_| false).is_err());
    }
}
