//! Where a dump goes: lines to standard output, and every place of damage to standard error.
//!
//! Whatever cannot be read is damage of the file that it belongs to, so that one bad sector does not hide the rest. The
//! only errors that end a dump are those of the output.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use super::line::Line;

/// How much is said, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) json: bool,
    pub(super) records: bool,
    /// How many lines of each file are shown. All of them are looked at.
    pub(super) lines_max: u64,
    /// Whether offsets may be missing wherever they are.
    pub(super) compacted: bool,
}

/// What was seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) files: u64,
    pub(super) batches: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) damage: u64,
}

/// Takes what is found, a file at a time.
pub(super) struct Report<'a> {
    pub(super) style: Style,
    pub(super) totals: Totals,
    output: &'a mut dyn Write,
    damage_output: &'a mut dyn Write,
    file: String,
    lines: u64,
    damage_before: u64,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        style: Style,
        output: &'a mut dyn Write,
        damage_output: &'a mut dyn Write,
    ) -> Report<'a> {
        let totals = Totals::default();
        Report { style, totals, output, damage_output, file: String::new(), lines: 0, damage_before: 0 }
    }

    /// What follows is of this file.
    pub(super) fn begin(&mut self, path: &Path) -> io::Result<()> {
        self.file = path.display().to_string();
        self.lines = 0;
        self.damage_before = self.totals.damage;
        self.totals.files += 1;
        if !self.style.json {
            writeln!(self.output, "Dumping {}", self.file)?;
        }
        Ok(())
    }

    /// A line of the file, if it is not one too many. Made only if it is shown.
    pub(super) fn line(&mut self, line: impl FnOnce() -> Line) -> io::Result<()> {
        self.lines += 1;
        if self.style.lines_max < self.lines { Ok(()) } else { self.write(&line()) }
    }

    /// A line that is always shown.
    pub(super) fn note(&mut self, line: &Line) -> io::Result<()> {
        self.write(line)
    }

    /// Something is wrong with the file; the text begins with its place.
    pub(super) fn damage(&mut self, what: impl Display) -> io::Result<()> {
        self.totals.damage += 1;
        writeln!(self.damage_output, "{}: {what}", self.file)?;
        if self.style.json {
            self.write(&Line::new("damage").with("damage", what.to_string()))
        } else {
            Ok(())
        }
    }

    /// The file is done; `line` says what there was.
    pub(super) fn end(&mut self, line: Line) -> io::Result<()> {
        let damage = self.totals.damage - self.damage_before;
        let hidden = self.lines.saturating_sub(self.style.lines_max);
        self.write(&line.with_some("linesNotShown", (0 < hidden).then_some(hidden)).with("damage", damage))
    }

    /// Everything is done.
    pub(super) fn total(&mut self, path: &Path) -> io::Result<()> {
        self.file = path.display().to_string();
        let Totals { files, batches, records, bytes, damage } = self.totals;
        let line = Line::new("total")
            .with("files", files)
            .with("batches", batches)
            .with("records", records)
            .with("bytes", bytes)
            .with("damage", damage);
        self.write(&line)
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        match self.style.json {
            true => line.write_json(&self.file, self.output),
            false => line.write_text(self.output),
        }
    }
}
