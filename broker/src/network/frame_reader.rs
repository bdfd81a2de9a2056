//! Cuts a connection's bytes into request frames, never holding more memory than has arrived (and a little ahead).
//!
//! A frame is a 4-byte size and that many bytes. The size is judged before anything is read or reserved for it. A
//! frame's bytes leave as one `Bytes` that request decoding slices without copying.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use ottla_runtime::{Clock, MonotonicTime, net::ConnectionReader};

use super::frame_buffers::{FrameBuffer, FrameBuffers};
use super::moving_timer::MovingTimer;
use super::request_budget::{RequestBudget, RequestBytes};

/// What a connection reserves for its next request, at least and at most. In between it is as much as the last
/// one took, so that a producer's batches arrive in one read each; memory that nothing arrives in stays untouched.
const NEXT_FRAME_MIN: usize = 4 * 1024;
const NEXT_FRAME_MAX: usize = 256 * 1024;
/// Frames up to here get their whole buffer at once (untouched memory costs nothing); larger ones grow with what
/// arrives.
const RESERVE_AT_ONCE_MAX: usize = 1024 * 1024 + 16 * 1024;

/// A frame gets a buffer of its own once so much of it has arrived: those who only announce a large one are many at
/// little cost.
const ARRIVED_BYTES_MIN: usize = 1024;

/// One request as it arrived, without its size field.
pub(super) struct ArrivedFrame {
    /// Header and body.
    pub(super) bytes: Bytes,
    /// Keeps the bytes counted against the broker's budget.
    pub(super) permit: RequestBytes,
}

/// Why no further request can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the client closed the connection")]
    Closed,
    #[error("the client closed the connection in the middle of a request")]
    ClosedInsideFrame,
    #[error(
        "a request of {size} bytes was announced; between 1 and {max} are allowed (socket.request.max.bytes)"
    )]
    Size { size: i32, max: usize },
    #[error("a request made no progress for {} ms (ottla.request.read.timeout.ms)", .0.as_millis())]
    Stalled(Duration),
    #[error("nothing was asked for {} ms (connections.max.idle.ms)", .0.as_millis())]
    Idle(Duration),
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
}

/// Limits of one connection's reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadLimits {
    /// `socket.request.max.bytes`.
    pub(super) frame_bytes_max: usize,
    /// `ottla.request.read.timeout.ms`.
    pub(super) stall: Duration,
    /// `connections.max.idle.ms`; `None` for never.
    pub(super) idle: Option<Duration>,
}

/// What all connections share for reading.
pub(super) struct FrameReading {
    pub(super) budget: Arc<RequestBudget>,
    pub(super) buffers: Arc<FrameBuffers>,
}

/// The arriving half of a connection.
pub(super) struct FrameReader {
    reader: Box<dyn ConnectionReader>,
    buffer: FrameBuffer,
    buffers: Arc<FrameBuffers>,
    arriving: Option<Arriving>,
    /// Whether it is the budget that the frame waits for, and not its client.
    is_held_up: bool,
    /// What to reserve for the next frame.
    expected_bytes: usize,
    budget: Arc<RequestBudget>,
    clock: Clock,
    timer: MovingTimer,
    limits: ReadLimits,
}

struct Arriving {
    /// Size field included.
    frame_bytes: usize,
    permit: RequestBytes,
}

impl FrameReader {
    pub(super) fn new(
        reader: Box<dyn ConnectionReader>,
        shared: &FrameReading,
        clock: Clock,
        limits: ReadLimits,
    ) -> FrameReader {
        FrameReader {
            reader,
            buffer: FrameBuffer::default(),
            buffers: Arc::clone(&shared.buffers),
            arriving: None,
            is_held_up: false,
            expected_bytes: NEXT_FRAME_MIN,
            budget: Arc::clone(&shared.budget),
            clock,
            timer: MovingTimer::default(),
            limits,
        }
    }

    /// The next request. Cancel-safe: a call that is dropped loses nothing.
    pub(super) async fn next_frame(&mut self) -> Result<ArrivedFrame, FrameError> {
        loop {
            self.begin_if_announced()?;
            if let Some(frame) = self.take_complete() {
                return Ok(frame);
            }
            self.read_some().await?;
        }
    }

    fn announced_size(&self) -> Option<i32> {
        self.buffer.bytes.first_chunk::<4>().map(|size| i32::from_be_bytes(*size))
    }

    fn begin_if_announced(&mut self) -> Result<(), FrameError> {
        if self.arriving.is_some() {
            return Ok(());
        }
        let Some(size) = self.announced_size() else { return Ok(()) };
        let max = self.limits.frame_bytes_max;
        let frame_bytes = match usize::try_from(size) {
            Ok(bytes) if 1 <= bytes && bytes <= max => bytes + 4,
            _ => return Err(FrameError::Size { size, max }),
        };
        let arrived = self.buffer.bytes.len().min(frame_bytes) as u64;
        let permit = if arrived == frame_bytes as u64 {
            self.budget.take_whole(arrived)
        } else {
            self.budget.begin(arrived)
        };
        self.arriving = Some(Arriving { frame_bytes, permit });
        Ok(())
    }

    fn take_complete(&mut self) -> Option<ArrivedFrame> {
        if self.buffer.bytes.len() < self.arriving.as_ref()?.frame_bytes {
            return None;
        }
        let Arriving { frame_bytes, mut permit } = self.arriving.take()?;
        permit.finish();
        self.expected_bytes = frame_bytes.clamp(NEXT_FRAME_MIN, NEXT_FRAME_MAX);
        let mut bytes = self.buffer.bytes.split_to(frame_bytes).freeze();
        bytes.advance(4);
        Some(ArrivedFrame { bytes, permit })
    }

    async fn read_some(&mut self) -> Result<(), FrameError> {
        let limit = match &self.arriving {
            Some(_) => Some(self.limits.stall),
            None if !self.buffer.bytes.is_empty() => Some(self.limits.stall),
            None => self.limits.idle,
        };
        self.make_room();
        let mut deadline = None;
        let count = poll_fn(|context| self.poll_read_until(context, limit, &mut deadline)).await?;
        if count == 0 {
            return Err(if self.buffer.bytes.is_empty() {
                FrameError::Closed
            } else {
                FrameError::ClosedInsideFrame
            });
        }
        Ok(())
    }

    /// Reads, or ends once nothing has come for as long as `limit` from its first call on.
    fn poll_read_until(
        &mut self,
        context: &mut Context<'_>,
        limit: Option<Duration>,
        deadline: &mut Option<MonotonicTime>,
    ) -> Poll<Result<usize, FrameError>> {
        loop {
            if let Poll::Ready(count) = self.poll_read(context) {
                return Poll::Ready(Ok(count?));
            }
            let Some(limit) = limit else { return Poll::Pending };
            let clock = &self.clock;
            let at = *deadline.get_or_insert_with(|| clock.now().after(limit));
            ready!(self.timer.poll_at(context, clock, at));
            // A client that the budget makes wait has done nothing wrong.
            if !self.is_held_up {
                return Poll::Ready(Err(self.timed_out(limit)));
            }
            *deadline = None;
        }
    }

    fn timed_out(&self, limit: Duration) -> FrameError {
        if self.buffer.bytes.is_empty() { FrameError::Idle(limit) } else { FrameError::Stalled(limit) }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(arriving) = &self.arriving {
            let admitted = arriving.permit.poll_admitted(context);
            self.is_held_up = admitted.is_pending();
            ready!(admitted);
        }
        let before = self.buffer.bytes.len();
        let count = ready!(self.reader.poll_read(context, &mut self.buffer.bytes))?;
        if let Some(arriving) = &mut self.arriving {
            // What lies behind this frame is counted when its own frame begins.
            let of_this_frame = (before + count).min(arriving.frame_bytes) - before.min(arriving.frame_bytes);
            arriving.permit.add(of_this_frame as u64);
        }
        Poll::Ready(Ok(count))
    }

    /// Sees to spare capacity: the rest of a frame at once where it is of ordinary size, else as much again as has
    /// arrived. A frame of which little more than the announcement is there makes do with what there is.
    fn make_room(&mut self) {
        let wanted = match &self.arriving {
            None => self.expected_bytes,
            Some(arriving) => arriving.frame_bytes.min(RESERVE_AT_ONCE_MAX.max(2 * self.buffer.bytes.len())),
        };
        let (len, capacity) = (self.buffer.bytes.len(), self.buffer.bytes.capacity());
        let has_begun = self.arriving.is_none() || ARRIVED_BYTES_MIN <= len;
        if capacity == len || (has_begun && capacity < wanted) {
            self.buffer.make_room(wanted.saturating_sub(len).max(1), &self.buffers);
        }
    }
}

#[cfg(test)]
mod tests;
