//! Broken and hostile bodies: decoding gives an error or a message, never a panic, and never asks for memory that the
//! bytes don't justify.

use bytes::Bytes;

use super::encode;
use super::for_each_message;
use super::generate::{Choices, Generate};
use crate::api::Message;
use crate::wire::Reader;
use crate::wire::counting_allocator::largest_allocation;

const MUTATIONS_PER_VERSION: u32 = 2_000;

/// The largest single allocation, in bytes for each byte of input, and the size below which it doesn't matter.
const ALLOCATION_FACTOR: usize = 64;
const ALLOCATION_BYTES_FREE: usize = 4 * 1024;

/// Numbers in the places of lengths and counts: both formats, the largest, the smallest and what overflows.
const LIES: &[&[u8]] = &[
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x00, 0x0f, 0x42, 0x40],
    &[0x7f, 0xff],
    &[0x80, 0x00],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xc1, 0x84, 0x3d],
    &[0x91, 0x4e],
];

/// A small generator of our own, so that a failure comes again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn check<M: Message>(body: &[u8], version: i16) {
    let bytes = Bytes::copy_from_slice(body);
    let (result, largest) = largest_allocation(|| M::decode(&mut Reader::new(bytes), version));
    let allowed = (ALLOCATION_FACTOR * body.len()).max(ALLOCATION_BYTES_FREE);
    assert!(
        largest <= allowed,
        "{} version {version}: {largest} bytes at once for {} bytes: {body:02x?}",
        M::API.name,
        body.len(),
    );
    // What decodes is a message like any other: its own bytes are stable.
    if let Ok(message) = result {
        let encoded = encode(&message, version);
        let again = M::decode(&mut Reader::new(encoded.clone()), version).expect("we wrote it");
        assert_eq!(encode(&again, version), encoded, "{} version {version}: {body:02x?}", M::API.name);
    }
}

fn mutate(body: &mut Vec<u8>, random: &mut Random) {
    let place = random.below(body.len());
    match random.below(6) {
        0 => body.truncate(place),
        1 => body.insert(place, random.next() as u8),
        2 if !body.is_empty() => {
            body.remove(place);
        }
        3 if !body.is_empty() => body[place] ^= 1 << random.below(8),
        4 if !body.is_empty() => body[place] = random.next() as u8,
        _ => overwrite(body, place, LIES[random.below(LIES.len())]),
    }
}

fn overwrite(body: &mut Vec<u8>, place: usize, lie: &[u8]) {
    let end = (place + lie.len()).min(body.len());
    body.splice(place..end, lie.iter().copied());
}

fn mutated_bodies<M: Message + Generate>() {
    for version in M::API.served.iter() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (version as u64));
        for _ in 0..MUTATIONS_PER_VERSION {
            let choices = (0..random.below(200)).map(|_| random.next() as u8).collect();
            let message = M::generate(&mut Choices::new(choices), M::API.version(version));
            let mut body = encode(&message, version).to_vec();
            for _ in 0..=random.below(4) {
                mutate(&mut body, &mut random);
            }
            check::<M>(&body, version);
        }
    }
}

fn lies_in_every_place<M: Message + Generate>() {
    for version in M::API.served.iter() {
        let message = M::generate(&mut Choices::that_fill_everything(), M::API.version(version));
        let body = encode(&message, version);
        for place in 0..=body.len() {
            check::<M>(&body[..place], version);
            for lie in LIES {
                let mut lying = body.to_vec();
                overwrite(&mut lying, place, lie);
                check::<M>(&lying, version);
                // The same with nothing behind it, and with many bytes that a count could claim.
                lying.truncate(place + lie.len());
                check::<M>(&lying, version);
                for filler in [0, 1] {
                    lying.resize(4_096, filler);
                    check::<M>(&lying, version);
                }
            }
        }
    }
}

#[test]
fn mutated_bodies_neither_panic_nor_take_memory() {
    for_each_message!(mutated_bodies);
}

#[test]
fn a_lie_about_a_length_neither_panics_nor_takes_memory() {
    for_each_message!(lies_in_every_place);
}

#[test]
fn counts_that_fit_the_bytes_are_limited_all_the_same() {
    use crate::api::metadata::MetadataRequest;
    use crate::wire::{DecodeError, ELEMENTS_MAX};
    // A million and one empty names would fit.
    let mut body = vec![0; 4 + 2 * (ELEMENTS_MAX + 1)];
    body[..4].copy_from_slice(&(ELEMENTS_MAX as i32 + 1).to_be_bytes());
    let result = MetadataRequest::decode(&mut Reader::new(Bytes::from(body)), 1);
    let expected = DecodeError::TooManyElements { position: 0, count: ELEMENTS_MAX + 1, limit: ELEMENTS_MAX };
    assert_eq!(result, Err(expected));
}
