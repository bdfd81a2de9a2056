//! Buffers that requests have arrived in, for the next ones: allocating 64 KiB anew for each batch costs as much as
//! checking the batch.
//!
//! A buffer is put by while its last request may still be in use, and is handed out again once nobody holds a part of it.
//! Which connection takes it doesn't matter. What lies here is bounded in number and, by the size of each, in bytes.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use bytes::BytesMut;
use parking_lot::Mutex;

/// What is worth keeping. The allocator has smaller ones at hand by itself, and larger ones are rare and would hold much.
const BYTES: RangeInclusive<usize> = 16 * 1024..=256 * 1024;
/// How many are kept, so 8 MiB at most. With a few connections that send as fast as they can, as many are in use.
const KEPT_MAX: usize = 32;
/// How many of the oldest are looked at before a new one is made.
const LOOKED_AT_MAX: usize = 2;

/// The buffers that all connections of a listener share.
#[derive(Debug, Default)]
pub(super) struct FrameBuffers {
    /// Oldest first: the first is the likeliest to be free.
    put_by: Mutex<VecDeque<BytesMut>>,
}

/// A buffer with what is to be known of it when it is put by.
#[derive(Debug, Default)]
pub(super) struct FrameBuffer {
    pub(super) bytes: BytesMut,
    /// The size of the whole allocation; `bytes` knows only what is behind the requests that were split off.
    allocated: usize,
}

impl FrameBuffers {
    /// An empty buffer for `wanted` bytes at least.
    pub(super) fn take(&self, wanted: usize) -> FrameBuffer {
        if BYTES.contains(&wanted) {
            let mut put_by = self.put_by.lock();
            for _ in 0..LOOKED_AT_MAX {
                let Some(mut bytes) = put_by.pop_front() else { break };
                if bytes.try_reclaim(wanted) {
                    return FrameBuffer { allocated: bytes.capacity(), bytes };
                }
                put_by.push_back(bytes);
            }
        }
        let bytes = BytesMut::with_capacity(wanted);
        FrameBuffer { allocated: bytes.capacity(), bytes }
    }

    /// Takes a buffer that a connection has done with. Parts of it may still be in use.
    pub(super) fn put_by(&self, mut buffer: FrameBuffer) {
        if !BYTES.contains(&buffer.allocated) {
            return;
        }
        buffer.bytes.clear();
        let mut put_by = self.put_by.lock();
        // The one that goes is in use still, or too small for what arrives now.
        let _outdated = if put_by.len() < KEPT_MAX { None } else { put_by.pop_front() };
        put_by.push_back(buffer.bytes);
    }
}

impl FrameBuffer {
    /// Sees to room for `more` bytes behind what has arrived, in this buffer or in another one.
    pub(super) fn make_room(&mut self, more: usize, buffers: &FrameBuffers) {
        if self.bytes.try_reclaim(more) {
            return;
        }
        let wanted = self.bytes.len() + more;
        if *BYTES.end() < wanted {
            // The allocator may be able to let a large one grow where it is.
            self.bytes.reserve(more);
            self.allocated = self.bytes.capacity();
            return;
        }
        let mut next = buffers.take(wanted);
        next.bytes.extend_from_slice(&self.bytes);
        buffers.put_by(std::mem::replace(self, next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    /// What a request of so many bytes does with a connection's buffer; the bytes that its handlers hold.
    fn arrive(buffer: &mut FrameBuffer, buffers: &FrameBuffers, bytes: usize) -> bytes::Bytes {
        buffer.make_room(bytes, buffers);
        buffer.bytes.extend_from_slice(&vec![7; bytes]);
        buffer.bytes.split_to(bytes).freeze()
    }

    fn kept(buffers: &FrameBuffers) -> usize {
        buffers.put_by.lock().len()
    }

    #[test]
    fn a_buffer_is_used_again_once_nobody_holds_a_part_of_it() {
        let buffers = FrameBuffers::default();
        let mut buffer = FrameBuffer::default();
        let first = arrive(&mut buffer, &buffers, 64 * KIB);
        let second = arrive(&mut buffer, &buffers, 64 * KIB);
        assert_ne!(first.as_ptr(), second.as_ptr(), "the first is still in use");
        let place = first.as_ptr();
        drop(first);
        let third = arrive(&mut buffer, &buffers, 64 * KIB);
        assert_eq!(third.as_ptr(), place);
        assert_eq!(second, third, "and what is in use stays as it is");
    }

    #[test]
    fn one_that_is_alone_needs_no_other() {
        let buffers = FrameBuffers::default();
        let mut buffer = FrameBuffer::default();
        let place = arrive(&mut buffer, &buffers, 64 * KIB).as_ptr();
        for _ in 0..3 {
            assert_eq!(arrive(&mut buffer, &buffers, 64 * KIB).as_ptr(), place);
        }
        assert_eq!(kept(&buffers), 0);
    }

    #[test]
    fn what_has_arrived_of_the_next_request_comes_along() {
        let buffers = FrameBuffers::default();
        let mut buffer = FrameBuffer::default();
        buffer.make_room(32 * KIB, &buffers);
        buffer.bytes.extend_from_slice(&[1; 100]);
        let held = buffer.bytes.split_to(60).freeze();
        buffer.make_room(64 * KIB, &buffers);
        assert_eq!(buffer.bytes[..], [1; 40]);
        assert!(64 * KIB + 40 <= buffer.bytes.capacity());
        assert_eq!(held[..], [1; 60]);
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_in_size() {
        // The size of each request, how many of them are held, and how many buffers are kept then.
        for (bytes, held, kept_then) in [
            (4 * KIB, 100, 0),
            (16 * KIB, 10, 9),
            (64 * KIB, 20, 19),
            (64 * KIB, 100, KEPT_MAX),
            (256 * KIB, 40, KEPT_MAX),
            (300 * KIB, 10, 0),
        ] {
            let buffers = FrameBuffers::default();
            let mut buffer = FrameBuffer::default();
            let all: Vec<_> = (0..held).map(|_| arrive(&mut buffer, &buffers, bytes)).collect();
            assert_eq!(kept(&buffers), kept_then, "{held} of {bytes} bytes");
            assert!(all.iter().all(|one| one.len() == bytes && one.iter().all(|byte| *byte == 7)));
        }
    }

    #[test]
    fn one_that_is_too_small_makes_place_in_time() {
        let buffers = FrameBuffers::default();
        let mut buffer = FrameBuffer::default();
        let small: Vec<_> = (0..=KEPT_MAX).map(|_| arrive(&mut buffer, &buffers, 16 * KIB)).collect();
        drop(small);
        let mut places = Vec::new();
        for _ in 0..4 * KEPT_MAX {
            let first = arrive(&mut buffer, &buffers, 128 * KIB);
            let _second = arrive(&mut buffer, &buffers, 128 * KIB);
            places.push(first.as_ptr());
        }
        let (early, late) = places.split_at(2 * KEPT_MAX);
        assert!(late.iter().all(|place| early.contains(place)), "the large ones are used again");
    }
}
