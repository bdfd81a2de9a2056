//! Frames of our own small files: bytes that say themselves whether they are whole.
//!
//! A file begins with 8 bytes that name its kind and version. Frames follow, each: length of the payload (u32), CRC
//! (u32, CRC-32 as of IEEE 802.3, over the length's four bytes and the payload), payload. All big-endian. A
//! frame that is cut off, or whose CRC doesn't hold, ends the file: what follows is a write that was torn, or damage, and
//! without the lengths there is no telling where the next frame begins. Zeros are no frame.

/// The size of what stands before a payload.
pub(super) const FRAME_OVERHEAD_BYTES: usize = 8;

/// The name and version at a file's beginning.
pub(super) type Magic = [u8; 8];

/// Adds a frame. The payload is shorter than 4 GiB.
pub(super) fn append_frame(into: &mut Vec<u8>, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("whoever writes frames keeps them small").to_be_bytes();
    into.extend_from_slice(&length);
    into.extend_from_slice(&crc_of(&length, payload).to_be_bytes());
    into.extend_from_slice(payload);
}

/// Reads the frames of a file, one after another, up to the first that isn't whole.
pub(super) struct Frames<'a> {
    rest: &'a [u8],
    valid_bytes: usize,
}

impl<'a> Frames<'a> {
    /// The frames behind the magic; `None` if the file begins otherwise.
    pub(super) fn of_file(bytes: &'a [u8], magic: &Magic) -> Option<Frames<'a>> {
        bytes.strip_prefix(magic).map(|rest| Frames { rest, valid_bytes: magic.len() })
    }

    /// How many bytes of the file are the magic and whole frames that were read so far.
    pub(super) fn valid_bytes(&self) -> usize {
        self.valid_bytes
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let (payload, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        if u32::from_be_bytes(*crc) != crc_of(length, payload) {
            return None;
        }
        self.rest = rest;
        self.valid_bytes += FRAME_OVERHEAD_BYTES + payload.len();
        Some(payload)
    }
}

fn crc_of(length: &[u8; 4], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(length);
    crc.update(payload);
    crc.finalize()
}

/// Reads fixed-size fields off the front of a payload.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
