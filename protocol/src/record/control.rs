//! Control records: what the log tells readers rather than what producers tell consumers (KIP-98, KIP-595).
//!
//! A control batch has one record, uncompressed and without sequence number. Its key is a version (i16, 0) and a type
//! (i16); a transaction marker's value is a version (i16, 0) and the coordinator's epoch (i32). It takes one offset, so
//! consumers see a gap there.

use super::attributes::Codec;
use super::batch::Batch;
use super::builder::{BatchBuilder, NewRecord};
use super::compression::Compression;
use super::header::NO_SEQUENCE;
use super::records::{Record, RecordsError};
use crate::types::{ProducerEpoch, ProducerId};

const VERSION: i16 = 0;

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlType {
    /// The producer's transaction was aborted: its records before this one are not for `read_committed`.
    Abort,
    /// The producer's transaction was committed.
    Commit,
    /// A controller became leader.
    LeaderChange,
    /// A snapshot begins.
    SnapshotHeader,
    /// A snapshot ends.
    SnapshotFooter,
    /// The quorum speaks another version of its protocol.
    KraftVersion,
    /// The quorum has other voters.
    KraftVoters,
    /// A type from a later version, to be skipped.
    Unknown(i16),
}

impl ControlType {
    /// The type with this number.
    pub fn from_id(id: i16) -> ControlType {
        match id {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            2 => ControlType::LeaderChange,
            3 => ControlType::SnapshotHeader,
            4 => ControlType::SnapshotFooter,
            5 => ControlType::KraftVersion,
            6 => ControlType::KraftVoters,
            other => ControlType::Unknown(other),
        }
    }

    /// The type's number.
    pub fn id(self) -> i16 {
        match self {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
            ControlType::LeaderChange => 2,
            ControlType::SnapshotHeader => 3,
            ControlType::SnapshotFooter => 4,
            ControlType::KraftVersion => 5,
            ControlType::KraftVoters => 6,
            ControlType::Unknown(id) => id,
        }
    }

    /// The type that a control record's key names; `None` if it is no control record's key.
    pub fn of_key(key: &[u8]) -> Option<ControlType> {
        let (version, rest) = key.split_first_chunk()?;
        let id = rest.first_chunk()?;
        // A later version may add to the key, and keeps what is known at its front.
        (i16::from_be_bytes(*version) >= VERSION).then(|| ControlType::from_id(i16::from_be_bytes(*id)))
    }

    fn to_key(self) -> [u8; 4] {
        let [a, b] = VERSION.to_be_bytes();
        let [c, d] = self.id().to_be_bytes();
        [a, b, c, d]
    }
}

/// How a transaction ended on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// Committed rather than aborted.
    pub committed: bool,
    /// The epoch of the coordinator that decided.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// The marker that a control batch's record holds; `None` if it holds something else.
    pub fn of_record(record: &Record) -> Option<EndTransactionMarker> {
        let committed = match ControlType::of_key(record.key.as_ref()?)? {
            ControlType::Abort => false,
            ControlType::Commit => true,
            _ => return None,
        };
        let (version, rest) = record.value.as_ref()?.split_first_chunk()?;
        let coordinator_epoch = i32::from_be_bytes(*rest.first_chunk()?);
        (i16::from_be_bytes(*version) >= VERSION)
            .then_some(EndTransactionMarker { committed, coordinator_epoch })
    }

    /// The batch that ends the transaction of a producer.
    pub fn to_batch(self, producer_id: ProducerId, producer_epoch: ProducerEpoch, now_ms: i64) -> Batch {
        let kind = if self.committed { ControlType::Commit } else { ControlType::Abort };
        let mut value = VERSION.to_be_bytes().to_vec();
        value.extend_from_slice(&self.coordinator_epoch.to_be_bytes());
        let mut builder = BatchBuilder::new(Compression::NONE)
            .producer(producer_id, producer_epoch, NO_SEQUENCE)
            .transactional()
            .control();
        builder.push(NewRecord {
            timestamp: now_ms,
            key: Some(&kind.to_key()),
            value: Some(&value),
            headers: &[],
        });
        builder.build().expect("nothing is compressed, so nothing fails")
    }
}

/// What a control batch says; `None` if it holds no control record.
pub fn control_type_of(batch: &Batch) -> Result<Option<ControlType>, RecordsError> {
    // Kafka never compresses control batches, so one that is compressed is not opened.
    if !batch.header.attributes.is_control() || batch.header.attributes.codec() != Some(Codec::None) {
        return Ok(None);
    }
    let Some(record) = batch.records(0)?.next() else { return Ok(None) };
    Ok(record?.key.as_deref().and_then(ControlType::of_key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_has_the_bytes_that_kafka_writes() {
        for committed in [true, false] {
            let marker = EndTransactionMarker { committed, coordinator_epoch: 7 };
            let batch = marker.to_batch(ProducerId(4), ProducerEpoch(1), 1_000);
            assert_eq!(batch.header.attributes.0, 48);
            assert_eq!(batch.header.base_sequence, -1);
            assert_eq!(batch.header.max_timestamp, 1_000);
            let record = batch.records(0).unwrap().next().unwrap().unwrap();
            assert_eq!(record.key.as_deref(), Some([0, 0, 0, u8::from(committed)].as_slice()));
            assert_eq!(record.value.as_deref(), Some([0, 0, 0, 0, 0, 7].as_slice()));
            assert_eq!(EndTransactionMarker::of_record(&record), Some(marker));
            let kind = if committed { ControlType::Commit } else { ControlType::Abort };
            assert_eq!(control_type_of(&batch), Ok(Some(kind)));
        }
    }

    #[test]
    fn keys_that_name_no_type_are_told_from_types_of_the_future() {
        assert_eq!(ControlType::of_key(&[0, 0, 0, 6]), Some(ControlType::KraftVoters));
        assert_eq!(ControlType::of_key(&[0, 1, 0, 0, 9]), Some(ControlType::Abort));
        assert_eq!(ControlType::of_key(&[0, 0, 0, 77]), Some(ControlType::Unknown(77)));
        assert_eq!(ControlType::of_key(&[0, 0, 0]), None);
        assert_eq!(ControlType::of_key(&[0xff, 0xff, 0, 0]), None);
        for id in -1..10 {
            assert_eq!(ControlType::from_id(id).id(), id);
        }
    }
}
