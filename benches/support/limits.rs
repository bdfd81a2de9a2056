//! The least that the same work costs: a program of its own for each kind, this one run again with other arguments,
//! so that its CPU is counted as the broker's is.
//!
//! Each is as plain as it can be: blocking calls, a thread for each connection, one buffer, no protocol.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::sendfile::sendfile;
use nix::unistd::fdatasync;
use ottla_protocol::api::produce::{ProduceRequest, ProduceResponse};
use ottla_protocol::api::{Message as _, Request};
use ottla_protocol::frame::begin_response;
use ottla_protocol::wire::FramePiece;

/// The first argument with which this program is a limit instead of a bench.
pub(crate) const ARGUMENT: &str = "limit";

const BUFFER_BYTES: usize = 64 * 1024;

/// A limit's process; killed when this is dropped.
pub(crate) struct Limit {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Limit {
    /// Starts the limit of that name. `bytes` is how much it preallocates for each file, or finds in it.
    pub(crate) fn start(name: &str, file: &Path, bytes: u64) -> Result<Limit> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, name])
            .arg(file)
            .arg(bytes.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("it is piped")?).read_line(&mut line)?;
        Ok(Limit { child, address: line.trim().parse()? })
    }

    /// Removes the files of connections that have ended, `file` with a number behind it.
    pub(crate) fn remove_files(file: &Path) -> Result<()> {
        let (directory, name) = file.parent().zip(file.file_name()).context("a file in a directory")?;
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if entry.path().file_stem() == Some(name) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Is the limit that the arguments name, until it is killed.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [name, file, bytes] = arguments else { bail!("a limit takes a name, a file and a size") };
    let (file, bytes) = (Path::new(file), bytes.parse()?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    match name.as_str() {
        "receive-append" => {
            serve(&listener, |connection, stream| receive_append(connection, stream, file, bytes))
        }
        "send-file" => serve(&listener, |_, stream| send_file(stream, file, bytes)),
        "echo-append" => serve(&listener, |connection, stream| echo_append(connection, stream, file, bytes)),
        "group-sync" => group_sync(&listener, file, bytes),
        other => bail!("there is no limit {other}"),
    }
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

/// A new file with room for `bytes`, at whose end it still is empty.
fn preallocated(path: &Path, bytes: u64) -> Result<File> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, i64::try_from(bytes)?)?;
    Ok(file)
}

/// Takes bytes until the client ends, appends them to a file, and answers one byte.
fn receive_append(connection: usize, mut stream: TcpStream, file: &Path, bytes: u64) -> Result<()> {
    let file = preallocated(&file.with_extension(connection.to_string()), bytes)?;
    let (mut buffer, mut position) = (vec![0; BUFFER_BYTES], 0);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        file.write_all_at(buffer.get(..count).context("what was read")?, position)?;
        position += count as u64;
    }
    drop(file);
    Ok(stream.write_all(&[1])?)
}

/// For each request of any kind: 1 MiB of the file, in turn, behind a small header.
fn send_file(mut stream: TcpStream, file: &Path, bytes: u64) -> Result<()> {
    const ANSWER: usize = 1 << 20;
    let file = File::open(file)?;
    let (mut position, mut request) = (0, Vec::new());
    loop {
        read_frame(&mut stream, &mut request)?;
        let mut header = [0; 100];
        let size = i32::try_from(ANSWER + header.len() - 4)?;
        header[..4].copy_from_slice(&size.to_be_bytes());
        stream.write_all(&header)?;
        if bytes < position + ANSWER as u64 {
            position = 0;
        }
        let (mut at, mut left) = (i64::try_from(position)?, ANSWER);
        while left > 0 {
            left -= sendfile(&stream, &file, Some(&mut at), left)?;
        }
        position += ANSWER as u64;
    }
}

/// Appends each frame to a file and answers as a broker would.
fn echo_append(connection: usize, mut stream: TcpStream, file: &Path, bytes: u64) -> Result<()> {
    let file = preallocated(&file.with_extension(connection.to_string()), bytes)?;
    let (mut frame, mut position, answer) = (Vec::new(), 0, produce_answer()?);
    loop {
        read_frame(&mut stream, &mut frame)?;
        file.write_all_at(&frame, position)?;
        position += frame.len() as u64;
        stream.write_all(&answer)?;
    }
}

/// What has been written to the one file and not synced yet: whom to answer.
#[derive(Default)]
struct Unsynced {
    waiting: Mutex<Vec<Arc<TcpStream>>>,
    came: Condvar,
}

/// Appends the frames of all connections to one file and answers each when a sync has covered it; one sync at a time.
fn group_sync(listener: &TcpListener, file: &Path, bytes: u64) -> Result<()> {
    let (file, end, unsynced) = (preallocated(file, bytes)?, AtomicU64::new(0), Unsynced::default());
    thread::scope(|scope| {
        scope.spawn(|| sync_and_answer(&file, &unsynced));
        serve(listener, |_, stream| {
            let (stream, mut frame) = (Arc::new(stream), Vec::new());
            loop {
                read_frame(&mut &*stream, &mut frame)?;
                file.write_all_at(&frame, end.fetch_add(frame.len() as u64, Ordering::Relaxed))?;
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
            (&*stream).write_all(&answer)?;
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
    let api = <ProduceRequest as Request>::Response::API;
    let mut writer = begin_response(api, super::requests::PRODUCE_VERSION, 1, 64);
    ProduceResponse::default().encode(&mut writer, super::requests::PRODUCE_VERSION);
    match writer.finish()?.pop() {
        Some(FramePiece::Bytes(bytes)) => Ok(bytes.to_vec()),
        _ => bail!("an answer is made of bytes"),
    }
}
