//! LZ4 frames as every Kafka client can read them: one frame of independent blocks, with its end mark.
//!
//! The decoder that does the work is more generous (linked blocks, legacy frames, frames without an end), and what it
//! lets through would stay in a log that Java consumers cannot read. So a frame's outline is checked before.

use std::io;

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use super::Limited;

const FRAME_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const VERSION_MASK: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const INDEPENDENT_BLOCKS: u8 = 1 << 5;
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const DICTIONARY: u8 = 1 << 0;
const STORED_BLOCK: u32 = 1 << 31;

/// Whether `input` is exactly one frame that ends; the contents of its blocks are not looked at.
pub(super) fn check_frame(input: &[u8]) -> io::Result<()> {
    let mut rest = input;
    if take(&mut rest, 4)? != FRAME_MAGIC {
        return Err(invalid("no frame magic"));
    }
    let flags = *take(&mut rest, 1)?.first().ok_or_else(cut_short)?;
    if flags & VERSION_MASK != VERSION {
        return Err(invalid("an unknown frame version"));
    }
    if flags & INDEPENDENT_BLOCKS == 0 {
        return Err(invalid("its blocks depend on each other"));
    }
    if flags & DICTIONARY != 0 {
        return Err(invalid("it wants a dictionary"));
    }
    // Block size, then perhaps the content's size, then the header's checksum: the decoder judges them.
    take(&mut rest, 1 + if flags & CONTENT_SIZE != 0 { 8 } else { 0 } + 1)?;
    let checksum = |flag: u8| if flags & flag != 0 { 4 } else { 0 };
    loop {
        let size = u32::from_le_bytes(*take(&mut rest, 4)?.first_chunk().ok_or_else(cut_short)?);
        if size == 0 {
            break;
        }
        if size == STORED_BLOCK {
            // The decoder takes a block of nothing for the end.
            return Err(invalid("an empty block"));
        }
        take(&mut rest, (size & !STORED_BLOCK) as usize)?;
        take(&mut rest, checksum(BLOCK_CHECKSUMS))?;
    }
    take(&mut rest, checksum(CONTENT_CHECKSUM))?;
    if rest.is_empty() { Ok(()) } else { Err(invalid("bytes follow the frame")) }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> io::Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count).ok_or_else(cut_short)?;
    *rest = left;
    Ok(taken)
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "cut short")
}

/// Writes the frames that Kafka's Java client writes: independent blocks of 64 KiB, no checksums of contents.
pub(super) fn encoder(out: Limited) -> FrameEncoder<Limited> {
    let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    FrameEncoder::with_frame_info(info, out)
}
