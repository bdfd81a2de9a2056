//! What the codecs take and refuse. Bombs have tests of their own, with an allocation cap, in `tests/record_bombs.rs`.

use super::*;

fn sample(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place / 7 % 97) as u8 ^ (place % 13) as u8).collect()
}

fn decompress(codec: Codec, input: &[u8], budget: usize) -> Result<Vec<u8>, DecompressError> {
    Decompressor::new(codec, input, budget)?.read_to_end()
}

/// What `input` decompresses to.
fn check(codec: Codec, input: &[u8], expected: &[u8]) {
    let found = decompress(codec, input, expected.len());
    assert!(found.as_deref() == Ok(expected), "{codec}: {:?} bytes", found.map(|bytes| bytes.len()));
}

fn check_undecodable(codec: Codec, input: &[u8]) {
    match decompress(codec, input, 1 << 20) {
        Err(DecompressError::Undecodable { codec: found, .. }) => assert_eq!(found, codec),
        other => panic!("{codec}: {:?} bytes", other.map(|bytes| bytes.len())),
    }
}

#[test]
fn every_codec_and_level_reads_back_what_it_wrote() {
    let levels = [
        (Codec::Gzip, vec![-1, 1, 6, 9]),
        (Codec::Lz4, vec![1, 9, 17]),
        (Codec::Zstd, vec![-131_072, -5, 0, 1, 3, 19]),
    ];
    for size in [1, 100, 32 * 1024, 64 * 1024, 300_000] {
        let bytes = sample(size);
        for codec in Codec::ALL {
            check(codec, &Compression::of(codec).compress(&bytes).unwrap(), &bytes);
        }
        for (codec, levels) in &levels {
            for level in levels {
                let compression = Compression::with_level(*codec, *level).unwrap();
                check(*codec, &compression.compress(&bytes).unwrap(), &bytes);
            }
        }
    }
}

#[test]
fn levels_outside_a_codecs_range_are_refused() {
    for (codec, level) in [
        (Codec::None, 0),
        (Codec::Snappy, 1),
        (Codec::Gzip, 0),
        (Codec::Gzip, 10),
        (Codec::Gzip, -2),
        (Codec::Lz4, 0),
        (Codec::Lz4, 18),
        (Codec::Zstd, 23),
        (Codec::Zstd, -131_073),
    ] {
        assert_eq!(Compression::with_level(codec, level), Err(UnknownLevel { codec, found: level }));
    }
}

#[test]
fn budget_is_exact() {
    let bytes = sample(200_000);
    for codec in Codec::ALL {
        let input = Compression::of(codec).compress(&bytes).unwrap();
        for budget_bytes in [0, 1, 32 * 1024, 199_999] {
            let found = decompress(codec, &input, budget_bytes);
            assert_eq!(found, Err(DecompressError::OverBudget { codec, budget_bytes }));
        }
        check(codec, &input, &bytes);
    }
}

#[test]
fn limit_of_a_compressor_is_exact() {
    // Bytes that do not compress, so that the limit is met while writing too.
    let bytes: Vec<u8> =
        (0..100_000u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for codec in Codec::ALL {
        let within = |limit_bytes| {
            let mut compressor = Compressor::new(Compression::of(codec), limit_bytes)?;
            bytes.chunks(1_000).try_for_each(|piece| compressor.write(piece))?;
            compressor.finish().map(|bytes| bytes.len())
        };
        let size = within(usize::MAX).unwrap();
        assert_eq!(within(size), Ok(size), "{codec}");
        for limit_bytes in [0, 10, size / 2, size - 1] {
            assert_eq!(within(limit_bytes), Err(CompressError::OverLimit { codec, limit_bytes }), "{codec}");
        }
    }
}

#[test]
fn streams_cut_anywhere_are_refused() {
    let bytes = sample(3_000);
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let input = Compression::of(codec).compress(&bytes).unwrap();
        (0..input.len()).for_each(|cut| check_undecodable(codec, &input[..cut]));
    }
    let bare = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
    (0..bare.len()).for_each(|cut| check_undecodable(Codec::Snappy, &bare[..cut]));
    // The framing ends where a block ends, so only the record count tells that a block is missing.
    let framed = Compression::of(Codec::Snappy).compress(&bytes).unwrap();
    (0..16).chain(17..framed.len()).for_each(|cut| check_undecodable(Codec::Snappy, &framed[..cut]));
}

#[test]
fn garbage_is_refused() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        for garbage in [b"garbage that is no stream".as_slice(), &[0xff; 40], &[0; 40]] {
            check_undecodable(codec, garbage);
        }
        let sound = Compression::of(codec).compress(&sample(100)).unwrap();
        check_undecodable(codec, &[sound.as_slice(), b"garbage"].concat());
    }
}

#[test]
fn snappy_comes_bare() {
    let bytes = sample(100_000);
    check(Codec::Snappy, &snap::raw::Encoder::new().compress_vec(&bytes).unwrap(), &bytes);
}

#[test]
fn snappy_comes_framed_with_whatever_versions() {
    let bytes = sample(1_000);
    let block = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
    let framed = |version: i32, compatible: i32| {
        let length = block.len() as i32;
        [
            b"\x82SNAPPY\x00".as_slice(),
            &version.to_be_bytes(),
            &compatible.to_be_bytes(),
            &length.to_be_bytes(),
            &block,
        ]
        .concat()
    };
    for (version, compatible) in [(1, 1), (0, 0), (-1, 7), (i32::MAX, i32::MIN), (1 << 24, 1 << 24)] {
        check(Codec::Snappy, &framed(version, compatible), &bytes);
    }
    check(Codec::Snappy, &[framed(1, 1), framed(2, 1)].concat(), &bytes.repeat(2));
    let empty_block = 0i32.to_be_bytes();
    check(Codec::Snappy, &[framed(1, 1).as_slice(), &empty_block].concat(), &bytes);
}

#[test]
fn snappy_blocks_that_lie_about_their_size_are_refused() {
    let framing = b"\x82SNAPPY\x00\0\0\0\x01\0\0\0\x01";
    for block in [b"\0\0\0\x06\xff\xff\xff\xff\x0f\0".as_slice(), b"\xff\xff\xff\xff\0", b"\0\0\0\x09\x01\0a"]
    {
        check_undecodable(Codec::Snappy, &[framing.as_slice(), block].concat());
    }
    check_undecodable(Codec::Snappy, b"\xff\xff\xff\xff\x0f\0");
}

#[test]
fn gzip_members_follow_each_other() {
    let bytes = sample(1_000);
    let one = Compression::of(Codec::Gzip).compress(&bytes).unwrap();
    check(Codec::Gzip, &one.repeat(3), &bytes.repeat(3));
}

#[test]
fn zstd_frames_follow_each_other() {
    let bytes = sample(1_000);
    let one = Compression::of(Codec::Zstd).compress(&bytes).unwrap();
    check(Codec::Zstd, &one.repeat(3), &bytes.repeat(3));
}

#[test]
fn zstd_windows_over_128_mib_are_refused() {
    // Magic, a header with neither content size nor checksum, the window, then one stored block of a byte that ends it.
    let frame = |window_log: u8| {
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3], [0x09, 0, 0, b'x'].as_slice()].concat()
    };
    check(Codec::Zstd, &frame(27), b"x");
    check_undecodable(Codec::Zstd, &frame(28));
    check_undecodable(Codec::Zstd, &frame(31));
}

#[test]
fn lz4_frames_that_java_cannot_read_are_refused() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let bytes = sample(200_000);
    let frame = |info: FrameInfo| {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap()
    };
    let independent = FrameInfo::new().block_mode(BlockMode::Independent);
    for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
        check(Codec::Lz4, &frame(independent.clone().block_size(size)), &bytes);
    }
    let sums = independent.clone().block_checksums(true).content_checksum(true);
    check(Codec::Lz4, &frame(sums.content_size(Some(bytes.len() as u64))), &bytes);

    check_undecodable(Codec::Lz4, &frame(FrameInfo::new().block_mode(BlockMode::Linked)));
    let legacy = lz4_flex::block::compress(b"a legacy block has no frame header");
    let length = (legacy.len() as u32).to_le_bytes();
    check_undecodable(Codec::Lz4, &[&[0x02, 0x21, 0x4c, 0x18], length.as_slice(), &legacy].concat());
    let sound = frame(independent.clone());
    check_undecodable(Codec::Lz4, &sound.repeat(2));
    let mut broken = frame(independent.content_checksum(true));
    *broken.last_mut().unwrap() ^= 1;
    check_undecodable(Codec::Lz4, &broken);
}

#[test]
fn reader_that_is_dropped_half_way_leaves_nothing_to_the_next() {
    let bytes = sample(400_000);
    let input = Compression::of(Codec::Zstd).compress(&bytes).unwrap();
    for taken in [0, 1, 100_000, 131_072] {
        let mut first = Decompressor::new(Codec::Zstd, &input, 1 << 20).unwrap();
        while first.consumed_bytes() < taken {
            let count = first.chunk().unwrap().len().min(taken - first.consumed_bytes());
            first.consume(count);
        }
        // Two at a time on one thread, and then one that takes over what the first has left.
        check(Codec::Zstd, &input, &bytes);
        drop(first);
        check(Codec::Zstd, &input, &bytes);
        let mut abandoned = Compressor::new(Compression::of(Codec::Zstd), 1 << 20).unwrap();
        abandoned.write(&bytes[..taken]).unwrap();
        drop(abandoned);
        assert_eq!(Compression::of(Codec::Zstd).compress(&bytes).unwrap(), input);
    }
}
