//! Values for messages, made from bytes that stand for choices: fewer and smaller bytes give simpler values, so a
//! shrunk list of bytes is a shrunk message.

use bytes::Bytes;

use crate::types::TopicId;
use crate::wire::{Field, PIECE_BYTES_MIN, Records, Str, Version};

/// A source of choices. When the bytes are used up every further choice is the simplest one.
pub(crate) struct Choices {
    bytes: std::vec::IntoIter<u8>,
    afterwards: u8,
}

impl Choices {
    pub(crate) fn new(bytes: Vec<u8>) -> Choices {
        Choices { bytes: bytes.into_iter(), afterwards: 0 }
    }

    /// Choices that fill every field, with one element in each array.
    pub(crate) fn that_fill_everything() -> Choices {
        Choices { bytes: Vec::new().into_iter(), afterwards: 1 }
    }

    fn next(&mut self) -> u8 {
        self.bytes.next().unwrap_or(self.afterwards)
    }

    fn take<const SIZE: usize>(&mut self) -> [u8; SIZE] {
        std::array::from_fn(|_| self.next())
    }
}

/// A type whose values can be made from choices.
pub(crate) trait Generate: Field {
    /// A value that encoding and decoding at `version` give back.
    fn generate(choices: &mut Choices, version: Version) -> Self;

    /// The same where the field cannot be null yet.
    fn generate_required(choices: &mut Choices, version: Version) -> Self {
        Self::generate(choices, version)
    }
}

impl Generate for bool {
    fn generate(choices: &mut Choices, _: Version) -> bool {
        choices.next() % 2 == 1
    }
}

macro_rules! generate_number {
    ($($type:ident)*) => { $(
        impl Generate for $type {
            fn generate(choices: &mut Choices, _: Version) -> $type {
                match choices.next() {
                    0 => 0,
                    255 => -1,
                    254 => $type::MIN,
                    253 => $type::MAX,
                    _ => $type::from_be_bytes(choices.take()),
                }
            }
        }
    )* };
}

generate_number! { i8 i16 i32 i64 }

impl Generate for TopicId {
    fn generate(choices: &mut Choices, _: Version) -> TopicId {
        TopicId(choices.take())
    }
}

impl Generate for Str {
    fn generate(choices: &mut Choices, _: Version) -> Str {
        // Lengths on both sides of where a compact one takes a second byte.
        let length = match choices.next() {
            255 => 126 + usize::from(choices.next() % 4),
            short => usize::from(short % 8),
        };
        let letters =
            (0..length).map(|_| ['a', 'b', 'z', '.', 'ß', '€', '😀', '\0'][choices.next() as usize % 8]);
        Str::from(letters.collect::<String>())
    }
}

fn generate_bytes(choices: &mut Choices) -> Bytes {
    let length = match choices.next() {
        // Lengths on both sides of where a piece of its own begins.
        250.. => PIECE_BYTES_MIN - 2 + usize::from(choices.next() % 4),
        short => usize::from(short),
    };
    Bytes::from(vec![choices.next(); length])
}

impl Generate for Option<Bytes> {
    fn generate(choices: &mut Choices, _: Version) -> Option<Bytes> {
        (!choices.next().is_multiple_of(4)).then(|| generate_bytes(choices))
    }
}

impl Generate for Bytes {
    fn generate(choices: &mut Choices, _: Version) -> Bytes {
        generate_bytes(choices)
    }
}

impl Generate for Records {
    fn generate(choices: &mut Choices, version: Version) -> Records {
        Option::<Bytes>::generate(choices, version).map_or(Records::Null, Records::Bytes)
    }
}

impl Generate for Option<Str> {
    fn generate(choices: &mut Choices, version: Version) -> Option<Str> {
        (!choices.next().is_multiple_of(4)).then(|| Str::generate(choices, version))
    }

    fn generate_required(choices: &mut Choices, version: Version) -> Option<Str> {
        Some(Str::generate(choices, version))
    }
}

impl<T: Generate> Generate for Vec<T> {
    fn generate(choices: &mut Choices, version: Version) -> Vec<T> {
        let count = choices.next() % 4;
        (0..count).map(|_| T::generate(choices, version)).collect()
    }
}

impl<T: Generate> Generate for Option<Vec<T>> {
    fn generate(choices: &mut Choices, version: Version) -> Option<Vec<T>> {
        (!choices.next().is_multiple_of(4)).then(|| Vec::generate(choices, version))
    }

    fn generate_required(choices: &mut Choices, version: Version) -> Option<Vec<T>> {
        Some(Vec::generate(choices, version))
    }
}
