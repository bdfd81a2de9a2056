//! Frames: the unit in which the metadata log and its snapshots reach the disk. `docs/formats.md` has the layout.
//!
//! A file begins with a header, and then frames follow, each with a CRC over its head and one over its body. One
//! write is one frame, and the next is not written before this one is safe. So at most the last frame of a log can
//! be torn; whatever is bad with a good frame behind it is damage. Pure.

use super::fields::{DecodeError, Decoder, Encoder};
use super::ids::MetadataOffset;
use super::record::MetadataRecord;
use super::record_codec::{decode_record, encode_record};

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// Transactions, from the index in the header.
    Log,
    /// An image as of the index in the header.
    Snapshot,
}

const MAGIC: [u8; 8] = *b"OTTLAMD\n";
const FORMAT_VERSION: u16 = 1;

/// How long a file's header is.
pub(super) const FILE_HEADER_LEN: usize = 24;

/// What every frame begins with. No text can hold it, since 0xf7 is in no UTF-8.
const MARKER: [u8; 4] = [0xf7, b'O', b'T', 0xf7];

const FRAME_HEADER_LEN: usize = 16;

/// The largest body. A request that creates 10,000 partitions takes far less than a tenth of it.
const BODY_LEN_MAX: usize = 64 << 20;

/// The header of a file whose first (log) or last (snapshot) transaction has `index`.
pub(super) fn file_header(kind: FileKind, index: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(FILE_HEADER_LEN);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
    header.extend_from_slice(&kind_number(kind).to_be_bytes());
    header.extend_from_slice(&index.to_be_bytes());
    let crc = crc32fast::hash(&header);
    header.extend_from_slice(&crc.to_be_bytes());
    header
}

fn kind_number(kind: FileKind) -> u16 {
    match kind {
        FileKind::Log => 1,
        FileKind::Snapshot => 2,
    }
}

/// What is wrong with a file or a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The file's header is incomplete, or its CRC does not match.
    #[error("the file's header is damaged")]
    FileHeader,
    /// The header is sound, but of a format that this program does not know.
    #[error(
        "the file has format {0}, which this version of ottla does not know: it was written by a newer one"
    )]
    NewerFormat(u16),
    /// The header says something else than the file's name.
    #[error("the file's header does not belong to its name")]
    WrongFile,
    /// The frame's head is incomplete, or its CRC does not match.
    #[error("the head of a frame is damaged")]
    Head,
    /// The body ends early.
    #[error("a frame ends early")]
    Truncated,
    /// The body's CRC does not match.
    #[error("a frame's CRC is {found:#010x} where {expected:#010x} was written")]
    Crc {
        /// As it was written.
        expected: u32,
        /// Of the bytes found.
        found: u32,
    },
    /// The bytes are what was written, but mean nothing.
    #[error("a frame holds {0}")]
    Content(#[from] DecodeError),
    /// The snapshot has no footer, or a footer that counts otherwise.
    #[error("the snapshot is incomplete")]
    Incomplete,
}

impl FrameError {
    /// Whether a newer program would understand what this one does not.
    pub(super) fn is_newer(&self) -> bool {
        match self {
            FrameError::NewerFormat(_) => true,
            FrameError::Content(error) => error.is_newer(),
            _ => false,
        }
    }
}

/// Checks a file's header, and that it is of this kind and index.
pub(super) fn check_file_header(bytes: &[u8], kind: FileKind, index: u64) -> Result<(), FrameError> {
    let header: &[u8; FILE_HEADER_LEN] = bytes.first_chunk().ok_or(FrameError::FileHeader)?;
    let (sealed, crc) = header.split_at(FILE_HEADER_LEN - 4);
    if !sealed.starts_with(&MAGIC) || crc32fast::hash(sealed).to_be_bytes() != crc {
        return Err(FrameError::FileHeader);
    }
    let version = u16::from_be_bytes([header[8], header[9]]);
    if version != FORMAT_VERSION {
        return Err(FrameError::NewerFormat(version));
    }
    if *header != *file_header(kind, index) { Err(FrameError::WrongFile) } else { Ok(()) }
}

/// A frame around `body`.
pub(super) fn frame(body: &[u8]) -> Vec<u8> {
    assert!(body.len() <= BODY_LEN_MAX, "a frame of {} bytes", body.len());
    let length = u32::try_from(body.len()).expect("a body is at most 64 MiB");
    let mut frame = Vec::with_capacity(FRAME_HEADER_LEN + body.len());
    frame.extend_from_slice(&MARKER);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(body).to_be_bytes());
    let head_crc = crc32fast::hash(&frame);
    frame.extend_from_slice(&head_crc.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

/// The body of the frame at `position`, and where the next begins. `None` at the end of the file.
pub(super) fn frame_at(bytes: &[u8], position: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let rest = bytes.get(position..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    let head: &[u8; FRAME_HEADER_LEN] = rest.first_chunk().ok_or(FrameError::Head)?;
    let (sealed, head_crc) = head.split_at(FRAME_HEADER_LEN - 4);
    if !sealed.starts_with(&MARKER) || crc32fast::hash(sealed).to_be_bytes() != head_crc {
        return Err(FrameError::Head);
    }
    let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
    let expected = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    let end = FRAME_HEADER_LEN + length;
    let body = rest.get(FRAME_HEADER_LEN..end).ok_or(FrameError::Truncated)?;
    let found = crc32fast::hash(body);
    if found != expected {
        return Err(FrameError::Crc { expected, found });
    }
    Ok(Some((body, position + end)))
}

/// Where the first sound frame behind `position` begins, if there is one. Then what is bad at `position` was not torn
/// by a crash.
pub(super) fn sound_frame_behind(bytes: &[u8], position: usize) -> Option<usize> {
    let from = position + 1;
    let starts = bytes.get(from..)?.windows(MARKER.len()).enumerate();
    starts
        .filter(|(_, window)| *window == MARKER)
        .map(|(place, _)| from + place)
        .find(|place| matches!(frame_at(bytes, *place), Ok(Some(_))))
}

/// The transactions of one write: what waited together is made safe together, and is there whole or not at all.
#[derive(Debug)]
pub(super) struct TransactionGroup {
    epoch: u64,
    count: u64,
    transactions: Vec<u8>,
}

impl TransactionGroup {
    pub(super) fn new(epoch: u64) -> TransactionGroup {
        TransactionGroup { epoch, count: 0, transactions: vec![] }
    }

    pub(super) fn push(&mut self, index: u64, records: &[MetadataRecord]) {
        let mut encoder = Encoder(std::mem::take(&mut self.transactions));
        encoder.number(index);
        encoder.number(records.len() as u64);
        self.transactions = encoder.0;
        for record in records {
            encode_record(record, &mut self.transactions);
        }
        self.count += 1;
    }

    /// Adds a transaction unless it takes more than `max` bytes, and says how many it takes.
    pub(super) fn push_at_most(&mut self, index: u64, records: &[MetadataRecord], max: usize) -> usize {
        let (count, before) = (self.count, self.transactions.len());
        self.push(index, records);
        let length = self.transactions.len() - before;
        if max < length {
            self.transactions.truncate(before);
            self.count = count;
        }
        length
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.transactions.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// As it goes to disk.
    pub(super) fn to_frame(&self) -> Vec<u8> {
        let mut body = Encoder::default();
        body.number(self.epoch);
        body.number(self.count);
        body.0.extend_from_slice(&self.transactions);
        frame(&body.0)
    }
}

/// Hands each transaction of a log frame's body to `take`, with its place.
pub(super) fn read_transactions<E: From<FrameError>>(
    body: &[u8],
    mut take: impl FnMut(MetadataOffset, &[MetadataRecord]) -> Result<(), E>,
) -> Result<(), E> {
    let content = |error: DecodeError| E::from(FrameError::Content(error));
    let mut decoder = Decoder(body);
    let epoch = decoder.number().map_err(content)?;
    let count = decoder.number().map_err(content)?;
    let mut records = Vec::new();
    for _ in 0..count {
        let index = decoder.number().map_err(content)?;
        let record_count = decoder.number().map_err(content)?;
        records.clear();
        for _ in 0..record_count {
            records.push(decode_record(&mut decoder.0).map_err(content)?);
        }
        take(MetadataOffset { epoch, index }, &records)?;
    }
    match decoder.0.len() {
        0 => Ok(()),
        left => Err(content(DecodeError::BytesLeft(left))),
    }
}

const SNAPSHOT_RECORDS: u64 = 1;
const SNAPSHOT_FOOTER: u64 = 2;

/// A frame of a snapshot with some of its records.
pub(super) fn snapshot_records_frame(records: &[MetadataRecord]) -> Vec<u8> {
    let mut body = Encoder::default();
    body.number(SNAPSHOT_RECORDS);
    body.number(records.len() as u64);
    for record in records {
        encode_record(record, &mut body.0);
    }
    frame(&body.0)
}

/// The last frame of a snapshot. Without it the snapshot is incomplete.
pub(super) fn snapshot_footer_frame(offset: MetadataOffset, record_count: u64) -> Vec<u8> {
    let mut body = Encoder::default();
    body.number(SNAPSHOT_FOOTER);
    body.number(offset.epoch);
    body.number(offset.index);
    body.number(record_count);
    frame(&body.0)
}

/// Hands each record of a snapshot file to `take` and answers the offset it was taken at. An error may come after
/// some records were taken.
pub(super) fn read_snapshot<E: From<FrameError>>(
    bytes: &[u8],
    index: u64,
    mut take: impl FnMut(MetadataRecord) -> Result<(), E>,
) -> Result<MetadataOffset, E> {
    let content = |error: DecodeError| E::from(FrameError::Content(error));
    check_file_header(bytes, FileKind::Snapshot, index)?;
    let mut position = FILE_HEADER_LEN;
    let mut taken = 0u64;
    while let Some((body, next)) = frame_at(bytes, position)? {
        position = next;
        let mut decoder = Decoder(body);
        match decoder.number().map_err(content)? {
            SNAPSHOT_RECORDS => {
                let count = decoder.number().map_err(content)?;
                for _ in 0..count {
                    take(decode_record(&mut decoder.0).map_err(content)?)?;
                    taken += 1;
                }
            }
            SNAPSHOT_FOOTER => {
                let epoch = decoder.number().map_err(content)?;
                let offset = MetadataOffset { epoch, index: decoder.number().map_err(content)? };
                let count = decoder.number().map_err(content)?;
                let whole = count == taken && offset.index == index && position == bytes.len();
                return if whole { Ok(offset) } else { Err(E::from(FrameError::Incomplete)) };
            }
            kind => return Err(content(DecodeError::UnknownKind(kind))),
        }
    }
    Err(E::from(FrameError::Incomplete))
}
