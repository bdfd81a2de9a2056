//! Fields as bytes: what records and frames are made of.
//!
//! The bytes come from a disk and are not trusted: no length is believed before it is bounded by the bytes left.

use ottla_protocol::types::BrokerId;

use super::ids::DirectoryId;

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("the bytes end inside a field")]
    Truncated,
    /// A number has more than its bits.
    #[error("a number is too large")]
    NumberTooLarge,
    /// Text is not UTF-8.
    #[error("text is not UTF-8")]
    NotText,
    /// A value that its field can't have.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
    /// Bytes are left after a record's fields.
    #[error("{0} bytes are left after the fields")]
    BytesLeft(usize),
    /// A kind of record that this program does not know.
    #[error("a record of kind {0}, which this version does not know: it was written by a newer version")]
    UnknownKind(u64),
    /// A version of a record that this program does not know.
    #[error(
        "a record of kind {kind} in version {version}, which this version does not know: it was written by a newer version"
    )]
    UnknownVersion {
        /// The kind.
        kind: u64,
        /// The version.
        version: u64,
    },
}

impl DecodeError {
    /// Whether a newer program would understand what this one does not.
    pub(super) fn is_newer(&self) -> bool {
        matches!(self, DecodeError::UnknownKind(_) | DecodeError::UnknownVersion { .. })
    }
}

/// Writes fields. Numbers take 7 bits a byte, the lowest first; signed ones are folded so that small negative
/// numbers stay short.
#[derive(Debug, Default)]
pub(super) struct Encoder(pub(super) Vec<u8>);

impl Encoder {
    pub(super) fn number(&mut self, mut number: u64) {
        while 0x7f < number {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(super) fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn id(&mut self, id: [u8; 16]) {
        self.0.extend_from_slice(&id);
    }

    pub(super) fn leader(&mut self, leader: Option<BrokerId>) {
        self.signed(leader.map_or(-1, |leader| i64::from(leader.0)));
    }

    pub(super) fn brokers(&mut self, brokers: &[BrokerId]) {
        self.number(brokers.len() as u64);
        for broker in brokers {
            self.signed(i64::from(broker.0));
        }
    }

    pub(super) fn directories(&mut self, directories: &[DirectoryId]) {
        self.number(directories.len() as u64);
        for directory in directories {
            self.id(directory.0);
        }
    }

    pub(super) fn optional_fields(&mut self, fields: &[(u64, Option<Vec<u8>>)]) {
        let present = fields.iter().filter_map(|(tag, field)| field.as_ref().map(|field| (tag, field)));
        self.number(present.clone().count() as u64);
        for (tag, field) in present {
            self.number(*tag);
            self.bytes(field);
        }
    }
}

/// Reads what [`Encoder`] writes.
#[derive(Debug)]
pub(super) struct Decoder<'a>(pub(super) &'a [u8]);

impl<'a> Decoder<'a> {
    pub(super) fn number(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.0.split_first().ok_or(DecodeError::Truncated)?;
            self.0 = rest;
            let bits = u64::from(first & 0x7f);
            if (bits << shift) >> shift != bits {
                return Err(DecodeError::NumberTooLarge);
            }
            number |= bits << shift;
            if first & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::NumberTooLarge)
    }

    pub(super) fn signed(&mut self) -> Result<i64, DecodeError> {
        self.number().map(|folded| (folded >> 1).cast_signed() ^ -((folded & 1).cast_signed()))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(self.number()?).map_err(|_| DecodeError::NumberTooLarge)?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<String, DecodeError> {
        text_of(self.bytes()?)
    }

    pub(super) fn id(&mut self) -> Result<[u8; 16], DecodeError> {
        let (id, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*id)
    }

    /// A number that counts up from 0.
    pub(super) fn epoch(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        let number = i32::try_from(self.signed()?).map_err(|_| DecodeError::OutOfRange(what))?;
        if number < 0 { Err(DecodeError::OutOfRange(what)) } else { Ok(number) }
    }

    pub(super) fn broker(&mut self) -> Result<BrokerId, DecodeError> {
        self.epoch("a broker's id").map(BrokerId)
    }

    pub(super) fn leader(&mut self) -> Result<Option<BrokerId>, DecodeError> {
        match self.signed()? {
            -1 => Ok(None),
            id => i32::try_from(id)
                .ok()
                .filter(|id| 0 <= *id)
                .map(|id| Some(BrokerId(id)))
                .ok_or(DecodeError::OutOfRange("a leader's id")),
        }
    }

    /// A list whose elements take at least one byte each, so that the bytes left bound their number.
    pub(super) fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = usize::try_from(self.number()?).map_err(|_| DecodeError::NumberTooLarge)?;
        if self.0.len() < count {
            return Err(DecodeError::Truncated);
        }
        (0..count).map(|_| element(self)).collect()
    }

    pub(super) fn brokers(&mut self) -> Result<Vec<BrokerId>, DecodeError> {
        self.list(Decoder::broker)
    }

    pub(super) fn directories(&mut self) -> Result<Vec<DirectoryId>, DecodeError> {
        self.list(|body| body.id().map(DirectoryId))
    }

    pub(super) fn optional_fields(
        &mut self,
        mut take: impl FnMut(u64, &mut Decoder<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.number()?;
        for _ in 0..count {
            let tag = self.number()?;
            take(tag, &mut Decoder(self.bytes()?))?;
        }
        Ok(())
    }
}

pub(super) fn text_of(bytes: &[u8]) -> Result<String, DecodeError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::NotText)
}
