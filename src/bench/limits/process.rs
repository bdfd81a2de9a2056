//! A limit's program as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;

use super::programs::{ANSWER_VERSION, LimitKind};
use crate::bench::frames::BuiltRequest;
use crate::bench::load::{self, Answers, Lane, Pace};
use crate::bench::progress::Progress;
use crate::bench::rounds::Round;

/// A running limit. It ends when this is dropped, or when this process ends in whatever way.
pub(crate) struct Limit {
    child: Child,
    kind: LimitKind,
    file: PathBuf,
    address: SocketAddr,
    answer_bytes: usize,
}

/// The files of a limit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LimitFiles {
    /// How much is reserved for each file at a time, or how much of it is sent.
    pub(crate) bytes: u64,
    /// How much of the file an answer has.
    pub(crate) answer_bytes: usize,
}

impl Limit {
    /// Starts a limit on `file`, to which it appends (with a number behind its name where there are several), or which
    /// it sends.
    pub(crate) fn start(kind: LimitKind, file: &Path, files: LimitFiles) -> Result<Limit> {
        let name = kind.to_possible_value().context("every limit has a name")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "limit-program", name.get_name()])
            .arg(file)
            .args([files.bytes.to_string(), files.answer_bytes.to_string()])
            // It ends with its standard input.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a limit's program can't be started")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("it is piped")?).read_line(&mut line)?;
        let address = line.trim().parse().context("a limit's program did not start")?;
        Ok(Limit { child, kind, file: file.to_owned(), address, answer_bytes: files.answer_bytes })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            LimitKind::ReceiveAppend => "receive + append",
            LimitKind::EchoAppend => "echo + append",
            LimitKind::GroupSync => "receive + append + fdatasync",
            LimitKind::SendFile => "header + sendfile",
        }
    }

    /// A round of `connections`, each with the requests that `requests_of` it says. What it appends is removed.
    pub(crate) fn round<'a>(
        &self,
        connections: usize,
        requests_of: impl Fn(usize) -> Vec<&'a BuiltRequest>,
        pace: Pace,
        progress: &Progress,
    ) -> Result<Round> {
        let answers = match self.kind {
            LimitKind::ReceiveAppend => Answers::OneAtTheEnd,
            LimitKind::EchoAppend | LimitKind::GroupSync => Answers::Produced { version: ANSWER_VERSION },
            LimitKind::SendFile => Answers::Discarded { bytes_min: self.answer_bytes },
        };
        let lanes: Vec<Lane<'_>> = (0..connections)
            .map(|connection| {
                let requests = requests_of(connection);
                Lane { address: self.address, requests, answers, listeners: Vec::new() }
            })
            .collect();
        progress.label(self.name());
        let round = Round::measure(Some(self.child.id()), || load::run(&lanes, pace, progress))?;
        if matches!(self.kind, LimitKind::ReceiveAppend | LimitKind::EchoAppend) {
            self.remove_files()?;
        }
        Ok(round)
    }

    /// Removes the files of connections that have ended.
    fn remove_files(&self) -> Result<()> {
        let (directory, name) =
            self.file.parent().zip(self.file.file_name()).context("a file in a directory")?;
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.file_stem() == Some(name) && path.extension().is_some() {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}
