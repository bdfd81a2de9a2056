//! Batches, built once and sent again and again.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use ottla_protocol::record::{BatchBuilder, Codec, Compression, NewRecord};

/// Words that values are made of: as compressible as log lines are.
const WORDS: [&str; 16] = [
    "offset",
    "2026-11-21",
    "partition",
    "INFO",
    "customer",
    "0x7f3a",
    "accepted",
    "in",
    "order",
    "17",
    "request",
    "eu-west-1",
    "latency",
    "null",
    "payment",
    "of",
];

/// A batch, and what is in it.
#[derive(Debug, Clone)]
pub(crate) struct BuiltBatch {
    /// As it is sent.
    pub(crate) bytes: Bytes,
    pub(crate) record_count: u64,
}

/// A batch of records of `record_bytes` each, as many as fit into `batch_bytes` before compression, and one at least.
/// Without compression the last record is longer, so that a batch of several records has exactly that size.
pub(crate) fn batch(batch_bytes: usize, record_bytes: usize, compression: Compression) -> Result<BuiltBatch> {
    let build = |count: usize, last: usize| -> Result<Bytes> {
        let mut builder = BatchBuilder::new(Compression::NONE);
        fill(&mut builder, count, record_bytes, last);
        Ok(builder.build()?.to_bytes())
    };
    let mut count = (batch_bytes / record_bytes.max(1)).max(1);
    while count > 1 && build(count, record_bytes)?.len() > batch_bytes {
        count -= 1;
    }
    let bytes = if compression.codec() == Codec::None && count > 1 {
        let missing = batch_bytes.saturating_sub(build(count, record_bytes)?.len());
        let longer = build(count, record_bytes + missing)?;
        // The longer record may have needed a longer length too.
        let over = longer.len().saturating_sub(batch_bytes);
        if over == 0 { longer } else { build(count, record_bytes + missing - over)? }
    } else {
        let mut builder = BatchBuilder::new(compression);
        fill(&mut builder, count, record_bytes, record_bytes);
        builder.build()?.to_bytes()
    };
    Ok(BuiltBatch { bytes, record_count: u64::try_from(count).context("a count")? })
}

fn fill(builder: &mut BatchBuilder, count: usize, record_bytes: usize, last: usize) {
    let mut seed = 1;
    for index in 0..count {
        let value = value(if index + 1 == count { last } else { record_bytes }, &mut seed);
        builder.push(NewRecord { timestamp: 1_700_000_000_000, value: Some(&value), ..NewRecord::default() });
    }
}

fn value(length: usize, seed: &mut u64) -> Vec<u8> {
    let mut value = Vec::with_capacity(length + 16);
    while value.len() < length {
        // Xorshift: any generator does, as long as each run sends the same bytes.
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        let word = WORDS.get(*seed as usize % WORDS.len()).copied().unwrap_or_default();
        value.extend_from_slice(word.as_bytes());
        value.push(b' ');
    }
    value.truncate(length);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_several_records_has_exactly_the_size_asked_for() {
        for (batch_bytes, record_bytes) in [(65_536, 1024), (65_536, 100), (16_384, 1024), (1100, 100)] {
            let batch = batch(batch_bytes, record_bytes, Compression::NONE).unwrap();
            assert_eq!(batch.bytes.len(), batch_bytes, "{record_bytes}");
            assert!(batch.record_count > 1);
        }
    }

    #[test]
    fn a_record_that_does_not_fit_is_a_batch_of_its_own() {
        let batch = batch(0, 100, Compression::NONE).unwrap();
        assert_eq!(batch.record_count, 1);
        assert!((160..190).contains(&batch.bytes.len()), "{}", batch.bytes.len());
    }

    #[test]
    fn values_compress_as_log_lines_do() {
        for codec in [Codec::Gzip, Codec::Zstd, Codec::Lz4, Codec::Snappy] {
            let size = batch(65_536, 1024, Compression::of(codec)).unwrap().bytes.len();
            assert!((65_536 / 8..65_536 * 2 / 3).contains(&size), "{codec}: {size}");
        }
    }
}
