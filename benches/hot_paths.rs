//! What the pure parts of the hot paths take: the wire codec, record batches, indexes.
//!
//! ```text
//! cargo bench --bench hot_paths              # all, a minute or two; a change against the last run is shown
//! cargo bench --bench hot_paths -- index     # what has this in its name
//! ```

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ottla_broker::config::TopicConfig;
use ottla_broker::log::batch_validation::{ValidationRules, check_batch, check_shape};
use ottla_broker::log::offset_index::{OffsetIndex, OffsetIndexView};
use ottla_broker::log::time_index::{TimeIndex, TimestampOffset};
use ottla_protocol::api::Request;
use ottla_protocol::api::fetch::{FetchRequest, FetchRequestPartition, FetchRequestTopic};
use ottla_protocol::api::produce::{ProduceRequest, ProduceRequestPartition, ProduceRequestTopic};
use ottla_protocol::frame::{RequestHeader, encode_request};
use ottla_protocol::record::crc::crc32c;
use ottla_protocol::record::{Batch, BatchBuilder, Codec, Compression, NewRecord, walk};
use ottla_protocol::types::Offset;
use ottla_protocol::wire::{FramePiece, Reader, Str};

/// What may come out of a compressed batch.
const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// The timestamp of every record, and the time at which it is checked.
const NOW: i64 = 1_700_000_000_000;

fn batch_of(batch_bytes: usize, record_bytes: usize, codec: Codec) -> Bytes {
    let value: Vec<u8> = (0..record_bytes).map(|place| b"offset partition leader "[place % 24]).collect();
    let mut builder = BatchBuilder::new(Compression::of(codec));
    for _ in 0..(batch_bytes / (record_bytes + 8)).max(1) {
        builder.push(NewRecord { timestamp: NOW, value: Some(&value), ..NewRecord::default() });
    }
    builder.build().expect("these records are few").to_bytes()
}

/// A request as it arrives, without its length.
fn body_of<R: Request>(request: &R, version: i16) -> Bytes {
    let pieces = encode_request(request, version, 1, Some(Str::from_static("bench"))).expect("it is small");
    let mut frame = Vec::new();
    for piece in pieces {
        match piece {
            FramePiece::Bytes(bytes) => frame.extend_from_slice(&bytes),
            FramePiece::External { .. } => unreachable!("requests are made of bytes"),
        }
    }
    Bytes::from(frame).slice(4..)
}

fn decode<R: Request>(body: &Bytes, version: i16) -> R {
    let mut reader = Reader::new(body.clone());
    RequestHeader::decode(&mut reader).expect("it was encoded here");
    R::decode(&mut reader, version).expect("it was encoded here")
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    let records = batch_of(64 * 1024, 1024, Codec::None);
    let partition = |index| ProduceRequestPartition { index, records: Some(records.clone()) };
    let produce = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![ProduceRequestTopic {
            name: Str::from_static("orders"),
            partition_data: (0..12).map(partition).collect(),
            ..ProduceRequestTopic::default()
        }],
        ..ProduceRequest::default()
    };
    let body = body_of(&produce, 12);
    group.bench_function("decode Produce 12, 12 partitions", |bencher| {
        bencher.iter(|| decode::<ProduceRequest>(black_box(&body), 12));
    });
    for count in [1, 1000] {
        let partition = |partition| FetchRequestPartition {
            partition,
            partition_max_bytes: 1 << 20,
            ..FetchRequestPartition::default()
        };
        let fetch = FetchRequest {
            topics: vec![FetchRequestTopic {
                topic: Str::from_static("orders"),
                partitions: (0..count).map(partition).collect(),
                ..FetchRequestTopic::default()
            }],
            ..FetchRequest::default()
        };
        let body = body_of(&fetch, 12);
        group.bench_function(BenchmarkId::new("decode Fetch 12, partitions", count), |bencher| {
            bencher.iter(|| decode::<FetchRequest>(black_box(&body), 12));
        });
        group.bench_function(BenchmarkId::new("encode Fetch 12, partitions", count), |bencher| {
            bencher.iter(|| body_of(black_box(&fetch), 12));
        });
    }
    group.finish();
}

fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    let rules = ValidationRules::of(&TopicConfig::default(), DECOMPRESSED_BYTES_MAX as u64);
    for record_bytes in [100, 1024] {
        let bytes = batch_of(64 * 1024, record_bytes, Codec::None);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("validate 64 KiB, records of B", record_bytes), |bencher| {
            bencher.iter(|| {
                let shape = check_shape(Some(black_box(&bytes)), 12).expect("it is sound");
                check_batch(shape, &rules, NOW).expect("it is sound")
            });
        });
        group.bench_function(BenchmarkId::new("build 64 KiB, records of B", record_bytes), |bencher| {
            bencher.iter(|| batch_of(black_box(64 * 1024), record_bytes, Codec::None));
        });
    }
    let bytes = batch_of(64 * 1024, 1024, Codec::None);
    group.bench_function("crc32c of 64 KiB", |bencher| bencher.iter(|| crc32c(black_box(&bytes))));
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let stored = batch_of(64 * 1024, 1024, codec);
        let batch = Batch::split_from(&mut stored.clone(), 0).expect("it is sound").expect("it is whole");
        group.throughput(Throughput::Bytes(64 * 1024));
        group.bench_function(BenchmarkId::new("walk 64 KiB compressed by", codec), |bencher| {
            bencher.iter(|| {
                let mut count = 0;
                walk(&batch.header, black_box(&batch.records), DECOMPRESSED_BYTES_MAX, |_| count += 1)
                    .expect("it is sound");
                count
            });
        });
    }
    group.finish();
}

fn index(criterion: &mut Criterion) {
    /// As many as a segment of 1 GiB has, with an entry for every 4 KiB.
    const ENTRIES: i64 = 262_144;
    const INDEX_BYTES_MAX: u32 = 10 << 20;
    let mut group = criterion.benchmark_group("index");
    let mut offsets = OffsetIndex::new(Offset(0), INDEX_BYTES_MAX);
    let mut times = TimeIndex::new(Offset(0), INDEX_BYTES_MAX);
    for entry in 1..ENTRIES {
        offsets.append(Offset(entry * 40), u32::try_from(entry * 4096).expect("1 GiB fits"));
        times.append(TimestampOffset { timestamp: NOW + entry, offset: Offset(entry * 40) });
    }
    let encoded = offsets.encode_from(0);
    let view = OffsetIndexView::new(Offset(0), &encoded);
    let mut target = 0;
    // Any order that jumps about.
    let mut next = move || {
        target = (target + 7_919 * 40) % (ENTRIES * 40);
        target
    };
    group.bench_function("look up an offset in memory", |bencher| {
        bencher.iter(|| offsets.lookup(Offset(black_box(next()))));
    });
    group.bench_function("look up an offset in a file's bytes", |bencher| {
        bencher.iter(|| view.lookup(Offset(black_box(next()))));
    });
    group.bench_function("look up a timestamp", |bencher| {
        bencher.iter(|| times.lookup(NOW + black_box(next()) / 40));
    });
    group.bench_function("append 1,000 entries", |bencher| {
        bencher.iter(|| {
            let mut index = OffsetIndex::new(Offset(0), INDEX_BYTES_MAX);
            (1..=1000).for_each(|entry| index.append(Offset(entry), black_box(entry as u32 * 4096)));
            index.len()
        });
    });
    group.finish();
}

criterion_group! {
    name = hot_paths;
    config = Criterion::default()
        .without_plots()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = codec, batch, index
}
criterion_main!(hot_paths);
