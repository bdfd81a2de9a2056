//! Validation of what a producer sent for one partition, before the partition's shard sees it.
//!
//! Pure, and done on the connection's side: the shard only has to give offsets. What comes out is a batch whose bytes
//! are known to be good, with everything that an append needs to know about it.

use bytes::Bytes;
use ottla_protocol::record::{BatchHeader, HEADER_BYTES};
use ottla_protocol::types::{LeaderEpoch, Offset};

/// A batch that may be appended once it has offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedBatch {
    /// The header as it will be stored, but for base offset and leader epoch, which the append gives.
    pub header: BatchHeader,
    /// What follows the header: a slice of the request's frame unless the batch had to be compressed anew.
    pub records: Bytes,
    /// The timestamp of the first record, as readers will see it.
    pub first_timestamp: i64,
    /// How far from the base offset the first record lies that carries the header's `max_timestamp`: what the time
    /// index stores and ListOffsets −3 answers.
    pub max_timestamp_offset_delta: i32,
}

impl ValidatedBatch {
    /// The bytes in front of `records`, for a batch appended at `base_offset` by the leader of `epoch`. Neither is
    /// under the CRC, so the batch's own stays true.
    pub fn head(&self, base_offset: Offset, epoch: LeaderEpoch) -> [u8; HEADER_BYTES] {
        BatchHeader { base_offset, partition_leader_epoch: epoch, ..self.header }.to_bytes()
    }

    /// The size in the log, header included.
    pub fn total_size(&self) -> usize {
        self.header.total_size()
    }
}
