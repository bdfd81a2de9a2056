//! One direction of a connection: what is on its way, and what has arrived and waits to be read. Pure.
//!
//! What was sent arrives in order. The bytes on the way and those that wait count against one bound, so a peer that
//! doesn't read makes the writer wait. Invariant: after the end nothing follows.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::random::Rng;

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The sender has finished.
    Finished,
    /// The connection is gone.
    Reset,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    on_the_way: VecDeque<Segment>,
    arrived: VecDeque<Bytes>,
    /// Bytes on the way or arrived.
    held_bytes: usize,
    /// Once it has been sent, nothing follows.
    end_sent: Option<End>,
    end_arrived: Option<End>,
    last_arrival: u64,
}

#[derive(Debug)]
struct Segment {
    arrives: u64,
    what: Sent,
}

#[derive(Debug)]
enum Sent {
    Bytes(Bytes),
    End(End),
}

/// What an arrival brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) bytes: bool,
    pub(super) end: Option<End>,
}

impl Pipe {
    /// How many bytes it takes now if it is bounded at `bound`.
    pub(super) fn room(&self, bound: usize) -> usize {
        bound.saturating_sub(self.held_bytes)
    }

    /// Whether its end has been sent.
    pub(super) fn is_ended(&self) -> bool {
        self.end_sent.is_some()
    }

    /// How it ended, for a reader that has read everything.
    pub(super) fn end_arrived(&self) -> Option<End> {
        self.end_arrived
    }

    /// Sends bytes that would arrive at `arrives`, or after what was sent before; when they do.
    pub(super) fn send(&mut self, arrives: u64, bytes: Bytes) -> u64 {
        self.held_bytes += bytes.len();
        self.push(arrives, Sent::Bytes(bytes))
    }

    /// Ends the stream; when that arrives. A reset may follow a finish, nothing else may.
    pub(super) fn send_end(&mut self, arrives: u64, end: End) -> u64 {
        self.end_sent = Some(end);
        self.push(arrives, Sent::End(end))
    }

    fn push(&mut self, arrives: u64, what: Sent) -> u64 {
        self.last_arrival = self.last_arrival.max(arrives);
        self.on_the_way.push_back(Segment { arrives: self.last_arrival, what });
        self.last_arrival
    }

    /// Loses a seeded tail of what is on the way.
    pub(super) fn lose_tail(&mut self, rng: &mut Rng) {
        let keep = usize::try_from(rng.below(self.on_the_way.len() as u64 + 1)).expect("part of a length");
        for segment in self.on_the_way.drain(keep..) {
            if let Sent::Bytes(bytes) = segment.what {
                self.held_bytes -= bytes.len();
            }
        }
    }

    /// Lets arrive what is due at `now`.
    pub(super) fn arrive(&mut self, now: u64) -> Arrival {
        let mut arrival = Arrival::default();
        while let Some(segment) = self.on_the_way.pop_front_if(|segment| segment.arrives <= now) {
            match segment.what {
                Sent::Bytes(bytes) => {
                    self.arrived.push_back(bytes);
                    arrival.bytes = true;
                }
                Sent::End(end) => {
                    self.end_arrived = Some(end);
                    arrival.end = Some(end);
                }
            }
        }
        arrival
    }

    /// Throws away what has arrived, as nobody will read it.
    pub(super) fn discard_arrived(&mut self) {
        for bytes in self.arrived.drain(..) {
            self.held_bytes -= bytes.len();
        }
    }

    /// How many bytes can be read now.
    pub(super) fn readable(&self) -> usize {
        self.arrived.iter().map(Bytes::len).sum()
    }

    /// Moves the first `count` readable bytes to the end of `into`.
    pub(super) fn read(&mut self, count: usize, into: &mut BytesMut) {
        let mut left = count;
        while let Some(front) = self.arrived.front_mut().filter(|_| left > 0) {
            let take = front.len().min(left);
            into.extend_from_slice(&front[..take]);
            front.advance(take);
            left -= take;
            if front.is_empty() {
                self.arrived.pop_front();
            }
        }
        self.held_bytes -= count - left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_and_count_until_they_are_read() {
        let mut pipe = Pipe::default();
        assert_eq!(pipe.send(50, Bytes::from_static(b"ab")), 50);
        assert_eq!(pipe.send(20, Bytes::from_static(b"cde")), 50, "it cannot overtake");
        assert_eq!(pipe.send_end(60, End::Finished), 60);
        assert_eq!((pipe.room(8), pipe.room(4)), (3, 0));
        assert_eq!(pipe.arrive(49), Arrival::default());
        assert_eq!(pipe.arrive(50), Arrival { bytes: true, end: None });
        let mut read = BytesMut::new();
        pipe.read(3, &mut read);
        assert_eq!((&read[..], pipe.readable(), pipe.room(8)), (&b"abc"[..], 2, 6));
        assert_eq!(pipe.arrive(60).end, Some(End::Finished));
    }

    #[test]
    fn a_lost_tail_frees_its_room() {
        for seed in 0..20 {
            let mut pipe = Pipe::default();
            for _ in 0..4 {
                pipe.send(10, Bytes::from_static(b"abc"));
            }
            pipe.lose_tail(&mut Rng::seeded(seed));
            pipe.arrive(10);
            assert_eq!(pipe.readable(), 100 - pipe.room(100));
            assert!(pipe.readable().is_multiple_of(3));
        }
    }
}
