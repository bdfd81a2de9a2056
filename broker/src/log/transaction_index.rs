//! The transaction index of a segment: the aborted transactions whose markers it holds (`.txnindex`).
//!
//! Format (Kafka's): entries of 34 bytes, big-endian: version i16 (0), producer id i64, the transaction's first offset
//! i64, the offset of its marker i64, the last stable offset when the marker was written i64. Markers rise from entry
//! to entry, and last stable offsets don't fall. Committed transactions and those without a record have no entry, and
//! a segment without entries has no file.

use ottla_protocol::types::{Offset, ProducerId};

use super::frames::Fields;
use super::offset_index::IndexDamage;

/// The size of an entry in the file.
pub const TRANSACTION_ENTRY_BYTES: usize = 34;

const VERSION: i16 = 0;

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first record's offset, which may lie in an earlier segment.
    pub first_offset: Offset,
    /// Its marker's offset.
    pub last_offset: Offset,
    /// The last stable offset once the marker was written: whoever reads below it needs no later entry.
    pub last_stable_offset: Offset,
}

impl AbortedTransaction {
    /// The entry as it stands in the file.
    pub fn encode(&self) -> [u8; TRANSACTION_ENTRY_BYTES] {
        let mut bytes = [0; TRANSACTION_ENTRY_BYTES];
        let (version, numbers) = bytes.split_at_mut(2);
        version.copy_from_slice(&VERSION.to_be_bytes());
        let fields = [self.producer_id.0, self.first_offset.0, self.last_offset.0, self.last_stable_offset.0];
        for (place, field) in numbers.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }
}

/// Why a transaction index can't be used and has to be rebuilt from its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransactionIndexError {
    /// Cut within an entry, or an entry's marker does not lie above the one before it.
    #[error(transparent)]
    Damage(#[from] IndexDamage),
    /// An entry of a version that we don't know.
    #[error("entry {entry} has version {found}, expected {VERSION}")]
    Version {
        /// The entry's number, from 0.
        entry: usize,
        /// What it says.
        found: i16,
    },
    /// An entry whose offsets can't be.
    #[error("entry {entry} does not add up")]
    Entry {
        /// The entry's number, from 0.
        entry: usize,
    },
}

/// Reads a transaction index.
pub fn parse(bytes: &[u8]) -> Result<Vec<AbortedTransaction>, TransactionIndexError> {
    if !bytes.len().is_multiple_of(TRANSACTION_ENTRY_BYTES) {
        let (bytes, entry_bytes) = (bytes.len(), TRANSACTION_ENTRY_BYTES);
        return Err(IndexDamage::PartialEntry { bytes, entry_bytes }.into());
    }
    let mut entries: Vec<AbortedTransaction> = Vec::with_capacity(bytes.len() / TRANSACTION_ENTRY_BYTES);
    for (entry, chunk) in bytes.chunks_exact(TRANSACTION_ENTRY_BYTES).enumerate() {
        let (version, aborted) = decode(chunk).ok_or(TransactionIndexError::Entry { entry })?;
        if version != VERSION {
            return Err(TransactionIndexError::Version { entry, found: version });
        }
        let AbortedTransaction { producer_id, first_offset, last_offset, .. } = aborted;
        if producer_id.0 < 0 || first_offset.0 < 0 || last_offset < first_offset {
            return Err(TransactionIndexError::Entry { entry });
        }
        if entries.last().is_some_and(|before| last_offset <= before.last_offset) {
            return Err(IndexDamage::OutOfOrder { entry }.into());
        }
        entries.push(aborted);
    }
    Ok(entries)
}

fn decode(entry: &[u8]) -> Option<(i16, AbortedTransaction)> {
    let mut fields = Fields(entry);
    let version = fields.i16()?;
    let aborted = AbortedTransaction {
        producer_id: ProducerId(fields.i64()?),
        first_offset: Offset(fields.i64()?),
        last_offset: Offset(fields.i64()?),
        last_stable_offset: Offset(fields.i64()?),
    };
    Some((version, aborted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(first: i64, last: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(0x0102),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(last + 1),
        }
    }

    fn check(entries: &[AbortedTransaction], expected: Result<(), TransactionIndexError>) {
        let bytes: Vec<u8> = entries.iter().flat_map(AbortedTransaction::encode).collect();
        assert_eq!(parse(&bytes), expected.map(|()| entries.to_vec()));
    }

    #[test]
    fn entries_have_the_bytes_that_kafka_writes() {
        let expected = [
            0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0,
            0, 10,
        ];
        assert_eq!(aborted(3, 9).encode(), expected);
    }

    #[test]
    fn indexes_read_back_and_damage_has_its_place() {
        check(&[], Ok(()));
        check(&[aborted(3, 9), aborted(0, 10)], Ok(()));
        check(&[aborted(3, 9), aborted(3, 9)], Err(IndexDamage::OutOfOrder { entry: 1 }.into()));
        check(&[aborted(3, 9), aborted(12, 11)], Err(TransactionIndexError::Entry { entry: 1 }));
        check(&[aborted(-1, 9)], Err(TransactionIndexError::Entry { entry: 0 }));
        let mut bytes = aborted(3, 9).encode().to_vec();
        bytes[1] = 1;
        assert_eq!(parse(&bytes), Err(TransactionIndexError::Version { entry: 0, found: 1 }));
        let cut = IndexDamage::PartialEntry { bytes: 33, entry_bytes: 34 };
        assert_eq!(parse(&bytes[..33]), Err(cut.into()));
    }
}
