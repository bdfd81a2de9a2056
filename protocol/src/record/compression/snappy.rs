//! Snappy in its two shapes: one bare block (librdkafka, Go clients), and the framing of xerial's Java library (Java,
//! Python). Both come in from producers, and consumers read both; we write the framing, as Kafka's broker does.
//!
//! The framing: `82 'SNAPPY' 00`, a version and a compatible version (i32 each; whatever they say, since writers do not
//! agree), then blocks with an i32 length in front. Streams may follow each other, each with its header.

use std::io::{self, Write};

use super::Limited;

const FRAMING_MAGIC: [u8; 8] = *b"\x82SNAPPY\x00";
const VERSIONS_BYTES: usize = 8;

/// What the Java library packs into a block.
const BLOCK_BYTES: usize = 32 * 1024;

/// The most that a block's bytes can stand for: a copy of 64 bytes takes three.
const EXPANSION_MAX: usize = 22;

/// Decompresses block by block.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    taken: usize,
    filled: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> io::Result<Reader<'a>> {
        let mut reader = Reader { rest: input, framed: false, block: Vec::new(), taken: 0, filled: 0 };
        if input.starts_with(&FRAMING_MAGIC) {
            reader.framed = true;
            reader.skip_framing_header()?;
        }
        Ok(reader)
    }

    pub(super) fn chunk(&mut self) -> io::Result<&[u8]> {
        while self.taken == self.filled && !self.rest.is_empty() {
            let block = self.next_block()?;
            if block.is_empty() {
                continue;
            }
            let size = snap::raw::decompress_len(block)?;
            if size > block.len().saturating_mul(EXPANSION_MAX) {
                return Err(invalid("a block claims more than its bytes can stand for"));
            }
            if self.block.len() < size {
                self.block.resize(size, 0);
            }
            self.filled = snap::raw::Decoder::new().decompress(block, &mut self.block)?;
            self.taken = 0;
        }
        Ok(self.block.get(self.taken..self.filled).unwrap_or_default())
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count).min(self.filled);
    }

    fn next_block(&mut self) -> io::Result<&'a [u8]> {
        if !self.framed {
            return Ok(std::mem::take(&mut self.rest));
        }
        while self.rest.starts_with(&FRAMING_MAGIC) {
            self.skip_framing_header()?;
            if self.rest.is_empty() {
                return Ok(&[]);
            }
        }
        let length = i32::from_be_bytes(*self.rest.first_chunk().ok_or_else(cut_short)?);
        let length = usize::try_from(length).map_err(|_| invalid("a block's length is negative"))?;
        self.take(4)?;
        self.take(length)
    }

    fn skip_framing_header(&mut self) -> io::Result<()> {
        self.take(FRAMING_MAGIC.len() + VERSIONS_BYTES).map(|_| ())
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "cut short")
}

/// Compresses into the framing.
pub(super) struct Writer {
    out: Limited,
    pending: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl Writer {
    pub(super) fn new(mut out: Limited) -> io::Result<Writer> {
        out.write_all(&FRAMING_MAGIC)?;
        out.write_all(&1i32.to_be_bytes())?;
        out.write_all(&1i32.to_be_bytes())?;
        Ok(Writer { out, pending: Vec::with_capacity(BLOCK_BYTES), encoder: snap::raw::Encoder::new() })
    }

    pub(super) fn write(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while !piece.is_empty() {
            let room = BLOCK_BYTES - self.pending.len();
            let (now, later) = piece.split_at(room.min(piece.len()));
            self.pending.extend_from_slice(now);
            piece = later;
            if self.pending.len() == BLOCK_BYTES {
                self.write_block()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Limited> {
        if !self.pending.is_empty() {
            self.write_block()?;
        }
        Ok(self.out)
    }

    fn write_block(&mut self) -> io::Result<()> {
        let block = self.encoder.compress_vec(&self.pending)?;
        let length = i32::try_from(block.len()).expect("a block of 32 KiB stays far below 2 GiB");
        self.pending.clear();
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&block)
    }
}
