//! Few compressed bytes that stand for very many: reading them stops at the budget, allocates little on the way, and
//! gives it all back. The allocator counts what Rust allocates; zstd's own context lies outside of it.

#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]
#![expect(clippy::unwrap_used, reason = "in a test, a panic is a finding")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use ottla_protocol::record::compression::Compressor;
use ottla_protocol::record::{
    BatchBuilder, Codec, Compression, DecompressError, NewRecord, RecordsError, walk,
};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

/// One measurement at a time.
static MEASURING: Mutex<()> = Mutex::new(());

/// How many bytes were held at most beyond what was held before.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let outcome = work();
    (outcome, PEAK.load(Relaxed) - before)
}

const MIB: usize = 1024 * 1024;
const BUDGET: usize = MIB;

/// A record of one value that is zeros to its end, 64 MiB of them.
fn bomb(codec: Codec) -> Vec<u8> {
    let mut compressor = Compressor::new(Compression::of(codec), usize::MAX).unwrap();
    // Length 2^26 + 9, attributes, deltas, null key, value length 2^26.
    compressor.write(&[0x92, 0x80, 0x80, 0x40, 0, 0, 0, 1, 0x80, 0x80, 0x80, 0x40]).unwrap();
    let zeros = vec![0; MIB];
    (0..64).for_each(|_| compressor.write(&zeros).unwrap());
    compressor.write(&[0]).unwrap();
    compressor.finish().unwrap()
}

/// Reads `stored` as the records of a batch of `codec`, by both readers; what they say, and what they held.
fn read(codec: Codec, stored: Vec<u8>) -> (RecordsError, usize) {
    let mut builder = BatchBuilder::new(Compression::of(codec));
    builder.push(NewRecord::default());
    let mut batch = builder.build().unwrap();
    batch.records = Bytes::from(stored);
    let before = HELD.load(Relaxed);
    let (walked, walk_peak) = peak_of(|| walk(&batch.header, &batch.records, BUDGET, |_| ()));
    let (read, read_peak) = peak_of(|| batch.records(BUDGET).map(|_| ()));
    let error = walked.unwrap_err();
    assert_eq!(read.unwrap_err(), error);
    let kept = HELD.load(Relaxed).saturating_sub(before);
    assert!(kept < MIB / 4, "{codec}: {kept} bytes are still held");
    (error, walk_peak.max(read_peak))
}

#[test]
fn bombs_stop_at_the_budget() {
    let _alone = MEASURING.lock();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bomb = bomb(codec);
        assert!(bomb.len() < 4 * MIB, "{codec}: {} bytes", bomb.len());
        let (error, peak) = read(codec, bomb);
        let over = DecompressError::OverBudget { codec, budget_bytes: BUDGET };
        assert_eq!(error, RecordsError::Decompress(over));
        // The budget, doubled by a growing vector, and a chunk.
        assert!(peak < 3 * BUDGET, "{codec}: {peak} bytes");
    }
}

#[test]
fn streams_that_follow_each_other_share_one_budget() {
    let _alone = MEASURING.lock();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Zstd] {
        let one = Compression::of(codec).compress(&vec![0xff; 64 * 1024]).unwrap();
        let mut builder = BatchBuilder::new(Compression::of(codec));
        builder.push(NewRecord::default());
        let mut batch = builder.build().unwrap();
        batch.records = one.repeat(400).into();
        let (outcome, peak) = peak_of(|| batch.records(BUDGET).map(|_| ()));
        let over = DecompressError::OverBudget { codec, budget_bytes: BUDGET };
        assert_eq!(outcome.unwrap_err(), RecordsError::Decompress(over));
        assert!(peak < 3 * BUDGET, "{codec}: {peak} bytes");
    }
}

#[test]
fn claims_cost_nothing() {
    let _alone = MEASURING.lock();
    let undecodable = |codec, stored: &[u8]| {
        let (error, peak) = read(codec, stored.to_vec());
        assert!(matches!(error, RecordsError::Decompress(DecompressError::Undecodable { .. })), "{error}");
        assert!(peak < MIB / 4, "{codec}: {peak} bytes");
    };
    // Snappy: 4 GiB, bare and in a frame; a block of 2 GiB.
    undecodable(Codec::Snappy, b"\xff\xff\xff\xff\x0f\0");
    undecodable(Codec::Snappy, b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x06\xff\xff\xff\xff\x0f\0");
    undecodable(Codec::Snappy, b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\x7f\xff\xff\xff\0");
    // Zstd: a window of 2 GiB, and a content size of 2^62 with a window of 128 MiB.
    undecodable(Codec::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 0x09, 0, 0, b'x']);
    undecodable(
        Codec::Zstd,
        &[0x28, 0xb5, 0x2f, 0xfd, 0xc0, 17 << 3, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x09, 0, 0, b'x'],
    );
    // LZ4: a block of 2 GiB, and one of 4 MiB that is not there.
    undecodable(Codec::Lz4, &[0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 0xff, 0xff, 0xff, 0x7f]);
    undecodable(Codec::Lz4, &[0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 0, 0, 0x40, 0]);
}

#[test]
fn records_that_claim_much_cost_nothing() {
    let _alone = MEASURING.lock();
    for codec in Codec::ALL {
        // A key of 2 GiB, and 2^30 headers in a record that claims to be long enough for them.
        for records in [
            [0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0].as_slice(),
            &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 1, 0x80, 0x80, 0x80, 0x80, 0x04, 0, 1, 0, 1],
        ] {
            let stored = Compression::of(codec).compress(records).unwrap();
            let mut builder = BatchBuilder::new(Compression::of(codec));
            builder.push(NewRecord::default());
            let mut batch = builder.build().unwrap();
            batch.header.record_count = i32::MAX;
            batch.records = stored.into();
            let (outcome, peak) = peak_of(|| batch.records(BUDGET).unwrap().next().unwrap());
            assert!(matches!(outcome, Err(RecordsError::Record { index: 0, .. })), "{outcome:?}");
            assert!(peak < MIB / 4, "{codec}: {peak} bytes");
        }
    }
}
