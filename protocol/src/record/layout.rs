//! How a record is laid out, in one place: whoever reads records, fully or only to check them, goes through [`record`].
//!
//! | field           | type   |                                              |
//! |-----------------|--------|----------------------------------------------|
//! | length          | varint | of everything after it                       |
//! | attributes      | i8     | unused; kept as it is                        |
//! | timestamp delta | varlong| from the batch's base timestamp              |
//! | offset delta    | varint | from the batch's base offset                 |
//! | key             | varint length, bytes | a negative length is null      |
//! | value           | varint length, bytes | a negative length is null      |
//! | header count    | varint |                                              |
//! | headers         | key (never null) and value, as above | keys may repeat|

use std::ops::Range;

use super::varint::{VARINT_BYTES_MAX, VARLONG_BYTES_MAX, unzigzag};

/// Where a record's bytes come from: a slice, or a decompressor that never has all of them.
pub(super) trait Source {
    /// What can go wrong beside the bytes being wrong.
    type Failure: Into<Problem>;

    /// How many bytes were taken.
    fn position(&self) -> usize;

    /// Takes one byte.
    fn byte(&mut self) -> Result<u8, Self::Failure>;

    /// Takes `count` bytes and looks at none.
    fn skip(&mut self, count: usize) -> Result<(), Self::Failure>;

    /// Takes a number of seven bits a byte, of so many bytes at most.
    #[inline]
    fn bits(&mut self, bytes_max: u32) -> Result<u64, Problem>
    where
        Self: Sized,
    {
        bits(self, bytes_max)
    }

    /// Whether there is no further byte.
    fn is_at_end(&mut self) -> Result<bool, Self::Failure>;

    /// Takes one record; the visitor may see its fields twice, the second time rightly.
    #[inline]
    fn record(&mut self, visitor: &mut impl Visitor) -> Result<Deltas, Problem>
    where
        Self: Sized,
    {
        record(self, visitor)
    }
}

/// Why a record could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    Fault(RecordFault),
    Decompress(super::compression::DecompressError),
}

/// What is wrong with a record's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The batch's bytes end within the record, or before it.
    #[error("the batch ends within it")]
    Ended,
    /// A number that goes on for more bytes than its type has.
    #[error("a number has more bytes than its type allows")]
    LongNumber,
    /// A negative length.
    #[error("its length is {found}")]
    Length {
        /// The length it claims.
        found: i32,
    },
    /// Its fields take another number of bytes than its length says.
    #[error("its fields end {found} bytes after its length, expected {expected}")]
    Overrun {
        /// The length it claims.
        expected: usize,
        /// The bytes that its fields take.
        found: usize,
    },
    /// More headers than there are bytes, or fewer than none.
    #[error("its header count is {found}")]
    HeaderCount {
        /// The count it claims.
        found: i32,
    },
    /// A header without a key.
    #[error("header {header} has no key")]
    NullHeaderKey {
        /// The header's place, from 0.
        header: i32,
    },
}

impl From<RecordFault> for Problem {
    fn from(fault: RecordFault) -> Problem {
        Problem::Fault(fault)
    }
}

/// Takes down what a reader wants to keep of a record, as ranges of its source.
pub(super) trait Visitor {
    fn key(&mut self, _: Option<Range<usize>>) {}
    fn value(&mut self, _: Option<Range<usize>>) {}
    /// Its headers begin here, and are so many; not said of a record without headers.
    fn headers_at(&mut self, _position: usize, _count: i32) {}
    fn header(&mut self, _key: Range<usize>, _value: Option<Range<usize>>) {}
}

/// What every reader of a record wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deltas {
    pub(super) timestamp: i64,
    pub(super) offset: i32,
}

/// Reads one record off the front of `source`.
#[inline]
pub(super) fn record<S: Source>(source: &mut S, visitor: &mut impl Visitor) -> Result<Deltas, Problem> {
    let length = varint(source)?;
    let start = source.position();
    let expected = usize::try_from(length).map_err(|_| RecordFault::Length { found: length })?;
    source.byte().map_err(Into::into)?; // The attributes: no bit means anything.
    let timestamp = varlong(source)?;
    let offset = varint(source)?;
    visitor.key(nullable(source)?);
    visitor.value(nullable(source)?);
    let header_count = varint(source)?;
    if header_count != 0 {
        headers(source, visitor, header_count, start.saturating_add(expected))?;
    }
    let found = source.position() - start;
    if found != expected {
        return Err(RecordFault::Overrun { expected, found }.into());
    }
    Ok(Deltas { timestamp, offset })
}

fn headers<S: Source>(
    source: &mut S,
    visitor: &mut impl Visitor,
    count: i32,
    end: usize,
) -> Result<(), Problem> {
    // Two lengths are the least that a header takes, which bounds the count by the bytes of the record.
    let count_max = end.saturating_sub(source.position()) / 2;
    if !usize::try_from(count).is_ok_and(|count| count <= count_max) {
        return Err(RecordFault::HeaderCount { found: count }.into());
    }
    visitor.headers_at(source.position(), count);
    for header in 0..count {
        let (key, value) = self::header(source, header)?;
        visitor.header(key, value);
    }
    Ok(())
}

/// Reads one header, which is the record's `index`th.
#[inline]
pub(super) fn header<S: Source>(
    source: &mut S,
    index: i32,
) -> Result<(Range<usize>, Option<Range<usize>>), Problem> {
    let key = nullable(source)?.ok_or(RecordFault::NullHeaderKey { header: index })?;
    Ok((key, nullable(source)?))
}

#[inline]
fn nullable<S: Source>(source: &mut S) -> Result<Option<Range<usize>>, Problem> {
    let Ok(length) = usize::try_from(varint(source)?) else { return Ok(None) };
    let start = source.position();
    source.skip(length).map_err(Into::into)?;
    Ok(Some(start..start + length))
}

#[inline]
pub(super) fn varint<S: Source>(source: &mut S) -> Result<i32, Problem> {
    // Bits beyond the 32nd are dropped before the sign is looked at, as Kafka's own reader does.
    Ok(unzigzag(u64::from(source.bits(VARINT_BYTES_MAX)? as u32)) as i32)
}

#[inline]
pub(super) fn varlong<S: Source>(source: &mut S) -> Result<i64, Problem> {
    Ok(unzigzag(source.bits(VARLONG_BYTES_MAX)?))
}

#[inline]
fn bits<S: Source>(source: &mut S, bytes_max: u32) -> Result<u64, Problem> {
    let mut bits = 0;
    for place in 0..bytes_max {
        let byte = source.byte().map_err(Into::into)?;
        bits |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Ok(bits);
        }
    }
    Err(RecordFault::LongNumber.into())
}

/// Records in a slice.
#[derive(Debug)]
pub(super) struct SliceSource<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> SliceSource<'a> {
    /// The bytes of `slice` from `position` on; positions are told from the slice's start.
    pub(super) fn at(slice: &'a [u8], position: usize) -> SliceSource<'a> {
        SliceSource { rest: slice.get(position..).unwrap_or_default(), length: slice.len() }
    }
}

/// The slice is at its end.
#[derive(Debug)]
pub(super) struct Ended;

impl From<Ended> for Problem {
    fn from(_: Ended) -> Problem {
        Problem::Fault(RecordFault::Ended)
    }
}

impl Source for SliceSource<'_> {
    type Failure = Ended;

    #[inline]
    fn position(&self) -> usize {
        self.length - self.rest.len()
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Ended> {
        let (byte, rest) = self.rest.split_first().ok_or(Ended)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// Nearly every number of a record has one byte or two, and every produced record is read here.
    #[inline]
    fn bits(&mut self, bytes_max: u32) -> Result<u64, Problem> {
        match self.rest {
            [only, rest @ ..] if *only < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*only))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => bits(self, bytes_max),
        }
    }

    #[inline]
    fn skip(&mut self, count: usize) -> Result<(), Ended> {
        self.rest = self.rest.get(count..).ok_or(Ended)?;
        Ok(())
    }

    #[inline]
    fn is_at_end(&mut self) -> Result<bool, Ended> {
        Ok(self.rest.is_empty())
    }
}
