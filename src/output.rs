//! Standard output: buffered, and not surprised when nobody reads any more.

use std::io::{self, BufWriter, StdoutLock, Write};

use crate::Failure;

const BUFFER_BYTES: usize = 256 * 1024;

/// Standard output for the whole command.
pub(crate) fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock())
}

/// Why output that could not be written ends the command. Whoever closed the pipe has seen enough.
pub(crate) fn unwritable(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::NobodyReads;
    }
    Failure::Failed(format!("the output can't be written: {error}"))
}

/// Writes all that `show` has to show.
pub(crate) fn print(show: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut output = stdout();
    show(&mut output).and_then(|()| output.flush()).map_err(unwritable)
}

/// Writes a JSON value as one line.
pub(crate) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(|output| writeln!(output, "{value}"))
}

/// Writes a note for a person on standard error; what becomes of it changes nothing.
pub(crate) fn note(text: &str) {
    let _unheard = io::stderr().write_all(format!("{text}\n").as_bytes());
}
