//! The four codecs. Decompression streams under a byte budget, and compression under a byte limit.
//!
//! A few compressed bytes may stand for very many, and may claim any number. Therefore nothing is allocated because a
//! stream claims a size: what comes out is handed on in chunks of at most a few hundred KiB (snappy: one block,
//! at most 22 times the bytes it was made from), and the budget ends the stream however it goes on.

mod lz4;
mod snappy;
mod zstd;

use std::io::{self, BufRead, BufReader, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::attributes::Codec;

/// How many bytes gzip hands on at a time.
const GZIP_CHUNK_BYTES: usize = 32 * 1024;

/// Why compressed bytes did not become records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The bytes are not what the codec writes, or they are cut short.
    #[error("not a {codec} stream: {reason}")]
    Undecodable {
        /// The codec that the batch names.
        codec: Codec,
        /// What its decoder said.
        reason: String,
    },
    /// More bytes came out than may.
    #[error("more than {budget_bytes} bytes come out of the {codec} stream")]
    OverBudget {
        /// The codec that the batch names.
        codec: Codec,
        /// How many bytes may come out.
        budget_bytes: usize,
    },
}

impl DecompressError {
    fn undecodable(codec: Codec, reason: impl ToString) -> DecompressError {
        DecompressError::Undecodable { codec, reason: reason.to_string() }
    }
}

/// A compressed stream, decompressed a chunk at a time.
pub struct Decompressor<'a> {
    codec: Codec,
    stream: Stream<'a>,
    budget_bytes: usize,
    left_bytes: usize,
}

enum Stream<'a> {
    None(&'a [u8]),
    Gzip(BufReader<MultiGzDecoder<&'a [u8]>>),
    Snappy(snappy::Reader<'a>),
    Lz4(lz4_flex::frame::FrameDecoder<&'a [u8]>),
    Zstd(zstd::Reader<'a>),
}

impl<'a> Decompressor<'a> {
    /// Begins to decompress `input`, of which at most `budget_bytes` may come out.
    pub fn new(
        codec: Codec,
        input: &'a [u8],
        budget_bytes: usize,
    ) -> Result<Decompressor<'a>, DecompressError> {
        let undecodable = |error: io::Error| DecompressError::undecodable(codec, error);
        if input.is_empty() && codec != Codec::None {
            return Err(DecompressError::undecodable(codec, "no bytes"));
        }
        let stream = match codec {
            Codec::None => Stream::None(input),
            Codec::Gzip => {
                Stream::Gzip(BufReader::with_capacity(GZIP_CHUNK_BYTES, MultiGzDecoder::new(input)))
            }
            Codec::Snappy => Stream::Snappy(snappy::Reader::new(input).map_err(undecodable)?),
            Codec::Lz4 => {
                lz4::check_frame(input).map_err(undecodable)?;
                Stream::Lz4(lz4_flex::frame::FrameDecoder::new(input))
            }
            Codec::Zstd => Stream::Zstd(zstd::Reader::new(input).map_err(undecodable)?),
        };
        Ok(Decompressor { codec, stream, budget_bytes, left_bytes: budget_bytes })
    }

    /// What has come out and was not consumed yet; empty at the end of the stream.
    pub fn chunk(&mut self) -> Result<&[u8], DecompressError> {
        let Decompressor { codec, budget_bytes, left_bytes, .. } = *self;
        let chunk = match &mut self.stream {
            Stream::None(rest) => Ok(*rest),
            Stream::Gzip(reader) => reader.fill_buf(),
            Stream::Snappy(reader) => reader.chunk(),
            Stream::Lz4(reader) => reader.fill_buf(),
            Stream::Zstd(reader) => reader.chunk(),
        };
        let chunk = chunk.map_err(|error| DecompressError::undecodable(codec, error))?;
        if left_bytes == 0 && !chunk.is_empty() {
            return Err(DecompressError::OverBudget { codec, budget_bytes });
        }
        Ok(chunk.get(..left_bytes).unwrap_or(chunk))
    }

    /// Drops `count` bytes off the front of the chunk, which has at least as many.
    pub fn consume(&mut self, count: usize) {
        self.left_bytes = self.left_bytes.saturating_sub(count);
        match &mut self.stream {
            Stream::None(rest) => *rest = rest.get(count..).unwrap_or_default(),
            Stream::Gzip(reader) => reader.consume(count),
            Stream::Snappy(reader) => reader.consume(count),
            Stream::Lz4(reader) => reader.consume(count),
            Stream::Zstd(reader) => reader.consume(count),
        }
    }

    /// How many bytes were consumed.
    pub fn consumed_bytes(&self) -> usize {
        self.budget_bytes - self.left_bytes
    }

    /// Everything that is left.
    pub fn read_to_end(&mut self) -> Result<Vec<u8>, DecompressError> {
        let mut bytes = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(bytes);
            }
            bytes.extend_from_slice(chunk);
            let count = chunk.len();
            self.consume(count);
        }
    }
}

impl std::fmt::Debug for Decompressor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Decompressor { codec, budget_bytes, left_bytes, .. } = self;
        write!(f, "Decompressor({codec}, {left_bytes} of {budget_bytes} bytes left)")
    }
}

/// A codec and how hard it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    codec: Codec,
    level: i32,
}

/// A level that the codec does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{codec} has no compression level {found}")]
pub struct UnknownLevel {
    /// The codec.
    pub codec: Codec,
    /// The level that was asked for.
    pub found: i32,
}

impl Compression {
    /// Records stored as they are.
    pub const NONE: Compression = Compression { codec: Codec::None, level: 0 };

    /// The codec at the level that Kafka takes when none is configured.
    pub fn of(codec: Codec) -> Compression {
        let level = match codec {
            Codec::None | Codec::Snappy => 0,
            Codec::Gzip => -1,
            Codec::Lz4 => 9,
            Codec::Zstd => 3,
        };
        Compression { codec, level }
    }

    /// The codec at a level of `compression.gzip.level` (−1, 1 to 9), `compression.lz4.level` (1 to 17; they all come
    /// out the same, because our encoder has one) or `compression.zstd.level` (−131072 to 22). The others have none.
    pub fn with_level(codec: Codec, level: i32) -> Result<Compression, UnknownLevel> {
        let known = match codec {
            Codec::None | Codec::Snappy => false,
            Codec::Gzip => level == -1 || (1..=9).contains(&level),
            Codec::Lz4 => (1..=17).contains(&level),
            Codec::Zstd => (-131_072..=22).contains(&level),
        };
        if known { Ok(Compression { codec, level }) } else { Err(UnknownLevel { codec, found: level }) }
    }

    /// The codec.
    pub fn codec(self) -> Codec {
        self.codec
    }

    /// All of `input`, compressed.
    pub fn compress(self, input: &[u8]) -> Result<Vec<u8>, CompressError> {
        let mut compressor = Compressor::new(self, usize::MAX)?;
        compressor.write(input)?;
        compressor.finish()
    }
}

/// Why bytes were not compressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressError {
    /// More bytes came out than may.
    #[error("more than {limit_bytes} bytes come out of {codec}")]
    OverLimit {
        /// The codec.
        codec: Codec,
        /// How many bytes may come out.
        limit_bytes: usize,
    },
    /// The encoder gave up, which it does only without memory.
    #[error("{codec}: {reason}")]
    Failed {
        /// The codec.
        codec: Codec,
        /// What its encoder said.
        reason: String,
    },
}

/// A stream being compressed into memory.
pub struct Compressor {
    codec: Codec,
    sink: Sink,
}

enum Sink {
    None(Limited),
    Gzip(Box<GzEncoder<Limited>>),
    Snappy(Box<snappy::Writer>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<Limited>>),
    Zstd(zstd::Writer),
}

impl Compressor {
    /// Begins a stream of which at most `limit_bytes` may come out.
    pub fn new(compression: Compression, limit_bytes: usize) -> Result<Compressor, CompressError> {
        let Compression { codec, level } = compression;
        let out = Limited { bytes: Vec::new(), limit_bytes };
        let sink = match codec {
            Codec::None => Sink::None(out),
            Codec::Gzip => {
                let level = u32::try_from(level)
                    .map_or_else(|_| flate2::Compression::default(), flate2::Compression::new);
                Sink::Gzip(Box::new(GzEncoder::new(out, level)))
            }
            Codec::Snappy => {
                Sink::Snappy(Box::new(snappy::Writer::new(out).map_err(|error| error_of(codec, error))?))
            }
            Codec::Lz4 => Sink::Lz4(Box::new(lz4::encoder(out))),
            Codec::Zstd => Sink::Zstd(zstd::Writer::new(out, level).map_err(|error| error_of(codec, error))?),
        };
        Ok(Compressor { codec, sink })
    }

    /// Takes in the next piece.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), CompressError> {
        let written = match &mut self.sink {
            Sink::None(sink) => sink.write_all(piece),
            Sink::Gzip(sink) => sink.write_all(piece),
            Sink::Snappy(sink) => sink.write(piece),
            Sink::Lz4(sink) => sink.write_all(piece),
            Sink::Zstd(sink) => sink.write(piece),
        };
        written.map_err(|error| error_of(self.codec, error))
    }

    /// Ends the stream: everything that came out.
    pub fn finish(self) -> Result<Vec<u8>, CompressError> {
        let finished = match self.sink {
            Sink::None(sink) => Ok(sink),
            Sink::Gzip(sink) => sink.finish(),
            Sink::Snappy(sink) => sink.finish(),
            Sink::Lz4(sink) => sink.finish().map_err(io::Error::from),
            Sink::Zstd(sink) => sink.finish(),
        };
        finished.map(|sink| sink.bytes).map_err(|error| error_of(self.codec, error))
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Compressor({})", self.codec)
    }
}

fn error_of(codec: Codec, error: io::Error) -> CompressError {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<LimitReached>()) {
        Some(LimitReached { limit_bytes }) => CompressError::OverLimit { codec, limit_bytes: *limit_bytes },
        None => CompressError::Failed { codec, reason: error.to_string() },
    }
}

/// Memory that takes so many bytes and no more.
#[derive(Debug)]
struct Limited {
    bytes: Vec<u8>,
    limit_bytes: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("more than {limit_bytes} bytes")]
struct LimitReached {
    limit_bytes: usize,
}

impl Write for Limited {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.limit_bytes - self.bytes.len() < piece.len() {
            return Err(io::Error::other(LimitReached { limit_bytes: self.limit_bytes }));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
