//! The least that the same work costs: a program for each kind, this one run again with other arguments, so that its CPU
//! is counted as the broker's is.
//!
//! Each is as plain as it can be: blocking calls, a thread for each connection, one buffer, no protocol. It ends when its
//! standard input does, and so with whoever started it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::sendfile::sendfile;
use nix::unistd::fdatasync;
use ottla_protocol::api::produce::{ProduceRequest, ProduceResponse};
use ottla_protocol::api::{Message as _, Request};
use ottla_protocol::frame::begin_response;
use ottla_protocol::wire::FramePiece;

/// What a receiver takes at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// The version in which the programs answer Produce requests of any version.
pub(crate) const ANSWER_VERSION: i16 = 9;

/// Which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LimitKind {
    /// Takes bytes, appends them to a file for each connection, answers once at the end.
    ReceiveAppend,
    /// Takes a frame, appends it, answers it.
    EchoAppend,
    /// Takes the frames of all connections, appends them to one file, answers each when a sync has covered it.
    GroupSync,
    /// Answers each request with the next piece of a file, by sendfile.
    SendFile,
}

/// What a limit's program is told.
#[derive(Debug, Args)]
pub(crate) struct ProgramArguments {
    kind: LimitKind,
    /// The file to send, or the beginning of the names of those to append to.
    file: PathBuf,
    /// How much to reserve for each file at a time, or how much of it to send.
    bytes: u64,
    /// How much of the file an answer has.
    answer_bytes: usize,
}

/// Is that limit until standard input ends.
pub(crate) fn run(arguments: &ProgramArguments) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    {
        let mut output = std::io::stdout().lock();
        writeln!(output, "{}", listener.local_addr()?)?;
        output.flush()?;
    }
    let ProgramArguments { kind, file, bytes, answer_bytes } = arguments;
    let (kind, file, bytes, answer_bytes) = (*kind, file.clone(), *bytes, *answer_bytes);
    thread::spawn(move || match kind {
        LimitKind::ReceiveAppend => {
            serve(&listener, |connection, stream| receive_append(connection, stream, &file, bytes))
        }
        LimitKind::EchoAppend => {
            serve(&listener, |connection, stream| echo_append(connection, stream, &file, bytes))
        }
        LimitKind::SendFile => serve(&listener, |_, stream| send_file(stream, &file, bytes, answer_bytes)),
        LimitKind::GroupSync => group_sync(&listener, &file, bytes),
    });
    let mut nothing = Vec::new();
    std::io::stdin().lock().read_to_end(&mut nothing)?;
    Ok(())
}

fn serve(listener: &TcpListener, work: impl Fn(usize, TcpStream) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let work = &work;
        for (connection, stream) in listener.incoming().enumerate() {
            let stream = stream?;
            stream.set_nodelay(true)?;
            // A connection that breaks is the client's business.
            scope.spawn(move || work(connection, stream));
        }
        Ok(())
    })
}

/// A file to append to, with room reserved ahead of its end.
pub(crate) struct AppendFile {
    pub(crate) file: File,
    /// How much is reserved at a time.
    step: u64,
    reserved: u64,
    end: u64,
}

impl AppendFile {
    pub(crate) fn create(path: &Path, step: u64) -> Result<AppendFile> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        let mut file = AppendFile { file, step, reserved: 0, end: 0 };
        file.reserve(1)?;
        Ok(file)
    }

    /// Where `bytes` more go.
    fn reserve(&mut self, bytes: u64) -> Result<u64> {
        let position = self.end;
        self.end += bytes;
        while self.reserved < self.end {
            let from = i64::try_from(self.reserved)?;
            fallocate(&self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, from, i64::try_from(self.step)?)?;
            self.reserved += self.step;
        }
        Ok(position)
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let position = self.reserve(bytes.len() as u64)?;
        Ok(self.file.write_all_at(bytes, position)?)
    }
}

fn receive_append(connection: usize, mut stream: TcpStream, file: &Path, step: u64) -> Result<()> {
    let mut file = AppendFile::create(&file.with_extension(connection.to_string()), step)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        file.append(buffer.get(..count).context("what was read")?)?;
    }
    drop(file);
    Ok(stream.write_all(&[1])?)
}

fn echo_append(connection: usize, mut stream: TcpStream, file: &Path, step: u64) -> Result<()> {
    let mut file = AppendFile::create(&file.with_extension(connection.to_string()), step)?;
    let (mut frame, answer) = (Vec::new(), produce_answer()?);
    loop {
        read_frame(&mut stream, &mut frame)?;
        file.append(&frame)?;
        stream.write_all(&answer)?;
    }
}

fn send_file(mut stream: TcpStream, file: &Path, bytes: u64, answer_bytes: usize) -> Result<()> {
    let file = File::open(file)?;
    let (mut position, mut request) = (0, Vec::new());
    loop {
        read_frame(&mut stream, &mut request)?;
        let mut header = [0; 100];
        let size = i32::try_from(answer_bytes + header.len() - 4)?;
        header[..4].copy_from_slice(&size.to_be_bytes());
        stream.write_all(&header)?;
        if bytes < position + answer_bytes as u64 {
            position = 0;
        }
        let (mut at, mut left) = (i64::try_from(position)?, answer_bytes);
        while left > 0 {
            match sendfile(&stream, &file, Some(&mut at), left)? {
                0 => bail!("the file is shorter than it was said to be"),
                count => left -= count,
            }
        }
        position += answer_bytes as u64;
    }
}

/// What has been written to the one file and not synced yet: whom to answer.
#[derive(Default)]
struct Unsynced {
    waiting: Mutex<Vec<Arc<TcpStream>>>,
    came: Condvar,
}

/// One sync at a time; what is written meanwhile shares the next.
fn group_sync(listener: &TcpListener, file: &Path, step: u64) -> Result<()> {
    let mut reserved = AppendFile::create(file, step)?;
    let file = reserved.file.try_clone()?;
    // Connections write side by side, each where its frame belongs.
    let end = AtomicU64::new(0);
    let unsynced = Unsynced::default();
    let reserving = Mutex::new(&mut reserved);
    thread::scope(|scope| {
        scope.spawn(|| sync_and_answer(&file, &unsynced));
        serve(listener, |_, stream| {
            let (stream, mut frame) = (Arc::new(stream), Vec::new());
            loop {
                read_frame(&mut &*stream, &mut frame)?;
                let length = frame.len() as u64;
                let position = end.fetch_add(length, Ordering::Relaxed);
                if position / step != (position + length) / step {
                    reserving.lock().expect("nobody panics").reserve(step)?;
                }
                file.write_all_at(&frame, position)?;
                unsynced.waiting.lock().expect("nobody panics").push(Arc::clone(&stream));
                unsynced.came.notify_one();
            }
        })
    })
}

fn sync_and_answer(file: &File, unsynced: &Unsynced) -> Result<()> {
    let answer = produce_answer()?;
    loop {
        let waiting = {
            let waiting = unsynced.waiting.lock().expect("nobody panics");
            let mut waiting =
                unsynced.came.wait_while(waiting, |waiting| waiting.is_empty()).expect("nobody panics");
            std::mem::take(&mut *waiting)
        };
        fdatasync(file)?;
        for stream in waiting {
            // One that has gone away needs none.
            let _gone = (&*stream).write_all(&answer);
        }
    }
}

fn read_frame(stream: &mut impl Read, frame: &mut Vec<u8>) -> Result<()> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    frame.resize(usize::try_from(i32::from_be_bytes(size))?, 0);
    Ok(stream.read_exact(frame)?)
}

/// A Produce answer without rows.
fn produce_answer() -> Result<Vec<u8>> {
    let mut writer = begin_response(<ProduceRequest as Request>::Response::API, ANSWER_VERSION, 1, 64);
    ProduceResponse::default().encode(&mut writer, ANSWER_VERSION);
    match writer.finish()?.pop() {
        Some(FramePiece::Bytes(bytes)) => Ok(bytes.to_vec()),
        _ => bail!("an answer is made of bytes"),
    }
}
