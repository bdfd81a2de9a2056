//! Zstandard. Each thread keeps one context for either direction, because a new one for each batch costs as much as
//! the batch; one that a stream has made large is given back.

use std::cell::Cell;
use std::io::{self, Write};

use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name,
    zstd_sys::ZSTD_EndDirective,
};

use super::Limited;

/// 128 MiB: the largest window that Kafka's own library reads unless told otherwise. A frame may claim 2 GiB.
const WINDOW_LOG_MAX: u32 = 27;

/// A context that holds more than this is not kept: the window of level 3 fits, the one of a bomb does not.
const KEPT_CONTEXT_BYTES_MAX: usize = 6 * 1024 * 1024;

thread_local! {
    static DECOMPRESSION: Cell<Option<Box<Decompression>>> = const { Cell::new(None) };
    static COMPRESSION: Cell<Option<Box<Compression>>> = const { Cell::new(None) };
}

struct Decompression {
    context: DCtx<'static>,
    out: Vec<u8>,
}

/// Decompresses chunk by chunk.
pub(super) struct Reader<'a> {
    /// There until the reader is dropped.
    state: Option<Box<Decompression>>,
    input: InBuffer<'a>,
    /// Whether a frame has begun whose end was not reached.
    within_frame: bool,
    taken: usize,
    filled: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> io::Result<Reader<'a>> {
        let mut state = match DECOMPRESSION.take() {
            Some(state) => state,
            None => {
                let context = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
                Box::new(Decompression { context, out: vec![0; DCtx::out_size()] })
            }
        };
        state.context.reset(ResetDirective::SessionAndParameters).map_err(error_of)?;
        state.context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(error_of)?;
        let input = InBuffer::around(input);
        Ok(Reader { state: Some(state), input, within_frame: false, taken: 0, filled: 0 })
    }

    pub(super) fn chunk(&mut self) -> io::Result<&[u8]> {
        let state = self.state.as_mut().expect("only dropping the reader takes it");
        while self.taken == self.filled {
            let all_read = self.input.pos == self.input.src.len();
            if all_read && !self.within_frame {
                break;
            }
            let mut out = OutBuffer::around(state.out.as_mut_slice());
            let hint = state.context.decompress_stream(&mut out, &mut self.input).map_err(error_of)?;
            self.taken = 0;
            self.filled = out.pos();
            self.within_frame = hint != 0;
            if all_read && self.within_frame && self.filled == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "cut short"));
            }
        }
        Ok(state.out.get(self.taken..self.filled).unwrap_or_default())
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count).min(self.filled);
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.state.take()
            && state.context.sizeof() <= KEPT_CONTEXT_BYTES_MAX
        {
            DECOMPRESSION.set(Some(state));
        }
    }
}

struct Compression {
    context: CCtx<'static>,
    out: Vec<u8>,
}

/// Compresses one frame.
pub(super) struct Writer {
    sink: Limited,
    /// There until the writer is dropped.
    state: Option<Box<Compression>>,
}

impl Writer {
    pub(super) fn new(sink: Limited, level: i32) -> io::Result<Writer> {
        let mut state = match COMPRESSION.take() {
            Some(state) => state,
            None => {
                let context = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
                Box::new(Compression { context, out: vec![0; CCtx::out_size()] })
            }
        };
        state.context.reset(ResetDirective::SessionAndParameters).map_err(error_of)?;
        state.context.set_parameter(CParameter::CompressionLevel(level)).map_err(error_of)?;
        Ok(Writer { sink, state: Some(state) })
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.drive(piece, ZSTD_EndDirective::ZSTD_e_continue)
    }

    pub(super) fn finish(mut self) -> io::Result<Limited> {
        self.drive(&[], ZSTD_EndDirective::ZSTD_e_end)?;
        let empty = Limited { bytes: Vec::new(), limit_bytes: 0 };
        Ok(std::mem::replace(&mut self.sink, empty))
    }

    fn drive(&mut self, piece: &[u8], directive: ZSTD_EndDirective) -> io::Result<()> {
        let state = self.state.as_mut().expect("only dropping the writer takes it");
        let mut input = InBuffer::around(piece);
        loop {
            let mut out = OutBuffer::around(state.out.as_mut_slice());
            let left = state.context.compress_stream2(&mut out, &mut input, directive).map_err(error_of)?;
            self.sink.write_all(out.as_slice())?;
            let done = match directive {
                ZSTD_EndDirective::ZSTD_e_end => left == 0,
                _ => input.pos == piece.len(),
            };
            if done {
                return Ok(());
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(state) = self.state.take()
            && state.context.sizeof() <= KEPT_CONTEXT_BYTES_MAX
        {
            COMPRESSION.set(Some(state));
        }
    }
}

fn error_of(code: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, get_error_name(code))
}
