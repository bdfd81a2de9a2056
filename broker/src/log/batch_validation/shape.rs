//! Whether a partition's record set is one batch of our magic: what is asked before anything else about it.

use bytes::Bytes;
use ottla_protocol::error_code::ErrorCode;
use ottla_protocol::record::Codec;
use ottla_protocol::record::attributes::Attributes;
use ottla_protocol::record::header::{BATCH_LENGTH_MIN, HEADER_BYTES, LENGTH_OVERHEAD_BYTES, MAGIC};

use super::ProduceError;

/// Base offset, length, epoch and magic: what every format has in front, the old ones included.
const COMMON_BYTES: usize = 17;

/// The least that the length of a message of magic 0 says.
const LENGTH_MIN: i32 = 14;

/// The first Produce version whose batches may be compressed with zstd (KIP-110).
const ZSTD_SINCE_VERSION: i16 = 7;

/// One batch of our magic, of which nothing else is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducedBatch {
    /// As many bytes as its length says, shared with the request's frame.
    pub(super) bytes: Bytes,
}

impl ProducedBatch {
    /// The size that the batch says it has.
    pub fn total_size(&self) -> usize {
        self.bytes.len()
    }
}

/// Takes the one batch out of a partition's record set.
///
/// A few bytes behind it that cannot be a batch are left behind, as Kafka does. Whatever begins like one is refused,
/// even if it is cut short: nothing that was meant to be stored may vanish.
pub fn check_shape(records: Option<&Bytes>, api_version: i16) -> Result<ProducedBatch, ProduceError> {
    let Some(records) = records else {
        return Err(refused("the record set is null, expected one batch"));
    };
    let Some(Front { total, magic }) = front(records)? else {
        return Err(refused("the record set has no batch, expected one"));
    };
    let Some(rest) = records.get(total..) else {
        return Err(refused("the batch is cut short"));
    };
    if magic != MAGIC {
        return Err(refused(format!("the batch has magic {magic}, expected {MAGIC}")));
    }
    if total < HEADER_BYTES {
        // Before its rest could be taken for a second batch.
        let found = total - LENGTH_OVERHEAD_BYTES;
        return Err(ProduceError::corrupt(format!(
            "batch length {found}, expected at least {BATCH_LENGTH_MIN}"
        )));
    }
    if api_version < ZSTD_SINCE_VERSION && codec(records) == Some(Codec::Zstd) {
        let message = format!("zstd needs Produce {ZSTD_SINCE_VERSION} or later");
        return Err(ProduceError::of(ErrorCode::UnsupportedCompressionType, message));
    }
    if front(rest)?.is_some() {
        return Err(refused("the record set has more than one batch, expected one"));
    }
    Ok(ProducedBatch { bytes: records.slice(..total) })
}

fn refused(message: impl Into<String>) -> ProduceError {
    ProduceError::of(ErrorCode::InvalidRecord, message)
}

/// What stands in front of a batch or message of any magic.
struct Front {
    total: usize,
    magic: i8,
}

fn front(bytes: &[u8]) -> Result<Option<Front>, ProduceError> {
    let Some(common) = bytes.first_chunk::<COMMON_BYTES>() else { return Ok(None) };
    let [_, _, _, _, _, _, _, _, a, b, c, d, _, _, _, _, magic] = *common;
    let length = i32::from_be_bytes([a, b, c, d]);
    let total = usize::try_from(length).unwrap_or(0).saturating_add(LENGTH_OVERHEAD_BYTES);
    if length < LENGTH_MIN {
        return Err(ProduceError::corrupt(format!("batch length {length}, expected at least {LENGTH_MIN}")));
    }
    let magic = i8::from_be_bytes([magic]);
    if !(0..=MAGIC).contains(&magic) {
        return Err(ProduceError::corrupt(format!("the batch has magic {magic}, expected {MAGIC}")));
    }
    Ok(Some(Front { total, magic }))
}

/// The codec of a batch that may be too short to have one.
fn codec(batch: &[u8]) -> Option<Codec> {
    let (attributes, _) = batch.get(ottla_protocol::record::header::CRC_START..)?.split_first_chunk()?;
    Attributes(i16::from_be_bytes(*attributes)).codec()
}
