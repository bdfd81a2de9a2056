//! What is to be sent, read on a thread of its own.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use ottla_runtime::Runtime;
use tokio::sync::mpsc;

/// How much is read at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// How many pieces may wait. When they do, reading waits too.
const PIECES_MAX: usize = 4;

/// Something that was read.
#[derive(Debug)]
pub(super) enum Piece {
    /// Of standard input.
    Bytes(Vec<u8>),
    /// A whole file.
    File(Vec<u8>),
    /// It could not be read: nothing follows.
    Failed(String),
}

/// What is read, piece by piece.
pub(super) struct Input {
    pieces: mpsc::Receiver<Piece>,
}

impl Input {
    /// Standard input, to its end.
    pub(super) fn standard_input(runtime: &Runtime) -> Input {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        runtime.spawner.spawn_thread("ottla-input", move || read_standard_input(&sender));
        Input { pieces }
    }

    /// Each of these files.
    pub(super) fn files(runtime: &Runtime, files: Vec<PathBuf>) -> Input {
        let (sender, pieces) = mpsc::channel(1);
        runtime.spawner.spawn_thread("ottla-input", move || {
            for file in files {
                let piece = read_file(&file);
                let is_last = matches!(piece, Piece::Failed(_));
                if sender.blocking_send(piece).is_err() || is_last {
                    return;
                }
            }
        });
        Input { pieces }
    }

    /// The next piece, or the end.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        self.pieces.recv().await
    }

    /// Whether somebody sits at a terminal and types.
    pub(super) fn is_typed(files: &[PathBuf]) -> bool {
        files.is_empty() && io::stdin().is_terminal()
    }
}

fn read_standard_input(sender: &mpsc::Sender<Piece>) {
    let mut input = io::stdin().lock();
    loop {
        let mut bytes = vec![0; PIECE_BYTES];
        match input.read(&mut bytes) {
            Ok(0) => return,
            Ok(count) => {
                bytes.truncate(count);
                if sender.blocking_send(Piece::Bytes(bytes)).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let _nobody_waits =
                    sender.blocking_send(Piece::Failed(format!("standard input can't be read: {error}")));
                return;
            }
        }
    }
}

fn read_file(file: &Path) -> Piece {
    match std::fs::read(file) {
        Ok(bytes) => Piece::File(bytes),
        Err(error) => Piece::Failed(format!("{} can't be read: {error}", file.display())),
    }
}
