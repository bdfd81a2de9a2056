//! Cuts what arrives on a connection into frames. Pure.
//!
//! Invariants: a length is only a claim, so the memory that is set aside follows what has arrived, at most twice that
//! and a little; and a frame is a slice of the buffer that it was read into, so nobody copies it again.

use bytes::{Bytes, BytesMut};

/// The longest answer that is believed to be one.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How much is read at a time, unless more of one frame has already come.
const ROOM_BYTES: usize = 16 * 1024;

/// The length in front of each frame, itself not counted.
const PREFIX_BYTES: usize = 4;

/// What has arrived and is no whole frame yet.
#[derive(Debug, Default)]
pub(super) struct ArrivingFrames {
    buffer: BytesMut,
}

/// The length in front of a frame is negative or beyond belief: this is no Kafka broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoFrame;

impl ArrivingFrames {
    /// The next whole frame, if all of it is there.
    pub(super) fn take(&mut self) -> Result<Option<Bytes>, NoFrame> {
        let Some(length) = self.length()? else { return Ok(None) };
        if self.buffer.len() - PREFIX_BYTES < length {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(PREFIX_BYTES + length);
        Ok(Some(frame.split_off(PREFIX_BYTES).freeze()))
    }

    /// Where to read to: always has spare capacity. To be called after [`ArrivingFrames::take`] gave none.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        let arrived = self.buffer.len();
        let missing = match self.length() {
            Ok(Some(length)) => (PREFIX_BYTES + length).saturating_sub(arrived),
            _ => 0,
        };
        // Doubling copies each byte once on average, whatever the length claims.
        self.buffer.reserve(missing.clamp(1, arrived.max(ROOM_BYTES)).max(1));
        &mut self.buffer
    }

    /// What the prefix says, if it is there.
    fn length(&self) -> Result<Option<usize>, NoFrame> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let length = usize::try_from(i32::from_be_bytes(*prefix)).ok();
        length.filter(|length| *length <= ANSWER_BYTES_MAX).map(Some).ok_or(NoFrame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream_of(frames: &[&[u8]]) -> Vec<u8> {
        let prefixed =
            |frame: &&[u8]| [&u32::try_from(frame.len()).expect("short").to_be_bytes(), *frame].concat();
        frames.iter().flat_map(prefixed).collect()
    }

    #[test]
    fn frames_come_out_whole_however_they_are_cut() {
        let long = vec![7; 100_000];
        let sent: [&[u8]; 5] = [b"one", b"", b"three", &long, b"five"];
        for piece in [1, 3, 4, 5, 1000, 70_000, usize::MAX] {
            let mut frames = ArrivingFrames::default();
            let mut found: Vec<Bytes> = Vec::new();
            for part in stream_of(&sent).chunks(piece) {
                let mut part = part;
                while !part.is_empty() {
                    let room = frames.room();
                    let taken = part.len().min(room.capacity() - room.len());
                    assert!(taken > 0, "no room");
                    room.extend_from_slice(&part[..taken]);
                    part = &part[taken..];
                    while let Some(frame) = frames.take().expect("frames") {
                        found.push(frame);
                    }
                }
            }
            assert_eq!(found, sent, "in pieces of {piece}");
        }
    }

    #[test]
    fn memory_follows_what_arrived_and_not_what_was_claimed() {
        let mut frames = ArrivingFrames::default();
        frames.room().extend_from_slice(&(200_i32 << 20).to_be_bytes());
        for arrived in [4, 10_000, 100_000, 1_000_000] {
            let missing = arrived - frames.buffer.len();
            frames.buffer.extend_from_slice(&vec![0; missing]);
            assert_eq!(frames.take(), Ok(None));
            let capacity = frames.room().capacity();
            assert!(capacity <= 3 * arrived + 4 * ROOM_BYTES, "{capacity} bytes for {arrived}");
        }
    }

    #[test]
    fn a_frame_is_not_copied_out_of_the_buffer() {
        let mut frames = ArrivingFrames::default();
        frames.room().extend_from_slice(&stream_of(&[b"here"]));
        let place = frames.buffer[PREFIX_BYTES..].as_ptr();
        assert_eq!(frames.take().expect("a frame").expect("whole").as_ptr(), place);
    }

    #[test]
    fn a_length_that_no_answer_has_is_refused() {
        for length in [-1, i32::MIN, i32::MAX, (256 << 20) + 1] {
            let mut frames = ArrivingFrames::default();
            frames.room().extend_from_slice(&length.to_be_bytes());
            assert_eq!(frames.take(), Err(NoFrame), "{length}");
        }
    }
}
