//! What becomes of each batch while a log is compacted (KIP-58, KIP-98, KIP-534). Pure.
//!
//! | batch                                     | what stays                                                           |
//! |-------------------------------------------|----------------------------------------------------------------------|
//! | behind the part that is compacted         | all of it                                                            |
//! | records of an aborted transaction         | none                                                                 |
//! | records                                   | those whose key has no later one; tombstones until their horizon     |
//! | a marker whose transaction has a batch    | all of it                                                            |
//! | a marker of a transaction that is gone    | its record until its horizon                                         |
//!
//! A horizon is stamped on a batch by the first compaction that sees in it what is to go later: `delete.retention.ms` from
//! then. So a reader that began before has that long to see it. A batch without records goes, but two: the last of a
//! producer that is still known, for its sequence, and the last of the part that is compacted, so that this ends where it
//! ended.

use std::collections::BTreeMap;

use ottla_protocol::record::compression::CompressError;
use ottla_protocol::record::control::ControlType;
use ottla_protocol::record::{
    BatchHeader, BatchSlice, Codec, Compression, RecordView, Records, RecordsError, emptied,
};
use ottla_protocol::types::{Offset, ProducerEpoch, ProducerId};

use super::key_map::KeyMap;
use super::transactions::Transactions;
use crate::config::CompressionConfig;
use crate::log::producer_state::Producer;
use crate::log::transaction_index::AbortedTransaction;

/// The most that a batch may come to when it is decompressed. It was let into the log under the broker's own limit.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// What is the same for every batch of a compaction.
#[derive(Debug)]
pub(super) struct Rules {
    /// Where the part ends that is compacted: the map has every key before it.
    pub(super) end: Offset,
    /// Where the last batch ends before that.
    pub(super) last_batch_end: Offset,
    /// Now, on the calendar, in milliseconds. Without it nothing goes because of its horizon, and none is stamped.
    pub(super) now_ms: Option<i64>,
    /// `delete.retention.ms`.
    pub(super) delete_retention_ms: u64,
    /// At which levels batches are compressed anew.
    pub(super) compression: CompressionConfig,
    /// What is last of the producers that are known.
    pub(super) last_of: BTreeMap<ProducerId, Last>,
}

/// What a producer wrote last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// Records, up to this offset.
    Records(Offset),
    /// Only markers of this epoch are known.
    Marker(ProducerEpoch),
}

impl Last {
    pub(super) fn of(producer: &Producer) -> Last {
        producer.batches.last().map_or(Last::Marker(producer.epoch), |batch| Last::Records(batch.last_offset))
    }
}

/// What becomes of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays, byte for byte.
    Stays,
    /// It goes.
    Goes,
    /// These bytes take its place.
    Becomes(bytes::Bytes),
}

/// Why a batch could not be compacted.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilterError {
    #[error("its records can't be read: {0}")]
    Records(#[from] RecordsError),
    #[error("its records can't be compressed: {0}")]
    Compress(#[from] CompressError),
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::log) struct Tally {
    /// Records that stay.
    pub(in crate::log) kept_records: u64,
    /// Records that go.
    pub(in crate::log) dropped_records: u64,
}

/// Decides about the batches of a log, in their order, from its beginning.
pub(super) struct Filter {
    pub(super) rules: Rules,
    pub(super) map: KeyMap,
    pub(super) transactions: Transactions,
    pub(super) tally: Tally,
}

impl Filter {
    /// What becomes of the next batch, whose CRC holds; and what stays in the transaction index because of it.
    pub(super) fn on_batch(
        &mut self,
        batch: &BatchSlice<'_>,
    ) -> Result<(Fate, Option<AbortedTransaction>), FilterError> {
        let header = &batch.header;
        if header.attributes.is_control() {
            return self.on_control(batch);
        }
        let is_aborted = self.transactions.on_records(header);
        if self.rules.end <= header.base_offset {
            return Ok((Fate::Stays, None));
        }
        if is_aborted || header.record_count == 0 {
            self.tally.dropped_records += u64::try_from(header.record_count).unwrap_or(0);
            return Ok((self.without_records(header), None));
        }
        Ok((self.on_records(batch)?, None))
    }

    fn on_records(&mut self, batch: &BatchSlice<'_>) -> Result<Fate, FilterError> {
        let header = &batch.header;
        let records = records_of(batch)?;
        let keep_tombstones = !self.is_over(header);
        let sieved = records.sieve(|record| {
            let offset = header.base_offset.plus(record.offset_delta.into());
            self.is_last_of_its_key(record, offset) && (record.value.is_some() || keep_tombstones)
        })?;
        self.tally.kept_records += u64::try_from(sieved.kept).unwrap_or(0);
        self.tally.dropped_records += u64::try_from(sieved.dropped).unwrap_or(0);
        if sieved.kept == 0 {
            return Ok(self.without_records(header));
        }
        let horizon = self.new_horizon(header).filter(|_| sieved.has_tombstones);
        if sieved.dropped == 0 && horizon.is_none() {
            return Ok(Fate::Stays);
        }
        let compression = compression_of(header, &self.rules.compression);
        let batch = sieved.into_batch(header, &records, horizon, compression)?;
        Ok(Fate::Becomes(batch.to_bytes()))
    }

    /// Of records with one key the last stays, and one without a key never does.
    fn is_last_of_its_key(&self, record: &RecordView<'_>, offset: Offset) -> bool {
        if self.rules.end <= offset {
            return true;
        }
        if crate::planted::NEWEST_OF_KEY_DROPPED && offset.0 % 5 == 0 {
            return false;
        }
        record.key.is_some_and(|key| self.map.get(key).is_none_or(|last| last <= offset))
    }

    fn on_control(
        &mut self,
        batch: &BatchSlice<'_>,
    ) -> Result<(Fate, Option<AbortedTransaction>), FilterError> {
        let header = &batch.header;
        let records = records_of(batch)?;
        let kind = match records.views().next() {
            Some(record) => {
                Some(record?.key.and_then(ControlType::of_key).unwrap_or(ControlType::Unknown(-1)))
            }
            None => None,
        };
        let worth = self.transactions.on_marker(header, kind);
        if self.rules.end <= header.base_offset {
            return Ok((Fate::Stays, worth.entry));
        }
        if kind.is_none() || (worth.is_unneeded && self.is_over(header)) {
            return Ok((self.without_records(header), worth.entry));
        }
        let Some(horizon) = self.new_horizon(header).filter(|_| worth.is_unneeded) else {
            return Ok((Fate::Stays, worth.entry));
        };
        let sieved = records.sieve(|_| true)?;
        let batch = sieved.into_batch(header, &records, Some(horizon), Compression::NONE)?;
        Ok((Fate::Becomes(batch.to_bytes()), worth.entry))
    }

    /// A batch of which no record stays.
    fn without_records(&self, header: &BatchHeader) -> Fate {
        let ends_the_part = header.next_offset() == self.rules.last_batch_end;
        if !ends_the_part && !self.is_last_of_its_producer(header) {
            return Fate::Goes;
        }
        if header.record_count == 0 { Fate::Stays } else { Fate::Becomes(emptied(header).to_bytes()) }
    }

    fn is_last_of_its_producer(&self, header: &BatchHeader) -> bool {
        let last = self.rules.last_of.get(&header.producer_id).filter(|_| header.has_producer_id());
        last.is_some_and(|last| match last {
            Last::Records(offset) => header.last_offset() == *offset,
            Last::Marker(epoch) => header.attributes.is_control() && header.producer_epoch == *epoch,
        })
    }

    /// Whether what is to go later goes now.
    fn is_over(&self, header: &BatchHeader) -> bool {
        header.delete_horizon_ms().zip(self.rules.now_ms).is_some_and(|(horizon, now)| horizon <= now)
    }

    /// When what this compaction is the first to see may go.
    fn new_horizon(&self, header: &BatchHeader) -> Option<i64> {
        let retention = i64::try_from(self.rules.delete_retention_ms).unwrap_or(i64::MAX);
        self.rules
            .now_ms
            .filter(|_| header.delete_horizon_ms().is_none())
            .map(|now| now.saturating_add(retention))
    }
}

/// Notes the keys of a batch; those of an aborted transaction count for nothing.
pub(super) fn note_keys(
    map: &mut KeyMap,
    transactions: &Transactions,
    from: Offset,
    batch: &BatchSlice<'_>,
) -> Result<(), FilterError> {
    let header = &batch.header;
    if header.attributes.is_control() || header.record_count == 0 || transactions.is_aborted(header) {
        return Ok(());
    }
    for record in records_of(batch)?.views() {
        let record = record?;
        let offset = header.base_offset.plus(record.offset_delta.into());
        if let Some(key) = record.key.filter(|_| from <= offset) {
            map.put(key, offset);
        }
    }
    Ok(())
}

fn records_of(batch: &BatchSlice<'_>) -> Result<Records, RecordsError> {
    let stored = bytes::Bytes::copy_from_slice(batch.records_bytes());
    Records::new(&batch.header, &stored, DECOMPRESSED_BYTES_MAX)
}

/// The batch's own codec, at the topic's level.
fn compression_of(header: &BatchHeader, config: &CompressionConfig) -> Compression {
    let codec = header.attributes.codec().unwrap_or(Codec::None);
    let level = match codec {
        Codec::Gzip => config.gzip_level,
        Codec::Lz4 => config.lz4_level,
        Codec::Zstd => config.zstd_level,
        Codec::None | Codec::Snappy => return Compression::of(codec),
    };
    Compression::with_level(codec, level).unwrap_or(Compression::of(codec))
}
